"""Workers on one stream that are killed while talks arrive."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from leadsync.tasks import end_tasks
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


class Heartbeat:
    """Notes when this process, in which the look-alike answers, was held up by a busy machine: requests that came
    meanwhile are counted late, all in one moment, and say nothing of when they were sent."""

    STEADY = 0.03
    """Seconds between two beats that are no holding up."""

    def __init__(self) -> None:
        self._gaps: list[tuple[float, float]] = []

    async def beat(self) -> None:
        """Beat for ever."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.01)
            now = time.monotonic()
            if now - last > self.STEADY:
                self._gaps.append((last, now))
            last = now

    def was_steady(self, start: float, end: float) -> bool:
        """Whether nothing held it up then."""
        return all(until < start or since > end for since, until in self._gaps)


@asynccontextmanager
async def beating() -> AsyncIterator[Heartbeat]:
    """A heart that beats inside the block."""
    heart = Heartbeat()
    task = asyncio.create_task(heart.beat())
    try:
        yield heart
    finally:
        await end_tasks([task])


SECOND = 0.9
"""Of a second, what a busy machine leaves of it: a tenth may pass between the moment when a process may send and the
moment when its request is counted here. `python -m tests.benchmarks pace` measures whole seconds."""


def most_in_a_second(ticks: list[float], heart: Heartbeat) -> int:
    """How many requests came in the fullest second of those in which they were counted when they came."""
    seconds = [one for one in ticks if heart.was_steady(one, one + SECOND)]
    assert seconds
    return max(sum(1 for other in ticks if one <= other < one + SECOND) for one in seconds)
