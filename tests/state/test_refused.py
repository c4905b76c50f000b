"""Refused records at rest: sealed where there is a key, and gone when nobody tried them for long."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from redis.asyncio import Redis

from leadsync.errors import ConfigurationError
from leadsync.sealing import seal_of
from leadsync.state.refused import DAY, Refused, RefusedRecords
from tests.world import NAMES

OURS, OTHER = (seal_of(SecretStr(Fernet.generate_key().decode())) for _ in range(2))
RECORD = {"id": "1", "user_name": "Евстафий", "phone": "+79161234567"}


@dataclass(slots=True)
class Clock:
    """The time as a test wants it, in unix seconds."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def refused(key: str, at: float) -> Refused:
    """A refused record, last tried at a time."""
    return Refused(key, "inbox", f"inbox:{key}", "no such option", "fix the record", "lead.price", at, record=RECORD)


async def test_what_is_kept_is_sealed(redis: Redis) -> None:
    """Nothing of the record, its reason or its field can be read in Redis, and all of it with the key."""
    one = refused("telegram:1", Clock().now)
    records = RefusedRecords(redis, NAMES, OURS, clock=Clock())
    await records.keep([one])
    stored = b"".join((await redis.hgetall(NAMES.name("refused"))).values())
    for told in ("Евстафий", "9161234567", "no such option", "lead.price"):
        assert told.encode() not in stored
    assert await records.all() == [replace(one, items=[])]


async def test_what_was_kept_before_the_key_is_read_and_then_sealed(redis: Redis) -> None:
    """A plain record is found, counted and expired like the others; its next try seals it."""
    clock = Clock()
    await RefusedRecords(redis, NAMES, clock=clock).keep([refused("1", clock.now)])
    sealed = RefusedRecords(redis, NAMES, OURS, clock=clock)
    assert [one.tries for one in await sealed.all()] == [1]
    await sealed.keep([refused("1", clock.now)])
    stored = await redis.hget(NAMES.name("refused"), "1")
    assert OURS.is_current(stored)
    assert orjson.loads(OURS.open(stored))["tries"] == 2


async def test_without_the_key_it_is_said_and_nothing_is_lost(redis: Redis) -> None:
    """Reading with another key, or with none, raises; counting and dropping need no key."""
    clock = Clock()
    await RefusedRecords(redis, NAMES, OURS, clock=clock).keep([refused("1", clock.now)])
    for seal in (OTHER, seal_of(None)):
        records = RefusedRecords(redis, NAMES, seal, clock=clock)
        for reading in (records.all(), records.find(["1"]), records.check(), records.keep([refused("1", clock.now)])):
            with pytest.raises(ConfigurationError):
                await reading
        assert await records.count() == 1
    assert len(await RefusedRecords(redis, NAMES, OURS, clock=clock).all()) == 1
    assert await RefusedRecords(redis, NAMES, OTHER, clock=clock).drop_all() == 1
    assert await redis.keys("*") == []


async def test_who_was_not_tried_for_long_is_dropped(redis: Redis) -> None:
    """After `keep` seconds a record is not shown any more, and the next look takes it away and counts it."""
    clock = Clock()
    records = RefusedRecords(redis, NAMES, keep=90 * DAY, clock=clock)
    await records.keep([refused("old", clock.now), refused("new", clock.now + 60)])
    clock.now += 90 * DAY + 30
    assert [one.key for one in await records.all()] == ["new"]
    assert (await records.find(["old", "new"])).keys() == {"new"}
    assert (await records.count(), await records.oldest()) == (1, clock.now - 90 * DAY + 30)
    assert await records.expired_warnings() == [
        "1 refused record was dropped: the last try was more than 90 days ago (redis.keep_refused)"
    ]
    assert await redis.hkeys(NAMES.name("refused")) == [b"new"]
    assert await records.expired_warnings() == []


async def test_who_fails_again_and_again_stays(redis: Redis) -> None:
    """Every try begins the time anew, however often it was tried before."""
    clock = Clock()
    records = RefusedRecords(redis, NAMES, keep=90 * DAY, clock=clock)
    for _ in range(5):
        await records.keep([refused("1", clock.now)])
        clock.now += 89 * DAY
        assert await records.expire() == 0
    assert [one.tries for one in await records.all()] == [5]


async def test_records_whose_times_were_not_written_down_expire_too(redis: Redis) -> None:
    """What lies there from before has its time inside; so has what somebody took away behind our back."""
    clock = Clock()
    records = RefusedRecords(redis, NAMES, OURS, keep=DAY, clock=clock)
    await records.keep([refused(key, clock.now) for key in "ab"] + [refused("c", clock.now + DAY)])
    await redis.delete(NAMES.name("refused-at"))
    clock.now += DAY + 1
    assert await records.expire() == 2
    await redis.hdel(NAMES.name("refused"), "c")
    assert (await records.expire(), await records.count(), await records.oldest()) == (0, 0, None)
    assert await redis.keys("*") == []


