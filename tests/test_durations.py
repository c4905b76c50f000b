"""Durations as people write them: a number with a unit, several of them add up, and nothing else is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from leadsync.durations import SECONDS, Duration, seconds_of

READS = TypeAdapter(Duration)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90d", 7_776_000), ("12h", 43_200), ("2m", 120), ("30s", 30), ("1w", 604_800), ("1h30m", 5_400), ("0.5s", 0.5)],
)
def test_each_unit(text: str, seconds: float) -> None:
    """Weeks, days, hours, minutes, seconds, a part of one, and several together."""
    assert seconds_of(text) == READS.validate_python(text) == seconds


@given(st.dictionaries(st.sampled_from(sorted(SECONDS)), st.integers(0, 1000), min_size=1))
def test_parts_add_up(parts: dict[str, int]) -> None:
    """Whatever the order and the spaces between, a duration is the sum of its parts."""
    text = " ".join(f"{number} {unit}" for unit, number in parts.items())
    assert seconds_of(text) == sum(number * SECONDS[unit] for unit, number in parts.items())


@pytest.mark.parametrize("wrong", ["", "90", "d", "90 days", "-1d", "1e3s", "٣m", 90, True, None, 1.5])
def test_what_is_none_is_refused(wrong: object) -> None:
    """A number without a unit is of nothing; the message names spellings that work."""
    with pytest.raises(ValidationError, match="expected a number with a unit: 90d, 12h, 2m or 30s"):
        READS.validate_python(wrong)


def test_nothing_needs_no_unit() -> None:
    """0 is as long in any unit."""
    assert READS.validate_python(0) == READS.validate_python("0s") == 0
