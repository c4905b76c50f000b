"""A process that was stopped for longer than its claims hold: suspended, swapped out, cut off from Redis."""

from __future__ import annotations

import asyncio

import pytest

from leadsync.errors import StateUnavailable
from leadsync.events import Event, RequestFinished
from tests.promises.crowd import Crowd
from tests.promises.impatient import impatient
from tests.promises.promises import assert_kept
from tests.world import NAMES, World, talk


async def _silence(world: World) -> int:
    """What a long silence leaves in Redis: the proof that the process lives is gone. How many writes came before."""
    names = [name async for name in world.redis.scan_iter(NAMES.name("alive", "*"))]
    assert await world.redis.delete(*names)
    return len(world.writes())


async def test_run_that_was_silent_stops_before_it_sends_more(world: World, seed: int) -> None:
    """Another may be at its work: it sends nothing more, and says so; the next run makes the rest."""
    crowd = Crowd.of(40, seed)
    await world.store([one.stored for one in crowd.talks])
    silences: list[asyncio.Task[int]] = []

    def listener(event: Event) -> None:
        if not silences and isinstance(event, RequestFinished) and event.method == "POST":
            silences.append(asyncio.create_task(_silence(world)))

    world.sandbox.faults.add("POST /api/v4/* late seconds=0.05")
    with pytest.raises(StateUnavailable, match="stopped for longer"):
        async with impatient(world, listener) as pipeline:
            await pipeline.run()
    # One may have been looked at just before, and be on its way.
    assert len(world.writes()) <= await silences[0] + 1
    async with impatient(world) as pipeline:
        await pipeline.run()
    await assert_kept(world, crowd)


async def test_service_goes_on_after_a_silence(world: World) -> None:
    """A process that lives on and on works again after its silence, and so do others beside it."""
    async with impatient(world) as service:
        assert (await service.push(talk("1"))).success
        await _silence(world)
        async with impatient(world) as other:
            assert (await other.push(talk("2"))).success
            assert (await service.push(talk("1", "Здравствуйте", "ещё"))).success
            assert (await other.push(talk("1", "Здравствуйте", "ещё", "и ещё"))).success
    assert len(world.leads()) == 2
    assert len(world.notes()) == 4


async def test_service_stops_when_redis_forgot_everything(world: World) -> None:
    """Without its memory a process must not go on: it would make everything again."""
    async with impatient(world) as service:
        assert (await service.push(talk("1"))).success
        await world.redis.flushall()
        result = await service.push(talk("1"))
        assert not result.success
        assert "forgotten everything" in result.message
    assert len(world.leads()) == 1
