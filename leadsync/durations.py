"""Durations as people write them: `90d`, `12h`, `2m`, `30s`, `1h30m`; seconds inside."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

SECONDS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
"""Seconds of each unit."""

PATTERN = r"^\s*(?:\d+(?:\.\d+)?\s*[wdhms]\s*)+$"

_SHAPE = re.compile(PATTERN, re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([wdhms])", re.ASCII)


def seconds_of(text: str) -> float:
    """The seconds of a duration. Raises ValueError for a text that is none.

    >>> seconds_of("1h30m")
    5400.0
    """
    if not _SHAPE.match(text):
        raise ValueError("no duration such as 90d, 12h, 2m or 30s")
    return sum(float(number) * SECONDS[unit] for number, unit in _PART.findall(text))


def _read(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _no_duration()
    if isinstance(value, int | float):
        if value == 0:
            return 0.0
        raise _no_duration()  # 90 of what?
    try:
        return seconds_of(value)
    except ValueError:
        raise _no_duration() from None


def _no_duration() -> PydanticCustomError:
    return PydanticCustomError("leadsync", "expected a number with a unit: 90d, 12h, 2m or 30s")


Duration = Annotated[
    float,
    BeforeValidator(_read),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": PATTERN}, {"const": 0}]}),
]
"""A key of a file that holds a duration; the value is in seconds. A bare 0 needs no unit."""
