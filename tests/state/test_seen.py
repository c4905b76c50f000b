"""Marks of unchanged talks: as many as there are talks, however many there were."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from redis.asyncio import Redis

from leadsync.state.seen import MONTH, MONTHS, NEW, SKIPPED, UNCHANGED, Seen, mark_of
from tests.world import NAMES

HASH = NAMES.name("seen", "dialogs")


class Clock:
    """Unix seconds, moved by the month."""

    month = 700.0

    def __call__(self) -> float:
        return self.month * MONTH


@pytest.fixture
async def clock() -> Clock:
    """The time as a test wants it."""
    return Clock()


@pytest.fixture
async def seen(redis: Redis, clock: Clock) -> Seen:
    """The marks of a source that nothing is known of."""
    made = Seen(redis, NAMES, "dialogs", b"wording", clock=clock)
    await made.begin()
    return made


def marks(numbers: Iterable[int]) -> list[bytes]:
    """The marks of talks that stay as they are."""
    return [mark_of(f"dialog:{one}", b"%08d" % one) for one in numbers]


async def test_marks_of_vanished_talks_go(redis: Redis, seen: Seen, clock: Clock) -> None:
    """Of talks that come and go by the thousand every month for five years, no more is kept than of some months; those
    that are still there are known all the time."""
    living = marks(range(1000))
    await seen.keep((one, UNCHANGED) for one in living)
    for month in range(60):
        clock.month += 1
        assert await seen.compare(living) == UNCHANGED * len(living)
        await seen.keep((one, SKIPPED) for one in marks(range(1000 * (month + 1), 1000 * (month + 2))))
    assert await seen.compare(living) == UNCHANGED * len(living)
    assert await redis.hlen(HASH) < 10_000


async def test_a_mark_outlives_a_pause(seen: Seen, clock: Clock) -> None:
    """Who has not run for as many months as a mark lives still knows every talk, whatever comes first."""
    known = marks(range(500))
    await seen.keep((one, UNCHANGED) for one in known)
    clock.month += MONTHS
    await seen.keep((one, UNCHANGED) for one in marks(range(1000, 3000)))
    assert await seen.compare(known) == UNCHANGED * len(known)


async def test_marks_without_a_month_are_known(redis: Redis, seen: Seen, clock: Clock) -> None:
    """A mark that was kept when nobody wrote the month down is known, and lives as long as one that is kept now."""
    known = marks(range(100))
    await redis.hset(HASH, mapping={one[:8]: one[8:] + UNCHANGED for one in known})
    for _ in range(3):
        await seen.keep((one, UNCHANGED) for one in marks(range(1000, 2000)))
    assert await seen.compare(known) == UNCHANGED * len(known)
    assert {len(one) for one in await redis.hvals(HASH)} == {10}
    changed = [one[:8] + b"otherwise"[:8] for one in known]
    assert await seen.compare(changed) == NEW * len(changed)


async def test_nothing_is_written_where_nothing_is_new(redis: Redis, seen: Seen, clock: Clock) -> None:
    """A month is written once: to look at marks again changes nothing in Redis."""
    known = marks(range(100))
    await seen.keep((one, UNCHANGED) for one in known)
    clock.month += 1
    for changes in (1, 0, 0):
        before = (await redis.info("persistence"))["rdb_changes_since_last_save"]
        await seen.compare(known)
        after = (await redis.info("persistence"))["rdb_changes_since_last_save"]
        assert (after > before) == bool(changes)
