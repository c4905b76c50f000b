"""Two hours in the life of a service, in well under two minutes: the clock is moved, a minute at a time.

The time of day of every process of leadsync, of the look-alike and of what lives for a while in Redis is the test's; it
stands still while the talks of a minute go in, so that a busy machine only takes longer.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from leadsync.sandbox import Sandbox
from leadsync.sandbox.starter import ADMIN_ID
from tests.cli.terminal import Running, running
from tests.conftest import Valkey
from tests.follow import moved_clock
from tests.follow.following import STREAM, add
from tests.follow.killing import all_accepted
from tests.follow.moved_clock import MovedClock
from tests.promises.crowd import Crowd, Talk
from tests.promises.promises import assert_kept
from tests.web.serving import LEADS, bearer, with_key
from tests.world import World

TOKEN = "/oauth2/access_token"

MINUTE = 60
LAST = 120
LIFE = 20
"""Minutes that an access token lives. It is renewed after half of them; the refresh token is good for once."""

NIGHT = range(61, 95)
"""Minutes in which nobody writes: the access token ends, in amoCRM and in Redis."""

DEATH = 34
"""The minute in which a worker is killed in the middle of its work."""

RENEWED = [10, 20, 30, 40, 50, 60, 95, 105, 115]
"""The minutes of all renewals that this life asks for: the first talk after half a life."""

AGED = """
local cursor, passed = '0', tonumber(ARGV[1])
repeat
  local found = redis.call('SCAN', cursor, 'COUNT', 1000)
  for _, name in ipairs(found[2]) do
    local left = redis.call('PTTL', name)
    if left > 60000 then redis.call('PEXPIRE', name, math.max(1, left - passed)) end
  end
  cursor = found[1]
until cursor == '0'
"""
"""Lets time pass for what has a life in Redis. A life of up to a minute is a lease: a process that is there prolongs it
in time, by a clock that nobody moves."""


class Life:
    """A world whose clock is moved, with commands that live in it."""

    def __init__(self, world: World, clock: MovedClock, clock_file: Path) -> None:
        self.world = world
        self._clock = clock
        self._program = (moved_clock.__file__, str(clock_file))
        self._began = clock()

    def command(self, *arguments: str) -> AbstractAsyncContextManager[Running]:
        """Start a command of leadsync that lives by this clock."""
        return running(self.world.folder, *arguments, program=self._program)

    @property
    def minute(self) -> int:
        """Minutes since it began."""
        return round((self._clock() - self._began) / MINUTE)

    async def goes_on(self, minutes: int = 1) -> None:
        """Let time pass."""
        self._clock.move(minutes * MINUTE)
        await self.world.redis.eval(AGED, 0, minutes * MINUTE * 1000)

    async def log_in(self) -> None:
        """What a person does once."""
        code = self.world.sandbox.oauth.code(ADMIN_ID)
        async with self.command("auth", "exchange", code) as command:
            assert (await command.ended()).code == 0

    def renewals(self) -> int:
        """How often the token was renewed; the first pair came with the login."""
        return len(self.world.requests("POST", TOKEN)) - 1


@pytest.fixture
async def life(redis: Redis, valkey_server: Valkey, tmp_path: Path) -> AsyncIterator[Life]:
    """A project with a stream and an API key, and a look-alike of strict tokens."""
    file = tmp_path / "clock"
    clock = MovedClock(file, float(round(time.time())))
    async with Sandbox(rate=0, clock=clock) as sandbox:
        sandbox.switches.access_token_life = LIFE * MINUTE
        world = World(sandbox, redis, valkey_server.url, tmp_path)
        world.write(sources={"talks": STREAM})
        with_key(world, **world.integration())
        yield Life(world, clock, file)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_tokens_are_renewed_and_none_is_lost(life: Life, seed: int) -> None:
    """Workers that follow and a service that is pushed to share a login for two hours: it is renewed when it is time,
    never besides, nobody has to log in, the last refresh token works, and every talk is in the CRM once."""
    world = life.world
    crowd = Crowd.of(3 * (LAST - len(NIGHT)), seed)
    talks = iter(crowd.talks)
    renewed: list[int] = []
    await life.log_in()
    async with (
        life.command("run", "--follow") as dying,
        life.command("run", "--follow") as worker,
        life.command("run", "--follow") as heir,
        life.command("serve", "--port", "0") as service,
        httpx.AsyncClient(base_url=await service.line(), trust_env=False, timeout=60, headers=bearer()) as bot,
    ):
        while life.minute < LAST:
            before = life.renewals()
            await life.goes_on(len(NIGHT) + 1 if life.minute + 1 in NIGHT else 1)
            await asyncio.gather(written(world, next(talks), next(talks)), pushed(bot, next(talks)))
            if life.minute == DEATH:
                dying.process.kill()
            await all_accepted(world.redis)
            renewed += [life.minute] * (life.renewals() - before)
        for command in (worker, heir, service):
            assert (await command.ended(signal.SIGTERM)).code == 0
    assert renewed == RENEWED
    await assert_nothing_lost(world, crowd)


async def written(world: World, *talks: Talk) -> None:
    """Write talks into the stream, and return when the CRM has heard of something."""
    heard = world.sandbox.requests.total
    await add(world.redis, *(one.stored for one in talks))
    await world.sandbox.requests.reached(heard + 1)


async def pushed(bot: httpx.AsyncClient, talk: Talk) -> None:
    """Send a talk to the service, which brings it in."""
    answer = await bot.post(LEADS, json=talk.stored)
    assert answer.status_code == 200, answer.text


async def assert_nothing_lost(world: World, crowd: Crowd) -> None:
    """All talks are in the CRM once; no request was refused, and the refresh token that is stored is good."""
    await assert_kept(world, crowd)
    assert await world.refused() == []
    assert {one.status for one in world.sandbox.requests if one.status is not None} <= {200, 204}
    stored = await world.tokens.load()
    assert stored is not None
    assert stored.refresh_token is not None
    assert world.sandbox.oauth.knows_refresh(stored.refresh_token)
