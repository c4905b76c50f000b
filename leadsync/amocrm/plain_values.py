"""Text → number, moment, yes or no: how people write them, and nothing guessed.

Every function returns None for a text that is not surely one; the caller says which field refused it.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, tzinfo
from decimal import Decimal

_SPACES = re.compile(r"[\s\u00a0\u2007\u2009\u202f']+")
_CURRENCY = re.compile(
    r"^[$€£¥₽₸₴₺]\s*|\s*(?:[$€£¥₽₸₴₺]|руб(?:\.|лей|ля|ль)?|р\.?|тенге|тг\.?|грн\.?|rub|rur|usd|eur|kzt|uah|byn|gbp)$",
    re.IGNORECASE,
)
_GROUPED = re.compile(r"[0-9]{1,3}(?:(?P<group>[ ,.])[0-9]{3})(?:(?P=group)[0-9]{3})*(?:(?!(?P=group))[.,][0-9]+)?")
_PLAIN = re.compile(r"[0-9]+(?:[.,][0-9]+)?")
_THOUSANDS_OR_DECIMAL = re.compile(r"[1-9][0-9]{0,2},[0-9]{3}")
_LONGEST_NUMBER = 40

_YES = frozenset({"true", "yes", "да", "1", "on", "истина"})
_NO = frozenset({"false", "no", "нет", "0", "off", "ложь"})

_UNIX = re.compile(r"-?[0-9]{9,10}")
_UNIX_MILLISECONDS = re.compile(r"[0-9]{13}")
_DAY_FIRST = re.compile(
    r"(?P<day>[0-9]{1,2})[./](?P<month>[0-9]{1,2})[./](?P<year>[0-9]{4})"
    r"(?:,?[ T]+(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2}))?)?"
)


def number_of(text: str) -> Decimal | None:
    """A number as people write it: `150 000`, `1 500,50`, `1,500,000.5`, `$99`, `150 000 руб.`; None for anything else.

    `1,500` alone, and `1.500` with a currency, may be one and a half or one thousand five hundred: None.
    """
    if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER:  # most are, and need not be looked into
        return _decimal(text)
    spaced = _SPACES.sub(" ", text).strip()
    bare = _CURRENCY.sub("", spaced).strip()
    sign, digits = ("-", bare[1:].strip()) if bare.startswith(("-", "−")) else ("", bare.removeprefix("+"))
    doubtful = _THOUSANDS_OR_DECIMAL.fullmatch(digits if bare == spaced else digits.replace(".", ","))
    if len(digits) > _LONGEST_NUMBER or doubtful:
        return None
    if _PLAIN.fullmatch(digits):
        return _decimal(sign + digits.replace(",", "."))
    grouped = _GROUPED.fullmatch(digits)
    return None if grouped is None else _decimal(sign + digits.replace(grouped["group"], "").replace(",", "."))


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    return number if number else Decimal(0)  # minus nothing is nothing


def number_text(number: Decimal) -> str:
    """A number in one spelling: no exponent, no trailing zeros (`10000`, `1.5`)."""
    plain = format(number, "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def yes_or_no(text: str) -> bool | None:
    """true, yes, да, 1 or false, no, нет, 0; None for anything else."""
    word = text.strip().lower()
    if word in _YES:
        return True
    return False if word in _NO else None


def moment_of(text: str, zone: tzinfo) -> datetime | None:
    """A moment in `zone`: ISO 8601, `dd.mm.yyyy [hh:mm[:ss]]`, Unix seconds or milliseconds; None for anything else.

    A moment without a zone is in `zone`; a date alone is its midnight there.
    """
    plain = text.strip()
    try:
        if _UNIX_MILLISECONDS.fullmatch(plain):
            return datetime.fromtimestamp(int(plain) / 1000, zone)
        if _UNIX.fullmatch(plain):
            return datetime.fromtimestamp(int(plain), zone)
        found = _day_first(plain) or datetime.fromisoformat(plain)
        return found.replace(tzinfo=zone) if found.tzinfo is None else found.astimezone(zone)
    except (ValueError, OverflowError, OSError):
        return None


def moment_of_wire(value: object, zone: tzinfo) -> datetime | None:
    """A moment as amoCRM gives or takes it, in `zone`: Unix seconds of any size, or RFC 3339 text."""
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value, zone)
        except (ValueError, OverflowError, OSError):
            return None
    return moment_of(value, zone) if isinstance(value, str) else None


def _day_first(text: str) -> datetime | None:
    found = _DAY_FIRST.fullmatch(text)
    if found is None:
        return None
    part = {name: int(value) for name, value in found.groupdict(default="0").items()}
    day = date(part["year"], part["month"], part["day"])
    return datetime.combine(day, time(part["hour"], part["minute"], part["second"]))


def midnight(day: date, zone: tzinfo) -> int:
    """Unix seconds of a day's beginning in `zone`."""
    return int(datetime.combine(day, time(), zone).timestamp())
