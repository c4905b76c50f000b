"""redis-stream: entries in the shapes bots write, shared out by a group and let go of when they are accepted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from leadsync.errors import ConfigurationError, StateUnavailable, UnreadableRecord
from leadsync.records import Record
from leadsync.sources.base import RawRecord
from leadsync.sources.redis_stream import RedisStream, RedisStreamOptions
from leadsync.sources.stream_group import LEFT, ConsumerGroup
from leadsync.state.owners import new_owner
from tests.sources.reading import context, outcome, read

DEAD = f"{new_owner().rpartition('/')[0].rpartition('/')[0]}/1/elsewhere"
"""A consumer of this machine whose process has ended: nobody with that number began then."""


@pytest.fixture
async def source(redis: Redis) -> AsyncIterator[RedisStream]:
    """A source of the stream `talks`."""
    made = stream(redis)
    yield made
    await made.aclose()


def stream(redis: Redis, **options: Any) -> RedisStream:
    return RedisStream("bot", RedisStreamOptions(stream="talks", **options), context(redis))


async def taken(source: RedisStream) -> list[RawRecord]:
    return [raw async for page in source.open_pages(take=True) for raw in page]


async def shown(source: RedisStream) -> list[RawRecord]:
    return [raw async for page in source.open_pages(take=False) for raw in page]


def ids(raws: Sequence[RawRecord]) -> list[str]:
    return [raw.read().id for raw in raws]


async def add(redis: Redis, *records: dict[str, Any]) -> list[str]:
    return [f"talks:{(await redis.xadd('talks', {'record': orjson.dumps(one)})).decode()}" for one in records]


async def consumers(redis: Redis) -> dict[bytes, int]:
    return {one["name"]: one["pending"] for one in await redis.xinfo_consumers("talks", "leadsync")}


# What an entry may hold

SHAPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "JSON in record": ({"record": b'{"id": "1", "phone": "123"}'}, {"id": "1", "phone": "123", "source": "bot"}),
    "JSON in data": ({"data": b'{"id": 1, "source": "avito"}'}, {"id": "1", "source": "avito"}),
    "fields beside the JSON": ({"id": "1", "source": "web", "data": b'{"source": "avito"}'}, {"source": "avito"}),
    "a list of messages": ({"id": "1", "data": b'[{"role": "user", "content": "hi"}]'}, {"id": "1"}),
    "a field each": ({"id": "007", "phone": "8916", "budget": "500", "source": "web"}, {"id": "007", "budget": 500}),
    "a field that is called data": ({"id": "1", "data": "plain"}, {"id": "1", "extra": {"data": "plain"}}),
}


@pytest.mark.parametrize("name", SHAPES)
async def test_what_an_entry_may_hold(redis: Redis, source: RedisStream, name: str) -> None:
    """The record is the JSON in `record` or `data`, or else each field is one of its parts, as in a hash."""
    fields, wanted = SHAPES[name]
    id = (await redis.xadd("talks", fields)).decode()
    (record,) = (await outcome(source)).values()
    assert isinstance(record, Record)
    assert {key: getattr(record, key) for key in wanted} == wanted
    assert list(await outcome(source)) == [f"talks:{id}"]
    if name == "a list of messages":
        assert [one.text for one in record.messages] == ["hi"]


@pytest.mark.parametrize(
    "fields", [{"record": b'{"id": "1"'}, {"phone": "1"}, {"record": b'{"id": []}'}, {"id": b"\xff"}]
)
async def test_what_cannot_be_read_is_one_refused_record(redis: Redis, source: RedisStream, fields: Any) -> None:
    """An entry that is no record says so, with stream and id, and shows itself to people; the rest go on."""
    place = f"talks:{(await redis.xadd('talks', fields)).decode()}"
    await add(redis, {"id": "2"})
    first, second = await taken(source)
    refused = read(first)
    assert isinstance(refused, UnreadableRecord)
    assert refused.where == place
    assert first.as_found()
    assert second.read().id == "2"


def test_a_redis_of_its_own_needs_a_url(redis: Redis) -> None:
    """A wrong `url` is told without it."""
    with pytest.raises(ConfigurationError) as caught:
        stream(redis, url="http://secret@example.com")
    assert "secret" not in str(caught.value)


# Who has what


async def test_nothing_is_taken_by_looking(redis: Redis, source: RedisStream) -> None:
    """A plan sees what nobody has accepted, and leaves the group as it was, or not there."""
    await add(redis, {"id": "1"}, {"id": "2"}, {"id": "3"})
    assert ids(await shown(source)) == ["1", "2", "3"]
    assert await redis.xinfo_groups("talks") == []
    places = [raw.place for raw in await taken(source)]
    await source.accepted(places[:1])
    before = await consumers(redis)
    assert ids(await shown(source)) == ["2", "3"]
    await add(redis, {"id": "4"})
    assert ids(await shown(source)) == ["2", "3", "4"]
    assert await consumers(redis) == before
    assert list(map(str, ids([raw async for page in source.raw_pages() for raw in page]))) == ["1", "2", "3", "4"]


async def test_a_stream_that_is_not_there(redis: Redis, source: RedisStream) -> None:
    """An absent stream is an empty one; who takes from it makes it, so that nothing written later is missed."""
    assert await shown(source) == []
    assert await outcome(source) == {}
    assert await taken(source) == []
    await add(redis, {"id": "1"})
    assert ids(await taken(source)) == ["1"]


async def test_each_entry_is_one_workers(redis: Redis, source: RedisStream) -> None:
    """What was given to one is not given to another, until it is left."""
    await add(redis, {"id": "1"}, {"id": "2"})
    other = ConsumerGroup(redis, "talks", "leadsync")
    other.me = new_owner()
    await other.create()
    assert len(await other.new(1)) == 1
    assert ids(await taken(source)) == ["2"]
    await other.leave()
    assert ids(await taken(source)) == ["2", "1"]
    assert await consumers(redis) == {source._group.me.encode(): 2}


async def test_what_the_dead_had_is_taken_over_at_once(redis: Redis, source: RedisStream) -> None:
    """A consumer of this machine that died is known at once; it is taken out when it has nothing any more."""
    await add(redis, {"id": "1"}, {"id": "2"}, {"id": "3"})
    await redis.xgroup_create("talks", "leadsync", id="0")
    await redis.xreadgroup("leadsync", DEAD, {"talks": ">"}, count=2)
    await redis.xreadgroup("leadsync", "a stranger who lives", {"talks": ">"}, count=1)
    assert ids(await taken(source)) == ["1", "2"]
    assert set(await consumers(redis)) == {source._group.me.encode(), b"a stranger who lives"}


async def test_who_closes_gives_back(redis: Redis, source: RedisStream) -> None:
    """What was not accepted is there for the next at once, and the group has no consumer that is gone."""
    await add(redis, {"id": "1"}, {"id": "2"})
    one, two = await taken(source)
    await source.accepted([one.place])
    await source.aclose()
    assert await consumers(redis) == {LEFT: 1}
    other = stream(redis)
    assert ids(await taken(other)) == ["2"]
    await other.accepted([two.place])
    await other.aclose()
    assert await consumers(redis) == {}


async def test_new_entries_end_a_wait(redis: Redis, source: RedisStream) -> None:
    """Who follows is woken by Redis; begun again, it finds what it had before."""
    async with aclosing(source.changed(3600)) as pages:
        next_page = asyncio.ensure_future(anext(pages))
        await add(redis, {"id": "1"})
        assert ids(await next_page) == ["1"]
        await add(redis, {"id": "2"})
        assert ids(await anext(pages)) == ["2"]
    async with aclosing(source.changed(3600)) as pages:
        assert ids(await anext(pages)) == ["1", "2"]


async def test_the_newest_entry_of_a_talk_counts(redis: Redis, source: RedisStream) -> None:
    """An entry is outdated once anybody was given a newer one of its talk; who comes across it lets go of it."""
    places = await add(redis, {"id": "1"}, {"id": "1", "source": "web"})
    old, other = await taken(source)
    assert await source.outdated([old, other]) == set()
    places += await add(redis, {"id": "1"})
    (new,) = (raw for raw in await taken(source) if raw.place not in places[:2])
    assert await source.outdated([old, other, new]) == {places[0]}
    assert [raw.place for raw in await source.again(places) or ()] == places[1:]
    assert await consumers(redis) == {source._group.me.encode(): 2}


async def test_entries_that_were_trimmed_away(redis: Redis, source: RedisStream) -> None:
    """An entry that was deleted while somebody had it is let go of."""
    places = await add(redis, {"id": "1"}, {"id": "2"})
    await taken(source)
    await redis.xtrim("talks", maxlen=1, approximate=False)
    assert [raw.place for raw in await source.again(places) or ()] == places[1:]
    assert await consumers(redis) == {source._group.me.encode(): 1}
    await redis.xtrim("talks", maxlen=0, approximate=False)
    assert await taken(source) == []
    assert await consumers(redis) == {source._group.me.encode(): 0}


async def test_a_key_that_is_no_stream(redis: Redis, source: RedisStream) -> None:
    """Something else at that key is told with the source's name."""
    await redis.set("talks", "text")
    with pytest.raises(StateUnavailable, match="the source bot"):
        await taken(source)
