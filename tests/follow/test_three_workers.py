"""Several workers on one stream, of which some die: the group shares the work out, and nothing is done twice."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from leadsync.sandbox import Sandbox
from tests.conftest import Valkey
from tests.follow.following import STREAM
from tests.follow.killing import live_and_die, most_in_a_second
from tests.promises.crowd import Crowd
from tests.promises.promises import assert_kept
from tests.world import World

TALKS, SECONDS, DEATHS = 600, 60.0, 12


@pytest.fixture
async def busy_world(redis: Redis, valkey_server: Valkey, tmp_path: Path) -> AsyncIterator[World]:
    """A CRM that answers after a tenth of a second and refuses an eighth request in a second."""
    async with Sandbox() as sandbox:
        sandbox.faults.add("* /api/v4/* late seconds=0.1")
        world = World(sandbox, redis, valkey_server.url, tmp_path)
        world.write(amocrm={"requests_per_second": 6.5}, sources={"talks": STREAM})
        yield world


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_three_workers_of_which_one_is_killed_every_five_seconds(busy_world: World, seed: int) -> None:
    """While talks arrive for a minute nothing is doubled, nothing is lost, and no more than seven requests reach the
    CRM's machine in any second, whole, wherever it begins."""
    world, dice = busy_world, random.Random(seed)
    crowd = Crowd.of(TALKS, seed)
    await live_and_die(world, crowd, dice, seconds=SECONDS, deaths=DEATHS)
    await assert_kept(world, crowd)
    requests = list(world.sandbox.requests)
    if not all(one.noted for one in requests):
        pytest.skip("this kernel does not tell when a request came, and one that is read late is counted late")
    assert most_in_a_second([one.tick for one in requests]) <= 7
