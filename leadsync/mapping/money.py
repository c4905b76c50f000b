"""The filter `money`: a sum as people write it → a number."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

_SUM = re.compile(
    r"(?:до|от|около|примерно|порядка|где-то|~|≈|up to|about)?\s*"
    r"(?:[$€₽₸]|rub|usd|eur)?\s*"
    r"(?P<number>\d[\d\s.,'’]*|пол(?:тора|торы))\s*"
    r"(?P<scale>тысяч[аи]?|тыс\.?|т\.\s?р\.?|тр|к|k|миллион(?:а|ов)?|млн\.?|mln|million|m|м|миллиард(?:а|ов)?|млрд\.?)?"
    r"\s*(?:рубл(?:ей|я|ь)|руб\.?|р\.?|₽|\$|€|₸|rub|rur|usd|eur|долл\w*|евро|тенге)?\s*",
    re.IGNORECASE,
)
_THOUSAND, _MILLION, _MILLIARD = Decimal(1000), Decimal(1_000_000), Decimal(1_000_000_000)
_LONGEST = 60


def money(value: Any) -> Any:
    """`150 тыс` → 150000, `1,5 млн` → 1500000, `150 000 ₽` → 150000; what is no single sum stays as it is.

    The answer is a whole number where the sum is whole, else its text with a point (`1500.5`).
    """
    if not isinstance(value, str):
        return "" if value is None else value
    match = _SUM.fullmatch(value.strip()) if len(value) <= _LONGEST else None
    number = None if match is None else _number(match["number"])
    if match is None or number is None:
        return value
    amount = number * _scale(match["scale"] or "")
    return int(amount) if amount == amount.to_integral_value() else f"{amount.normalize():f}"


def _number(text: str) -> Decimal | None:
    if text.lower().startswith("пол"):
        return Decimal("1.5")
    digits = re.sub(r"[\s'’]", "", text.strip(" .,"))
    grouped = re.fullmatch(r"[1-9]\d{0,2}(?:([.,])\d{3})(?:\1\d{3})*(?:(?!\1)[.,]\d{1,2})?", digits)
    if grouped:
        digits = digits.replace(grouped[1], "")
    digits = digits.replace(",", ".")
    return Decimal(digits) if re.fullmatch(r"\d+(?:\.\d+)?", digits) else None


def _scale(word: str) -> Decimal:
    word = word.lower()
    if word.startswith(("миллиард", "млрд")):
        return _MILLIARD
    if word.startswith(("м", "m")):
        return _MILLION
    return _THOUSAND if word else Decimal(1)
