"""Redis's clock as this process knows it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from leadsync.amocrm.redis_clock import RedisClock

MOMENTS = st.floats(0, 10)


class Ticks:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@given(ahead=st.floats(-1e6, 1e6), answers=st.lists(st.tuples(MOMENTS, MOMENTS, MOMENTS), min_size=1))
def test_the_truth_lies_between_the_bounds(ahead: float, answers: list[tuple[float, float, float]]) -> None:
    """However long requests and answers take, a moment is never thought to have come too soon or too late."""
    ticks = Ticks()
    clock = RedisClock(ticks)
    for idle, there, back in answers:
        ticks.now += idle
        asked = ticks.now
        told = asked + there + ahead
        ticks.now += there + back
        clock.observe(asked, told)
        now = ticks.now + ahead
        assert clock.until(now + 5) >= 5 - 1e-6
        assert clock.since(now - 5) >= 5 - 1e-6


def test_a_slow_answer_does_not_blur_a_quick_one() -> None:
    """What the quickest answer has told stays known when the event loop was busy during the next."""
    ticks = Ticks()
    clock = RedisClock(ticks)
    assert clock.blur == 0
    clock.observe(ticks.now, 50.0)
    ticks.now += 2
    clock.observe(ticks.now - 1, 51.5)
    assert clock.blur < 0.01
    assert abs(clock.until(53.0) - 1) < 0.01


def test_a_clock_that_was_set_is_read_anew() -> None:
    """An answer that contradicts what was known counts alone."""
    ticks = Ticks()
    clock = RedisClock(ticks)
    clock.observe(ticks.now, 5_000.0)
    ticks.now += 1
    clock.observe(ticks.now, 1_400.0)
    assert clock.until(1_402.0) == clock.since(1_398.0) == 2
