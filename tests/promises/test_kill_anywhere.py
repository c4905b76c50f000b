"""A process may die at any instruction: whoever comes next finds what it left."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.promises.crowd import Crowd
from tests.promises.promises import assert_kept
from tests.promises.worker import Fate, Life, live, push, run
from tests.world import World

KILLED = -9


async def test_one_life_is_enough_without_trouble(world: World, seed: int) -> None:
    """A run that nobody disturbs keeps the promises, or the other tests of this file say nothing."""
    crowd = Crowd.of(60, seed, long=1)
    await world.store([one.stored for one in crowd.talks])
    assert await live(run, world.folder) == 0
    await assert_kept(world, crowd)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_run_is_killed_everywhere(world: World, seed: int) -> None:
    """A run of 300 talks that is killed forty times and more, anywhere, while talks grow, makes everything once."""
    crowd, dice = Crowd.of(300, seed, long=3), random.Random(seed)
    await world.store([one.stored for one in crowd.talks])
    world.write(amocrm={"batch_size": 5})
    world.sandbox.faults.add(f"POST /api/v4/* late p=0.3 seconds=0.02 seed={seed}")
    deaths = ends = 0
    while deaths < 40 or ends == 0:
        code = await _killed_somewhere(world, dice)
        assert code in (0, KILLED)
        deaths, ends = (deaths + 1, ends) if code else (deaths, ends + 1)
        if deaths < 40 and dice.random() < (0.2 if code else 1):
            for talk in dice.sample(crowd.talks, 40):
                talk.says(dice, dice.randint(1, 3))
            await world.store([one.stored for one in crowd.talks])
            ends = 0
    assert await live(run, world.folder) == 0
    await assert_kept(world, crowd)


async def _killed_somewhere(world: World, dice: random.Random) -> int:
    """One life that ends in the opening, at a turn of the event loop, or when so many requests reached the CRM."""
    way = dice.random()
    if way < 0.1:
        return await live(run, world.folder, Fate(dice.randint(1, 250), 1))
    if way < 0.7:
        return await live(run, world.folder, Fate(from_open=dice.randint(1, 450)))
    life, log = Life(run, world.folder), world.sandbox.requests
    ended = asyncio.create_task(life.end())
    reached = asyncio.create_task(log.reached(log.total + dice.randint(1, 20)))
    await asyncio.wait({ended, reached}, return_when=asyncio.FIRST_COMPLETED)
    reached.cancel()
    life.kill()
    return await ended


@pytest.mark.slow
async def test_three_processes_push_and_are_killed(world: World, seed: int) -> None:
    """Three processes push the same talks and are killed and started again: everything is made once."""
    crowd, dice = Crowd.of(120, seed, long=1), random.Random(seed)
    await asyncio.gather(*(_push_until_done(world, crowd, random.Random(dice.random())) for _ in range(3)))
    await assert_kept(world, crowd)


async def _push_until_done(world: World, crowd: Crowd, dice: random.Random) -> None:
    """Push everything, in an order of one's own; ten processes die before one lives to its end."""
    talks = dice.sample([one.stored for one in crowd.talks], len(crowd.talks))
    for _ in range(10):
        assert await live(push, world.folder, talks, Fate(from_open=dice.randint(1, 400))) == KILLED
    assert await live(push, world.folder, talks) == 0
