"""Redis that goes away in the middle of a run, and comes back with what it kept."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from leadsync.sandbox import Sandbox
from tests.cli.terminal import running
from tests.promises.crowd import Crowd
from tests.promises.promises import assert_kept
from tests.promises.server import KeptValkey
from tests.promises.worker import Life, live, run
from tests.world import World

OPENING = 6
"""Requests in which the first process learns the account's names."""


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[KeptValkey]:
    """A server with an append-only file."""
    async with KeptValkey(tmp_path / "valkey") as valkey:
        yield valkey


@pytest.fixture
async def kept_world(valkey: KeptValkey, tmp_path: Path) -> AsyncIterator[World]:
    """A world whose memory is that server."""
    async with Sandbox(rate=0) as sandbox:
        world = World(sandbox, valkey.redis, valkey.url, tmp_path)
        world.write(amocrm={"batch_size": 5})
        sandbox.faults.add("POST /api/v4/* late seconds=0.03")  # so that there is time for trouble
        yield world


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_redis_restarts_during_runs(
    kept_world: World, valkey: KeptValkey, seed: int, number: signal.Signals
) -> None:
    """Runs during which Redis is stopped or killed, and started again, make everything once."""
    world, dice = kept_world, random.Random(seed)
    crowd = Crowd.of(120, seed, long=1)
    await world.store([one.stored for one in crowd.talks])
    log = world.sandbox.requests
    for _ in range(6):
        life = Life(run, world.folder)
        ended = asyncio.create_task(life.end())
        reached = asyncio.create_task(log.reached(log.total + dice.randint(1, 12)))
        await asyncio.wait({ended, reached}, return_when=asyncio.FIRST_COMPLETED)
        reached.cancel()
        await valkey.stop(number)
        await valkey.start()
        assert await ended in (0, 1)
    assert await live(run, world.folder) == 0
    await assert_kept(world, crowd)


@pytest.mark.slow
async def test_redis_is_gone(kept_world: World, valkey: KeptValkey, seed: int) -> None:
    """Without Redis the command stops and says why; once it is back, the rest is made and nothing twice."""
    world = kept_world
    crowd = Crowd.of(60, seed, long=1)
    await world.store([one.stored for one in crowd.talks])
    log = world.sandbox.requests
    async with running(world.folder, "run") as command:
        await log.reached(OPENING + random.Random(seed).randint(1, 6))
        await valkey.stop(signal.SIGKILL)
        ended = await command.ended()
    assert ended.code == 1
    assert "Redis cannot be reached" in ended.err
    assert "Traceback" not in ended.err
    sent = log.total
    async with running(world.folder, "run") as command:
        again = await command.ended()
    assert (again.code, log.total) == (1, sent)
    assert "Redis cannot be reached" in again.err
    await valkey.start()
    assert await live(run, world.folder) == 0
    await assert_kept(world, crowd)
