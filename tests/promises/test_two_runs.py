"""Several workers of one source at the same time."""

from __future__ import annotations

import asyncio

import pytest

from tests.processes import processes
from tests.promises.crowd import Crowd
from tests.promises.promises import assert_kept
from tests.promises.worker import live, push, run
from tests.world import World


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
async def test_runs_at_the_same_time(world: World, seed: int, count: int) -> None:
    """Runs of one source at the same time make everything once, and each ends with 0."""
    crowd = Crowd.of(120, seed, long=1)
    await world.store([one.stored for one in crowd.talks])
    world.sandbox.faults.add("POST /api/v4/* late p=0.5 seconds=0.01")
    assert await asyncio.gather(*(live(run, world.folder) for _ in range(count))) == [0] * count
    await assert_kept(world, crowd)


@pytest.mark.slow
async def test_commands_at_the_same_time(world: World, seed: int) -> None:
    """The command itself, twice at once, under a CRM that refuses what comes too fast."""
    crowd = Crowd.of(40, seed)
    await world.store([one.stored for one in crowd.talks])
    world.sandbox.switches.rate = 15
    ended = await processes(2, world.folder, "run")
    assert [one.code for one in ended] == [0, 0]
    await assert_kept(world, crowd)


@pytest.mark.slow
async def test_run_and_pushes_at_the_same_time(world: World, seed: int) -> None:
    """A run and two processes that push the same talks, with answers lost, make everything once."""
    crowd = Crowd.of(90, seed)
    await world.store([one.stored for one in crowd.talks])
    world.sandbox.faults.add(f"POST /api/v4/* drop_after p=0.2 seed={seed}")
    world.sandbox.faults.add(f"POST /api/v4/* drop_before p=0.2 seed={seed + 1}")
    talks = [one.stored for one in crowd.talks]
    lives = [live(run, world.folder), live(push, world.folder, talks), live(push, world.folder, talks[::-1])]
    assert await asyncio.gather(*lives) == [0, 0, 0]
    await assert_kept(world, crowd)


async def test_pipelines_of_one_process(world: World, seed: int) -> None:
    """Two pipelines in one process do not disturb each other, under a CRM that refuses what comes too fast."""
    crowd = Crowd.of(60, seed)
    await world.store([one.stored for one in crowd.talks])
    world.sandbox.switches.rate = 60
    reports = await asyncio.gather(world.run(), world.run())
    assert sum(one.created["leads"] for one in reports) == len(crowd.talks)
    assert [one.refused for one in reports] == [[], []]
    await assert_kept(world, crowd)
