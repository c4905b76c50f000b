"""Phone and e-mail → the key that recognises a person, whatever the spelling.

A phone's key is its E.164 form (`+79161234567`), an e-mail's is its lower-case form. The keys are personal data: they
never stand in a log or an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

_SPACES = re.compile(r"\s+")
_DASHES = re.compile(r"[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")
_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_DIGIT, _NOT_DIGIT = re.compile(r"\d"), re.compile(r"\D")
_PLACEHOLDER = re.compile(r"(\d)\1*|0?123456789\d?|9876543210?")
_RUSSIAN_MOBILE = re.compile(r"(\+7|8)[ -]?\(?(9[0-9]{2})\)?[ -]?([0-9]{3})[ -]?([0-9]{2})[ -]?([0-9]{2})")
"""Most phones there are: to read one so takes a fiftieth of the time that all the ways to read a phone take."""

_LONGEST_SPELLING = 250

LONGEST_SEARCH = 100_000
"""Characters of a text that are searched for phones, which takes a microsecond each."""
_ORDER_BEFORE = re.compile(
    r"(?:заказ\w*|договор\w*|сч[её]т\w*|артикул\w*|инн|кпп|огрн|снилс|паспорт\w*|трек\w*|order|invoice|contract|sku|№|#)"
    r"[\s:.№#-]*(?:no|n|номер)?[\s:.№#-]*$",
    re.IGNORECASE,
)
_MONEY_AFTER = re.compile(r"\s*(?:₽|\$|€|₸|руб|р\b|тыс|млн|rub|usd|eur)", re.IGNORECASE)
_MONEY_BEFORE = re.compile(r"(?:[$€₽₸]|цена|бюджет|стоимость|сумма|price|budget)[\s:=-]*$", re.IGNORECASE)

_EMAIL = re.compile(r"[^\s@<>()\[\],;:\"'\\]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W\d_](?:[\w-]{0,61}[^\W_])")
_EMAIL_EDGES = " \t\r\n.,;:!?<>()[]{}\"'«»"


@lru_cache(maxsize=8192)
def phone_key(text: str | None, country: str) -> str | None:
    """The E.164 form of a phone in any spelling, or None when it is none.

    `country` (ISO 3166, upper case) reads a number without a country code. Extensions are dropped. A number counts by
    its length, not by whether an operator uses it; placeholders such as `0000000000` do not count.
    """
    if not text or len(text) > _LONGEST_SPELLING:
        return None
    mobile = _RUSSIAN_MOBILE.fullmatch(text)
    if mobile is not None and (mobile[1] == "+7" or country == "RU"):
        digits = "".join(mobile.groups()[1:])
        return None if _PLACEHOLDER.fullmatch(digits) else f"+7{digits}"
    plain = _plain_spelling(text)
    number = next(_readings(plain, country), None)
    if number is None:
        return next(iter(find_phones(plain, country)), None)
    digits = _national_digits(number)
    return None if _PLACEHOLDER.fullmatch(digits) else f"+{number.country_code}{digits}"


def last_digits(key: str) -> str:
    """The last ten digits of a phone's key: what amoCRM's search finds in any spelling."""
    return _NOT_DIGIT.sub("", key)[-10:]


@lru_cache(maxsize=8192)
def email_key(text: str | None) -> str | None:
    """The lower-case form of an e-mail address, or None when there is none; `mailto:` and a name around it go."""
    if not text or len(text) > _LONGEST_SPELLING:
        return None
    found = find_emails(text)
    return found[0] if found else None


def find_emails(text: str) -> list[str]:
    """Every e-mail address in a free text, as keys, in order, each once."""
    if "@" not in text:
        return []
    plain = _INVISIBLE.sub("", text)
    return list(dict.fromkeys(_email(match.group()) for match in _EMAIL.finditer(plain)))


def find_phones(text: str, country: str) -> list[str]:
    """Every phone in a free text, as keys, in order, each once; dates, prices and order numbers are none.

    Unlike `phone_key`, a number counts only when some operator may use it: in free text, length alone says little.
    """
    return list(dict.fromkeys(phones_in(text, country)))


def phones_in(text: str, country: str) -> Iterator[str]:
    """The same one by one, for who needs the first; a text is searched up to LONGEST_SEARCH characters."""
    from phonenumbers import PhoneNumberMatcher  # noqa: PLC0415 - 30 ms of start-up that many commands do not need

    if len(_DIGIT.findall(text)) < 7:
        return
    text = _plain_spelling(text[:LONGEST_SEARCH])
    for match in PhoneNumberMatcher(text, country):
        if match.raw_string.lstrip().startswith("+") or not _is_amount(text, match.start, match.end):
            yield f"+{match.number.country_code}{_national_digits(match.number)}"


def _is_amount(text: str, start: int, end: int) -> bool:
    before = text[max(0, start - 30) : start]
    return bool(_ORDER_BEFORE.search(before) or _MONEY_BEFORE.search(before) or _MONEY_AFTER.match(text, end))


def _plain_spelling(text: str) -> str:
    """Any space is a space, any dash a dash, and what cannot be seen is gone."""
    return _SPACES.sub(" ", _DASHES.sub("-", _INVISIBLE.sub("", text))).strip()


def _readings(text: str, country: str) -> Iterator[PhoneNumber]:
    """The ways to read a spelling, the likeliest first: with 00 for +, as written, with a forgotten or mistaken +."""
    digits = "".join(str(int(digit)) for digit in _NOT_DIGIT.sub("", text))
    if digits.startswith("00"):
        yield from _valid(f"+{digits[2:]}", country)
    yield from _possible(text, country)
    if "+" in text:
        yield from _possible(text.replace("+", ""), country)
    elif len(digits) >= 11:
        yield from _of_country(f"+{digits}", country)
        yield from _valid(f"+{digits}", country)


def _parsed(text: str, country: str) -> Iterator[PhoneNumber]:
    from phonenumbers import NumberParseException, parse  # noqa: PLC0415 - 30 ms of start-up, see above

    try:
        yield parse(text, country)
    except NumberParseException:
        return


def _possible(text: str, country: str) -> Iterator[PhoneNumber]:
    """Of the length its country uses; a number without its area code is not enough to know a person by."""
    from phonenumbers import ValidationResult, is_possible_number_with_reason  # noqa: PLC0415 - see above

    for number in _parsed(text, country):
        if is_possible_number_with_reason(number) == ValidationResult.IS_POSSIBLE:
            yield number


def _valid(text: str, country: str) -> Iterator[PhoneNumber]:
    from phonenumbers import is_valid_number  # noqa: PLC0415 - see above

    yield from (number for number in _parsed(text, country) if is_valid_number(number))


def _of_country(text: str, country: str) -> Iterator[PhoneNumber]:
    from phonenumbers import country_code_for_region  # noqa: PLC0415 - see above

    own = country_code_for_region(country)
    yield from (number for number in _possible(text, country) if number.country_code == own)


def _national_digits(number: PhoneNumber) -> str:
    zeros = "0" * (number.number_of_leading_zeros or 1) if number.italian_leading_zero else ""
    return f"{zeros}{number.national_number}"


def _email(address: str) -> str:
    name, _, domain = address.strip(_EMAIL_EDGES).lower().rpartition("@")
    return f"{name}@{_unicode_domain(domain)}"


def _unicode_domain(domain: str) -> str:
    if "xn--" not in domain:
        return domain
    try:
        return domain.encode("ascii").decode("idna")
    except UnicodeError:
        return domain
