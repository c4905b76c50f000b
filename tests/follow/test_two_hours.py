"""Months in a few seconds: tokens live two seconds instead of a day, and refresh tokens can be used once."""

from __future__ import annotations

import asyncio

import pytest

from tests.follow.following import STREAM, add, follow
from tests.follow.killing import all_accepted
from tests.promises.crowd import Crowd
from tests.promises.promises import assert_kept
from tests.promises.worker import Life
from tests.world import World

TOKEN = "/oauth2/access_token"
LIFE = 2
"""Seconds: so a token is renewed after one, and twenty seconds are as many days."""

SECONDS, TALKS, WORKERS = 20.0, 200, 3


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_tokens_are_renewed_and_none_is_lost(world: World, seed: int) -> None:
    """Three workers outlive twenty tokens, one of them dies on the way: every renewal works, at most one goes on at a
    time, nobody has to log in, and all talks go in once."""
    world.write(sources={"talks": STREAM}, amocrm={"batch_size": 10})
    world.sandbox.switches.access_token_life = LIFE
    await world.log_in()
    world.sandbox.faults.add("* /api/v4/* late seconds=0.05")
    crowd = Crowd.of(TALKS, seed)
    lives = [Life(follow, world.folder) for _ in range(WORKERS)]
    for number, one in enumerate(crowd.talks):
        await add(world.redis, one.stored)
        await asyncio.sleep(SECONDS / TALKS)
        if number == TALKS // 2:
            lives[0].kill()
            assert await lives[0].end() == -9
            lives[0] = Life(follow, world.folder)
    await all_accepted(world.redis)
    for life in lives:
        life.terminate()
    assert [await life.end() for life in lives] == [0] * WORKERS
    await assert_kept(world, crowd)
    renewals = world.sandbox.requests.of("POST", TOKEN)[1:]  # the first was the login
    assert {one.status for one in renewals} == {200}
    lasted = world.sandbox.requests[-1].tick - renewals[0].tick
    assert SECONDS / 4 <= len(renewals) <= lasted / (LIFE / 2) + 1 + 1  # the killed one may have lost an answer
    stored = await world.tokens.load()
    assert stored is not None
    assert stored.refresh_token is not None
    assert world.sandbox.oauth.knows_refresh(stored.refresh_token)
