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
from leadsync.state.refused import DAY, Refused, RefusedRecords, Sealed
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
    """With another key, or with none, a record is one that cannot be read, with what to do; it stays as it is."""
    clock = Clock()
    await RefusedRecords(redis, NAMES, OURS, clock=clock).keep([refused("1", clock.now)])
    for seal in (OTHER, seal_of(None)):
        records = RefusedRecords(redis, NAMES, seal, clock=clock)
        (told,) = await records.all()
        assert (told, (await records.find(["1"]))["1"]) == (told, told)
        assert (type(told), told.key, told.at, told.record) == (Sealed, "1", clock.now, None)
        assert (told.reason.partition(":")[0], told.do is not None) == ("this record cannot be read", True)
        with pytest.raises(ConfigurationError):
            await records.check()
        await records.try_all_again([told])
        await records.drop_older({"1": clock.now + 1})
        await records.drop_given(["1"])
        assert await records.count() == 1
    assert await RefusedRecords(redis, NAMES, OURS, clock=clock).all() == [replace(refused("1", clock.now), items=[])]
    assert await RefusedRecords(redis, NAMES, OTHER, clock=clock).drop_all() == 1
    assert await redis.keys("*") == []


async def test_the_key_of_one_is_enough_to_begin(redis: Redis) -> None:
    """One record of an old key among others holds nobody up; its time is counted, and it goes when that is over."""
    clock = Clock()
    await RefusedRecords(redis, NAMES, OURS, clock=clock).keep([refused("old", clock.now)])
    records = RefusedRecords(redis, NAMES, OTHER, keep=DAY, clock=clock)
    clock.now += 1
    await records.keep([refused("new", clock.now)])
    await records.check()
    assert [(one.key, type(one)) for one in await records.all()] == [("old", Sealed), ("new", Refused)]
    await redis.delete(NAMES.name("refused-at"))  # as before anybody wrote times down
    assert (await records.expire(), await records.count()) == (0, 2)
    clock.now += DAY
    assert (await records.expire(), await records.all()) == (2, [])


async def test_nothing_is_kept_in_the_place_of_what_cannot_be_read(redis: Redis) -> None:
    """A record with the key of one that nobody can read is kept under its place; where that is taken so, too, a push is
    told and its source holds another one still. The others are kept all the same."""
    theirs, records = RefusedRecords(redis, NAMES, OTHER, keep=1e12), RefusedRecords(redis, NAMES, OURS, keep=1e12)
    await theirs.keep([refused("1", 1.0), pushed(1, 1.0), pushed(2, 2.0)])
    await records.keep([refused("1", 2.0), pushed(1, 2.0)])
    await theirs.keep([replace(refused("1", 1.0), key="inbox:2"), replace(pushed(2, 2.0), key="push:t:2")])
    before = await theirs.find(["1", "t:1", "t:2", "push:t:2", "inbox:2"])
    await records.keep([replace(refused("2", 3.0), key="inbox:2"), refused("3", 3.0)])
    with pytest.raises(ConfigurationError):
        await records.keep([pushed(2, 3.0), pushed(3, 3.0)])
    assert await theirs.find(["1", "t:1", "t:2", "push:t:2", "inbox:2"]) == before
    readable = {one.key for one in await records.all() if not isinstance(one, Sealed)}
    assert readable == {"inbox:1", "push:t:1", "3", "t:3"}


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


async def test_what_is_refused_stays_beside_what_waits(redis: Redis) -> None:
    """A push that waits goes in by itself whatever is wrong with another of its talk; those that are refused add up."""
    waits, wrong = (
        pushed(1, 20.0, messages=["two"]),
        replace(pushed(1, 10.0, messages=["one"]), remedy="fix the record"),
    )
    for first, second, third in ((waits, wrong, "push:t:1"), (wrong, waits, "t:1")):
        records = RefusedRecords(redis, NAMES, keep=1e12)
        await records.keep([first])
        await records.keep([second])
        await records.keep([replace(pushed(1, 30.0, messages=["three"]), remedy="fix the record")])
        found = await records.find(["t:1", "push:t:1"])
        assert sorted(one.record["messages"] for one in found.values() if one.record) == [["one", "three"], ["two"]]
        assert (found[third].waits, found[third].tries, found[third].came) == (False, 2, 30.0)
        assert await records.waiting(10) == [next(key for key in found if key != third)]
        await records.drop_all()


async def test_a_source_and_a_push_stay_apart(redis: Redis) -> None:
    """What a source gave and what was pushed are kept beside each other, whichever was first; each can be dropped."""
    given = replace(refused("t:1", 20.0), source="talks", place="dialog:1")
    for order in ((given, pushed(1, 10.0)), (pushed(1, 10.0), given)):
        records = RefusedRecords(redis, NAMES, keep=1e12)
        for one in order:
            await records.keep([one])
            await records.keep([one])
        assert {(one.place, one.tries) for one in await records.all()} == {("dialog:1", 2), ("push:t:1", 2)}
        await records.drop_given(["t:1", "dialog:1", "push:t:1"])
        assert [one.place for one in await records.all()] == ["push:t:1"]
        await records.drop_all()


async def test_a_try_that_ends_otherwise_takes_its_place(redis: Redis) -> None:
    """The same push that waited and is refused now, or the other way round, is kept once."""
    records = RefusedRecords(redis, NAMES, keep=1e12)
    for remedy, waiting in (("wait", ["t:1"]), ("fix the record", []), ("log in", ["t:1"])):
        await records.keep([replace(pushed(1, 10.0), remedy=remedy)])
        assert (len(await records.all()), await records.waiting(10)) == (1, waiting)


async def test_what_has_changed_is_not_put_right(redis: Redis) -> None:
    """A record takes the place of another only as long as that is what was looked at."""
    records = RefusedRecords(redis, NAMES, keep=1e12)
    await records.keep([pushed(1, 10.0), pushed(2, 10.0)])
    found = await records.find(["t:1", "t:2"])
    await records.keep([pushed(1, 20.0, messages=["later"])])
    await records.put_right([(one, replace(one, record={"id": "x"})) for one in found.values()])
    now = {one.key: one.record for one in await records.all()}
    assert now == {"t:1": {"id": "1", "messages": ["later"]}, "t:2": {"id": "x"}}


async def test_what_went_through_meanwhile_is_not_tried_again(redis: Redis) -> None:
    """A retry brings nothing back that somebody else has brought in since it looked."""
    records = RefusedRecords(redis, NAMES, keep=1e12)
    await records.keep([pushed(1, 10.0), pushed(2, 20.0)])
    found = await records.all()
    await records.drop(["t:1"])
    await records.try_all_again(found)
    assert [one.key for one in await records.all()] == ["t:2"]
