"""Talks go into the CRM as they are written, and what is known is left alone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
import pytest

from leadsync.events import RecordFinished
from tests.follow.following import following
from tests.world import MAPPING, World, talk

DIALOGS = {"type": "redis-dialogs", "match": "dialog:*", "mapping": "mapping.yaml", "poll": "0.05s"}


@pytest.fixture
async def told_world(world: World) -> AsyncIterator[World]:
    """A world whose Redis tells what is written, and whose source would be looked through once in an hour."""
    world.write(sources={"dialogs": {**DIALOGS, "poll": "1h"}})
    await world.redis.config_set("notify-keyspace-events", "AK")
    yield world
    await world.redis.config_set("notify-keyspace-events", "")


async def test_what_is_there_goes_first(world: World) -> None:
    """A service begins with all there is, like a run, and a second one finds nothing to do."""
    world.write(sources={"dialogs": DIALOGS})
    await world.store([talk("1", phone="+79161234567"), talk("2")])
    async with following(world) as (service, ear):
        await ear.finished(2)
    assert len(world.leads()) == 2
    assert service.left.records == 0
    assert (service.report.created["leads"], service.report.records) == (2, 2)
    writes = len(world.writes())
    async with following(world) as (_, ear):
        await world.store([talk("3")])
        await ear.finished(1)
    assert len(world.leads()) == 3
    assert len([one for one in world.writes()[writes:] if one.path == "/api/v4/leads"]) == 1


async def test_looked_through_again_and_again(world: World) -> None:
    """Where Redis tells nothing, a new talk and one that goes on are found by looking."""
    world.write(sources={"dialogs": DIALOGS})
    async with following(world) as (_, ear):
        await ear.state("working")
        await world.store([talk("1", "раз")])
        await ear.finished(1)
        await world.store([talk("1", "раз", "два")])
        await ear.finished(2)
    assert ear.outcomes() == ["create", "update"]
    assert [text for _, text in world.notes()] == ["user: раз", "user: два"]


async def test_redis_tells(told_world: World) -> None:
    """A write to a text, to a hash, or to the messages of a hash wakes the service by itself."""
    world, redis = told_world, told_world.redis
    await world.store([talk("0")])
    async with following(world) as (_, ear):
        await ear.finished(1)
        await world.store([talk("1")])
        await ear.finished(2)
        await redis.hset("dialog:2", mapping={"source": "telegram", "user_name": "Анна"})
        await ear.finished(3)
        await redis.rpush("dialog:2:messages", orjson.dumps({"role": "user", "text": "раз"}))
        await ear.finished(4)
        await redis.set("other:3", "none of ours")
        await world.store([talk("4")])
        await ear.finished(5)
    assert ear.outcomes() == ["create", "create", "create", "update", "create"]
    assert (world.leads()[2]["id"], "user: раз") in world.notes()


async def test_a_refused_talk_is_not_tried_with_every_look(world: World) -> None:
    """A record that was refused is tried again when it changes, not each time its source is looked through."""
    world.write({**MAPPING, "lead": {**MAPPING["lead"], "price": "{{ budget }}"}}, sources={"dialogs": DIALOGS})
    await world.store([talk("1", budget="дорого")])
    async with following(world) as (_, ear):
        await ear.finished(1)
        for number in range(3):
            await world.store([talk(f"other{number}")])
            await ear.finished(2 + number)
        assert [one.tries for one in await world.refused()] == [1]
        await world.store([talk("1", budget="100")])
        await ear.hears(RecordFinished, lambda one: one.outcome == "create", 4)
    assert await world.refused() == []


async def test_many_sources_and_files(world: World) -> None:
    """All sources are followed where none is named; a line that is added to a file is a record of its own."""
    lines = {"type": "jsonl", "path": "inbox/*.jsonl", "mapping": "mapping.yaml", "poll": "0.05s"}
    world.write(sources={"dialogs": DIALOGS, "inbox": lines})
    (world.folder / "inbox").mkdir()
    file = world.folder / "inbox/a.jsonl"
    file.write_bytes(orjson.dumps(talk("1")) + b"\n")
    await world.store([talk("2")])
    async with following(world) as (_, ear):
        await ear.finished(2)
        with file.open("ab") as added:
            added.write(orjson.dumps(talk("3")) + b"\n")
        await ear.finished(3)
    assert {one.source for one in ear.events if isinstance(one, RecordFinished)} == {"dialogs", "inbox"}
    assert len(world.leads()) == 3


async def test_only_the_source_that_is_named(world: World) -> None:
    """With a name, the other sources are left alone."""
    world.write(sources={"dialogs": DIALOGS, "others": {**DIALOGS, "match": "other:*"}})
    await world.store([talk("1")])
    await world.redis.set("other:2", orjson.dumps(talk("2")))
    async with following(world, "others") as (_, ear):
        await ear.finished(1)
    assert [one["contacts"] for one in world.leads()] == [[]]
    assert len(world.leads()) == 1