def pushed(number: int, came: float, **fields: Any) -> Refused:
    """A push that the trouble of amoCRM held back."""
    record = {"id": str(number)} | fields
    return Refused(f"t:{number}", "talks", f"push:t:{number}", "away", "wait", None, came, record=record, came=came)


async def test_what_waits_has_an_order(redis: Redis) -> None:
    """Pushes that wait are known in the order in which they came, however often they are tried; nothing else is."""
    records = RefusedRecords(redis, NAMES, keep=1e12)
    await records.keep([pushed(2, 20.0), pushed(1, 10.0), pushed(3, 30.0)])
    await records.keep([replace(pushed(1, 10.0), at=99.0), refused("other", 1.0)])
    await records.keep([replace(pushed(4, 40.0), remedy="fix the record"), replace(pushed(5, 5.0), record=None)])
    await records.keep(
        [replace(pushed(6, 6.0), request="POST /leads", remedy="stop"), replace(pushed(7, 7.0), place="x")]
    )
    assert await records.waiting(10) == ["t:1", "t:2", "t:3"]
    await records.keep([replace(pushed(2, 20.0), remedy="fix the record")])
    await records.drop(["t:1"])
    assert await records.waiting(10) == ["t:3"]
    await records.drop_all()
    assert await redis.keys("*") == []


async def test_what_came_later_stays(redis: Redis) -> None:
    """Who went through takes along what came before it, and leaves what came later, also what came meanwhile."""
    records = RefusedRecords(redis, NAMES, keep=1e12)
    await records.keep([pushed(1, 10.0), pushed(2, 20.0)])
    await records.drop_older({"t:1": 15.0, "t:2": 15.0, "t:9": 15.0})
    assert [one.key for one in await records.all()] == ["t:2"]
    assert await records.waiting(10) == ["t:2"]


async def test_two_pushes_of_one_talk_wait_as_one(redis: Redis) -> None:
    """The later word counts, messages add up, whichever is kept first."""
    for first, second in ((10.0, 20.0), (20.0, 10.0)):
        records = RefusedRecords(redis, NAMES, keep=1e12)
        for came in (first, second):
            await records.keep([pushed(1, came, user_name=f"{came:.0f}", messages=[f"{came:.0f}"])])
        (kept,) = await records.all()
        assert kept.record == {"id": "1", "user_name": "20", "messages": ["10", "20"]}
        assert (kept.came, kept.tries) == (20.0, 2)
        await records.drop_all()


async def test_pushes_that_are_kept_at_the_same_moment(redis: Redis) -> None:
    """Several processes that keep parts of one talk at once lose none of them."""
    several = [RefusedRecords(redis, NAMES, keep=1e12) for _ in range(8)]
    parts = [pushed(1, float(number), messages=[str(number)]) for number in range(8)]
    await asyncio.gather(*(records.keep([part]) for records, part in zip(several, parts, strict=True)))
    (kept,) = await several[0].all()
    assert kept.record is not None
    assert (sorted(kept.record["messages"]), kept.tries, kept.came) == (list("01234567"), 8, 7.0)
    assert await several[0].waiting(10) == ["t:1"]


async def test_an_earlier_refusal_replaces_nothing_that_waits(redis: Redis) -> None:
    """A push that is refused late leaves alone what came after it; a later one takes along what waited before it."""
    records = RefusedRecords(redis, NAMES, keep=1e12)
    await records.keep([pushed(1, 20.0, messages=["two"])])
    await records.keep([replace(pushed(1, 10.0, messages=["one"]), remedy="fix the record")])
    (kept,) = await records.all()
    assert (kept.record, kept.waits, kept.tries) == ({"id": "1", "messages": ["two"]}, True, 2)
    await records.keep([replace(pushed(1, 30.0, messages=["three"]), remedy="fix the record")])
    (kept,) = await records.all()
    assert (kept.record, kept.waits, kept.tries) == ({"id": "1", "messages": ["two", "three"]}, False, 3)


async def test_what_went_through_meanwhile_is_not_tried_again(redis: Redis) -> None:
    """A retry brings nothing back that somebody else has brought in since it looked."""
    records = RefusedRecords(redis, NAMES, keep=1e12)
    await records.keep([pushed(1, 10.0), pushed(2, 20.0)])
    found = await records.all()
    await records.drop(["t:1"])
    await records.try_all_again(found)
    assert [one.key for one in await records.all()] == ["t:2"]
