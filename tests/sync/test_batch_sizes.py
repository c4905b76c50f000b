"""How many items a request bears: found by trying, halved by a 504, remembered for the next process."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from leadsync.sync.batch_sizes import ADVISED, CALM, LARGEST, BatchSizes, Size
from leadsync.sync.changes import Route
from tests.world import NAMES

ROUTE = Route.CREATE_LEADS


async def sizes(redis: Redis, first: int = 50) -> BatchSizes:
    """The sizes as a new process begins with them."""
    made = BatchSizes(redis, NAMES, first)
    await made.load()
    return made


async def test_the_size_doubles_after_each_clean_answer(redis: Redis) -> None:
    """50, 100, 200, 250: each full batch that went well makes the next one larger, up to amoCRM's most."""
    made, seen = await sizes(redis), [50]
    while made.of(ROUTE) < LARGEST:
        await made.went(ROUTE, made.of(ROUTE), more=False)
        seen.append(made.of(ROUTE))
    assert seen == [50, 100, 200, 250]
    assert (await sizes(redis)).of(ROUTE) == 250
    assert (await sizes(redis)).of(Route.NOTE_LEADS) == 50


async def test_a_batch_that_was_not_full_says_nothing(redis: Redis) -> None:
    """Twenty items that went well do not mean that a hundred would; one with more behind it was full."""
    made = await sizes(redis)
    await made.went(ROUTE, 49, more=False)
    assert made.of(ROUTE) == 50
    await made.went(ROUTE, 49, more=True)
    assert made.of(ROUTE) == 100


async def test_a_504_halves_for_everybody(redis: Redis) -> None:
    """After a 504 this process and the next send half as much; what was under way meanwhile changes nothing."""
    made = await sizes(redis)
    for _ in range(4):  # four batches of 50 under way at a time, each answered 504
        await made.too_large(ROUTE, 50, answered=True)
    await made.went(ROUTE, 50, more=True)
    assert made.of(ROUTE) == 25
    assert (await sizes(redis)).of(ROUTE) == 25


async def test_no_answer_halves_what_is_above_the_advised(redis: Redis) -> None:
    """A batch that takes longer than we wait is as good as a 504, but not below 50: then the network is to blame."""
    made = await sizes(redis, LARGEST)
    for count in (250, 125, 62, 50, 50):
        await made.too_large(ROUTE, count, answered=False)
    assert made.of(ROUTE) == ADVISED


async def test_a_larger_size_is_tried_again(redis: Redis) -> None:
    """After CALM full batches without trouble, also over several processes, twice as much is tried once more."""
    await (await sizes(redis)).too_large(ROUTE, 50, answered=True)
    for _ in range(CALM):
        made = await sizes(redis)
        assert made.of(ROUTE) == 25
        await made.went(ROUTE, 25, more=True)
    made = await sizes(redis)
    await made.went(ROUTE, 25, more=True)
    assert made.of(ROUTE) == 50
    await made.too_large(ROUTE, 50, answered=True)
    assert (await sizes(redis)).of(ROUTE) == 25


async def test_a_new_batch_size_counts(redis: Redis) -> None:
    """Whoever writes another `batch_size` begins with it, whatever was learnt with the old one."""
    made = await sizes(redis)
    await made.went(ROUTE, 50, more=True)
    assert (await sizes(redis, 10)).of(ROUTE) == 10
    assert (await sizes(redis)).of(ROUTE) == 100


async def test_one_tries_and_the_others_wait(redis: Redis) -> None:
    """While the size is being found one request tries at a time; nobody waits who has no more than fits, or sends
    something else."""
    made = await sizes(redis)
    async with made.turn(ROUTE, lambda: 51):
        other = asyncio.create_task(_sent(made))
        async with made.turn(ROUTE, lambda: 50), made.turn(Route.NOTE_LEADS, lambda: 51):
            assert not other.done()
        await asyncio.sleep(0)
        assert not other.done()
    await other


async def test_who_waited_goes_on_side_by_side(redis: Redis) -> None:
    """Once the size is found, those who waited for it do not go one after the other."""
    made = await sizes(redis, 200)
    inside = asyncio.Barrier(3)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group, made.turn(ROUTE, lambda: 1000):
        for _ in range(3):
            group.create_task(_sent(made, inside))
        await asyncio.sleep(0)  # all three wait now
        await made.went(ROUTE, 200, more=True)


async def _sent(made: BatchSizes, inside: asyncio.Barrier | None = None) -> None:
    async with made.turn(ROUTE, lambda: 1000):
        if inside is not None:
            await inside.wait()


@given(st.lists(st.tuples(st.booleans(), st.integers(1, LARGEST), st.booleans())), st.integers(1, LARGEST))
def test_a_size_is_always_one_that_amocrm_takes(answers: list[tuple[bool, int, bool]], first: int) -> None:
    """Whatever is answered, in whatever order: between 1 and 250, and never above what was found to be too much."""
    size = Size(first)
    for went, count, more in answers:
        if went:
            size.went(count, more=more)
        else:
            size.too_large(count)
            assert size.now <= max(1, count // 2)
        assert 1 <= size.now <= size.most <= LARGEST
