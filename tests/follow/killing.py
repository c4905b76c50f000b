"""Workers on one stream that are killed while talks arrive."""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left
from collections.abc import Sequence

from redis.asyncio import Redis

from tests.follow.following import add, follow, pending, until
from tests.promises.crowd import Crowd
from tests.promises.worker import Life
from tests.world import World

WORKERS = 3


async def live_and_die(world: World, crowd: Crowd, dice: random.Random, *, seconds: float, deaths: int) -> None:
    """Talks arrive for so long, and a worker is killed and started again so many times meanwhile; all is brought in."""
    lives = [Life(follow, world.folder) for _ in range(WORKERS)]

    async def write() -> None:
        for one in crowd.talks:
            await add(world.redis, one.stored)
            await asyncio.sleep(seconds / len(crowd.talks))

    async def kill() -> None:
        for _ in range(deaths):
            await asyncio.sleep(seconds / deaths)
            number = dice.randrange(WORKERS)
            lives[number].kill()
            assert await lives[number].end() == -9
            lives[number] = Life(follow, world.folder)

    await asyncio.gather(write(), kill())
    await all_accepted(world.redis)
    for life in lives:
        life.terminate()
    assert [await life.end() for life in lives] == [0] * WORKERS


async def all_accepted(redis: Redis, patience: float = 240) -> None:
    """Wait until the group has given out everything, and nobody has anything any more."""

    async def accepted() -> bool:
        groups = await redis.xinfo_groups("talks") if await redis.exists("talks") else []
        return bool(groups) and groups[0]["lag"] == 0 and await pending(redis) == 0

    await until(accepted, patience)


def most_in_a_second(ticks: Sequence[float]) -> int:
    """How many came in the fullest second."""
    ordered = sorted(ticks)
    return max(bisect_left(ordered, one + 1.0) - number for number, one in enumerate(ordered))
