"""Asked: who is to be forgotten, and how that person is recognised in what was stored. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leadsync.errors import ConfigurationError
from leadsync.mapping.contact_keys import email_key, find_emails, phone_key

_BETWEEN = r"[\s().,/\u00ad\u2010-\u2015\u2212\u200b-\u200f\u2060\ufeff-]{0,3}"
"""What may stand between two digits of a phone."""

_DIGIT = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Asked:
    """Who is to be forgotten: contact keys (`phone:+7…`, `email:…`) and keys of records."""

    contact_keys: frozenset[str]
    keys: frozenset[str]

    @classmethod
    def of(cls, phones: Sequence[str], emails: Sequence[str], keys: Sequence[str], country: str) -> Asked:
        """From what a person typed, in any spelling. Raises ConfigurationError, which does not repeat it."""
        found = [
            *(_contact_key("phone", phone_key(one, country), "+79161234567") for one in phones),
            *(_contact_key("email", email_key(one), "ivan@example.com") for one in emails),
        ]
        return cls(frozenset(found), frozenset(keys))


def _contact_key(kind: str, key: str | None, example: str) -> str:
    if key is None:
        raise ConfigurationError(f"this is no {kind}", where=f"--{kind}", do=f"write it like {example}")
    return f"{kind}:{key}"


class Mentions:
    """Recognises phones and e-mails, whatever their spelling, in texts and in data."""

    def __init__(self, contact_keys: Collection[str]) -> None:
        kinds = [key.partition(":") for key in sorted(contact_keys)]
        self._emails = frozenset(value for kind, _, value in kinds if kind == "email")
        phones = [_spellings(value) for kind, _, value in kinds if kind == "phone"]
        self._phones = re.compile("|".join(phones)) if phones else None

    def in_text(self, text: str) -> bool:
        """Whether a text holds one of them."""
        if self._emails and "@" in text and not self._emails.isdisjoint(find_emails(text)):
            return True
        return self._phones is not None and self._phones.search(_plain_digits(text)) is not None

    def in_data(self, data: Any) -> bool:
        """Whether any text, number or key of JSON-like data holds one of them."""
        return any(self.in_text(text) for text in texts_of(data))


def texts_of(data: Any) -> Iterator[str]:
    """Every text and number of JSON-like data, and the keys of its objects."""
    if isinstance(data, Mapping):
        for name, value in data.items():
            yield str(name)
            yield from texts_of(value)
    elif isinstance(data, list | tuple):
        for one in data:
            yield from texts_of(one)
    elif isinstance(data, str | int | float) and not isinstance(data, bool):
        yield str(data)


def _spellings(phone: str) -> str:
    """A pattern for every spelling of an E.164 phone: with its country code, with a trunk 8 or 0, or without either."""
    from phonenumbers import parse  # noqa: PLC0415 - 30 ms of start-up that other commands do not need

    number = parse(phone)
    code = str(number.country_code)
    national = phone.removeprefix(f"+{code}")
    prefix = f"(?:(?:00{_BETWEEN})?{_BETWEEN.join(code)}|8|0)"
    return rf"(?<!\d)(?:{prefix}{_BETWEEN})?{_BETWEEN.join(national)}(?!\d)"


def _plain_digits(text: str) -> str:
    return text if text.isascii() else _DIGIT.sub(lambda digit: str(int(digit[0])), text)
