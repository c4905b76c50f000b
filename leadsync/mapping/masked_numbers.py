"""Masked numbers: phones become valid ones of the same country that nobody has, cards and the like become nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import isfinite
from typing import Any

from leadsync.mapping.contact_keys import find_phones, phone_key

MAIL = r"[^\s@<>()\[\]{},;:\"'«»=/|\\]+@[^\s@<>()\[\]{},;:\"'«»=/|\\]*[^\W_]"
"""An e-mail address, as a pattern: wider than what is one, since nothing of it may stay."""

_BETWEEN = r"[\s().\-\u2010-\u2015\u2212\u00a0]{1,3}"
_MONEY = re.compile(r"\s*(?:₽|\$|€|₸|руб|р\b|тыс|млн|rub|usd|eur)", re.IGNORECASE)
NUMBER = re.compile(rf"\+?\(?\d(?:\d|{_BETWEEN}(?!{MAIL})\d)*")
"""Digits with what people write between those of one number, up to an e-mail that begins with digits; dates and sums
are told apart afterwards."""

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2})?|\d{1,2}\.\d{1,2}\.\d{4}(?:[ ,]+\d{1,2})?|\d{1,2}[.]\d{2}[.]\d{2}")
_GROUPED_SUM = re.compile(r"\d{1,3}(?:[ \u00a0.]\d{3}){1,2}(?:[ ]?[-\u2013][ ]?\d{1,3}(?:[ \u00a0.]\d{3}){1,2})?")
_SHORTEST = 7
"""Digits from which on a number may lead to a person."""

_EXAMPLES_OF_OWN = {7: "9000000000"}
"""National numbers to count from, for country calling codes: +7 900 000-00-NN belongs to nobody."""


class NumberMask:
    """Learns the phones of a record, and gives every long number the same stand-in wherever it stands.

    `country` (ISO 3166) reads phones without a code; `keep` is a number that stays (the budget) unless it is a phone.
    """

    def __init__(self, country: str, keep: str) -> None:
        self._country = country
        self._keep = _digits(keep)
        self._phones: dict[str, tuple[str, str]] = {}  # national digits → calling code, fake national digits
        self._others: dict[str, str] = {}
        self._real: set[str] = set()

    def learn(self, text: str) -> None:
        """A value that is a phone by its key."""
        if key := phone_key(text, self._country):
            self._real.add(key)
        elif len(digits := _digits(text)) >= _SHORTEST:
            self._others.setdefault(digits, "")

    def find(self, text: str) -> None:
        """The phones in a free text."""
        self._real.update(find_phones(text, self._country))

    def replaced(self, text: str, after: str = "") -> str:
        """A number that NUMBER matched, with the digits of phones and other long numbers replaced in place.

        Dates and sums stay: those that look so, and those with a currency in the text `after` them.
        """
        digits = _digits(text)
        if len(digits) < _SHORTEST:
            return text
        self._prepare()
        if self._national_in(digits) is None:
            bare = text.strip()
            if digits == self._keep or _DATE.fullmatch(bare) or _GROUPED_SUM.fullmatch(bare) or _MONEY.match(after):
                return text
        return _put(text, self._masked(digits))

    def personal(self, text: str) -> str:
        """A number that is personal by its key: every digit of it goes, whatever its length."""
        self._prepare()
        digits = _digits(text)
        return _put(text, self._masked(digits) if len(digits) >= _SHORTEST else self._other(digits))

    def number(self, value: float, *, personal: bool) -> Any:
        """A JSON number; a short one stays unless it is personal by its key."""
        text = str(value)
        if isinstance(value, float) and not (personal and isfinite(value)):
            return value
        masked = self.personal(text) if personal else self.replaced(text)
        return int(masked) if isinstance(value, int) else float(masked)

    def _prepare(self) -> None:
        """Stand-ins for the phones learnt so far, in their order by number, so that a record has always the same."""
        for key in sorted(self._real):
            code, national = _parts(key)
            if national not in self._phones:
                self._phones[national] = (code, self._free(code, national))

    def _free(self, code: str, national: str) -> str:
        taken = {fake for _, fake in self._phones.values()} | {_parts(key)[1] for key in self._real}
        return next(one for one in _fakes(code, national, self._country) if one not in taken)

    def _national_in(self, digits: str) -> str | None:
        return next((one for one in sorted(self._phones, key=len, reverse=True) if one in digits), None)

    def _masked(self, digits: str) -> str:
        """Digits with the phones in them replaced, and what is left when it is still long."""
        if len(digits) < _SHORTEST:
            return digits
        national = self._national_in(digits)
        if national is None:
            return self._other(digits)
        before, _, after = digits.partition(national)
        return self._masked(before) + self._phones[national][1] + self._masked(after)

    def _other(self, digits: str) -> str:
        """The stand-in of a long number: as many digits, and none of its own in a row."""
        if not self._others.get(digits):
            count = str(sum(map(bool, self._others.values())) + 1)
            self._others[digits] = "1" + count.rjust(len(digits) - 1, "0") if len(digits) > len(count) else count
        return self._others[digits]


def _digits(text: str) -> str:
    return "".join(str(int(one)) for one in text if one.isdecimal())


def _put(text: str, digits: str) -> str:
    """The text with its digits replaced one by one; with more or fewer of them, written in one piece."""
    places = [at for at, one in enumerate(text) if one.isdecimal()]
    if len(places) == len(digits):
        fresh = dict(zip(places, digits, strict=True))
        return "".join(fresh.get(at, one) for at, one in enumerate(text))
    return text[: places[0]] + digits + text[places[-1] + 1 :]


def _parts(key: str) -> tuple[str, str]:
    """Calling code and national digits of a key such as +79161234567."""
    from phonenumbers import national_significant_number, parse  # noqa: PLC0415 - 30 ms that most commands do not need

    number = parse(key, None)
    return str(number.country_code), national_significant_number(number)


def _fakes(code: str, national: str, country: str) -> Iterator[str]:
    """Valid national numbers of a country that follow one nobody has."""
    from phonenumbers import PhoneNumber, is_valid_number  # noqa: PLC0415 - see above

    begin = _EXAMPLES_OF_OWN.get(int(code)) or _example(int(code), national)
    for step in range(1, 10_000):
        fake = str(int(begin) + step).rjust(len(begin), "0")
        number = PhoneNumber(country_code=int(code), national_number=int(fake), italian_leading_zero=fake[0] == "0")
        if is_valid_number(number):
            yield fake
    yield from (str(10 ** (len(national) - 1) + step) for step in range(10_000))


def _example(code: int, national: str) -> str:
    from phonenumbers import (  # noqa: PLC0415 - see above
        PhoneNumberType,
        example_number_for_type,
        national_significant_number,
        region_code_for_country_code,
    )

    example = example_number_for_type(region_code_for_country_code(code), PhoneNumberType.MOBILE)
    return national if example is None else national_significant_number(example)[:-2] + "00"
