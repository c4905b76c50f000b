"""What stands in the way is a state: the service waits in it and goes on by itself, and nothing is lost or doubled."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from leadsync.sandbox import Sandbox
from tests.follow.following import STREAM, add, following, pending, until
from tests.follow.killing import all_accepted
from tests.promises.crowd import Crowd
from tests.promises.promises import assert_kept
from tests.promises.server import KeptValkey
from tests.world import World, talk

DIALOGS = {"type": "redis-dialogs", "match": "dialog:*", "mapping": "mapping.yaml", "poll": "0.05s"}


@pytest.fixture
async def streaming(world: World) -> World:
    """A world whose source is a stream."""
    world.write(sources={"talks": STREAM}, amocrm={"batch_size": 10})
    return world


async def test_the_crm_is_away(streaming: World, seed: int) -> None:
    """While amoCRM does not answer, entries stay pending; once it does they go in, by themselves and once."""
    world, crowd = streaming, Crowd.of(40, seed)
    async with following(world) as (_, ear):
        await add(world.redis, *(one.stored for one in crowd.talks[:10]))
        await ear.finished(10)
        world.sandbox.faults.add("* /api/v4/* drop_before")
        await add(world.redis, *(one.stored for one in crowd.talks[10:]))
        await ear.state("crm unavailable")
        assert await pending(world.redis) == 30
        tries = world.sandbox.requests.total
        await world.sandbox.requests.reached(tries + 20)
        world.sandbox.faults.clear()
        await ear.state("working", 2)
        await ear.finished(40)
        await all_accepted(world.redis)
    assert ear.states == ["working", "crm unavailable", "working", "draining"]
    await assert_kept(world, crowd)


async def test_the_crm_is_away_at_the_beginning(streaming: World) -> None:
    """A service that begins while amoCRM is away waits for it."""
    world = streaming
    world.sandbox.faults.add("* /api/v4/* 500_before")
    await add(world.redis, talk("1"))
    async with following(world) as (_, ear):
        await ear.state("crm unavailable")
        world.sandbox.faults.clear()
        await ear.finished(1)
    assert len(world.leads()) == 1


async def test_trouble_ends_without_work(world: World) -> None:
    """Where nothing waits any more, amoCRM is asked whether it answers again: somebody waits to hear that."""
    world.write(sources={"dialogs": DIALOGS})
    async with following(world) as (_, ear):
        await ear.state("working")
        world.sandbox.faults.add("* /api/v4/* 500_before")
        await world.store([talk("1")])
        await ear.state("crm unavailable")
        await world.redis.delete("dialog:1")
        world.sandbox.faults.clear()
        await ear.state("working", 2)
    assert ear.states[:3] == ["working", "crm unavailable", "working"]


async def test_a_ban(streaming: World) -> None:
    """After a 403 of the gateway nothing is sent for long; one try then shows that it is over, and records go in."""
    world = streaming
    async with following(world) as (_, ear):
        await add(world.redis, talk("1"))
        await ear.finished(1)
        world.sandbox.faults.add("POST /api/v4/leads ban403 times=1")
        await add(world.redis, *(talk(str(number)) for number in range(2, 8)))
        await ear.state("banned")
        sent = world.sandbox.requests.total
        banned = world.sandbox.requests[-1].tick
        await ear.finished(7)
        pauses = [one.tick - banned for one in world.sandbox.requests if one.number > sent]
        # What was on the wire just then may still arrive.
        assert [seconds for seconds in pauses if 0.1 < seconds < 0.95] == []
        await all_accepted(world.redis)
    assert ear.states[:3] == ["working", "banned", "working"]
    assert len(world.leads()) == 7


async def test_a_login_is_needed(streaming: World) -> None:
    """Without a login records wait, at the beginning and later on; after somebody has logged in they go in."""
    world = streaming
    world.settings(**world.integration())
    await add(world.redis, talk("1"))
    async with following(world) as (_, ear):
        await ear.state("login needed")
        assert world.leads() == []
        await world.log_in()
        await ear.finished(1)
        world.sandbox.oauth.revoke_all()
        await add(world.redis, talk("2"), talk("3"))
        await ear.state("login needed", 2)
        assert await pending(world.redis) == 2
        await world.log_in()
        await ear.finished(3)
    assert ear.states == ["login needed", "working", "login needed", "working", "draining"]
    assert len(world.leads()) == 3


async def test_a_source_that_is_away(world: World, tmp_path: Path) -> None:
    """A Redis of a source that does not answer keeps no other source waiting, and is asked again."""
    async with KeptValkey(tmp_path / "other") as other:
        world.write(sources={"far": {**STREAM, "url": other.url}, "dialogs": DIALOGS})
        async with following(world) as (_, ear):
            await add(other.redis, talk("1"))
            await ear.finished(1)
            await other.stop(signal.SIGKILL)
            await ear.state("source unavailable")
            await world.store([talk("2")])
            await ear.finished(2)
            await other.start()
            await add(other.redis, talk("3"))
            await ear.finished(3)
    assert len(world.leads()) == 3


@pytest.fixture
async def kept_world(tmp_path: Path) -> AsyncIterator[tuple[World, KeptValkey]]:
    """A world whose Redis can be stopped and started."""
    async with KeptValkey(tmp_path / "valkey") as valkey, Sandbox(rate=0) as sandbox:
        world = World(sandbox, valkey.redis, valkey.url, tmp_path)
        world.write(sources={"talks": STREAM}, amocrm={"batch_size": 5})
        sandbox.faults.add("POST /api/v4/* late seconds=0.03")
        yield world, valkey


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_redis_is_restarted(kept_world: tuple[World, KeptValkey], seed: int, number: signal.Signals) -> None:
    """Redis stops in the middle of the work and comes back with what it kept: everything goes in once."""
    world, valkey = kept_world
    crowd = Crowd.of(60, seed)
    async with following(world) as (_, ear):
        await ear.state("working")
        await add(world.redis, *(one.stored for one in crowd.talks))
        await world.sandbox.requests.reached(world.sandbox.requests.total + 4)
        await valkey.stop(number)
        await ear.state("redis unavailable")
        await valkey.start()
        await ear.state("working", 2)
        await all_accepted(world.redis)
    await assert_kept(world, crowd)


async def test_redis_has_forgotten(kept_world: tuple[World, KeptValkey]) -> None:
    """A Redis that comes back empty is begun with anew, the stream's group too."""
    world, _ = kept_world
    async with following(world) as (_, ear):
        await add(world.redis, talk("1"))
        await ear.finished(1)
        await world.redis.flushall()
        await add(world.redis, talk("2"))
        await until(lambda: has_leads(world, 2))
        await all_accepted(world.redis)


async def has_leads(world: World, count: int) -> bool:
    """Whether the account has so many leads."""
    return len(world.leads()) == count


async def test_an_item_that_is_lost_again_and_again(streaming: World) -> None:
    """A record that amoCRM does not take though it answers others waits in its stream and goes in by itself."""
    world = streaming
    async with following(world) as (_, ear):
        await ear.state("working")
        world.sandbox.faults.add("POST /api/v4/leads 504_before times=5")
        await add(world.redis, talk("1", phone="+79161234567"))
        await world.sandbox.requests.reached(8)
        await until(lambda: is_refused(world, "wait"))
        assert await pending(world.redis) == 1
        await ear.finished(1)
        await all_accepted(world.redis)
    assert ear.outcomes() == ["create"]
    assert (len(world.leads()), len(world.contacts()), await world.refused()) == (1, 1, [])


async def is_refused(world: World, remedy: str) -> bool:
    """Whether the only refused record has this remedy."""
    return [one.remedy for one in await world.refused()] == [remedy]
