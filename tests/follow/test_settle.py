"""A talk is waited for until it is quiet; what is known of it meanwhile is no more than its place and a digest."""

from __future__ import annotations

import time

import orjson
import pytest
from redis.asyncio import Redis

from leadsync.config.models import SourceSection
from leadsync.errors import ConfigurationError, UnreadableRecord
from leadsync.follow.settling import MOST_EARLY, Settling
from leadsync.records import Record
from leadsync.sources.base import RawRecord
from tests.follow.following import STREAM, add, following, pending, until
from tests.follow.killing import all_accepted
from tests.world import World, talk

DIALOGS = {"type": "redis-dialogs", "match": "dialog:*", "mapping": "mapping.yaml", "poll": "0.05s"}


class Clock:
    """A time that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Raw(RawRecord):
    """A raw record of some text."""

    def __init__(self, place: str, text: str, talk: str | None = None, at: float | None = None) -> None:
        super().__init__(place)
        self._text, self._talk, self._at = text, talk or place, at

    @property
    def talk(self) -> str:
        return self._talk

    def written_at(self) -> float | None:
        return self._at

    def fingerprint(self) -> bytes:
        return self._text.encode().ljust(16)

    def read(self) -> Record:
        raise UnreadableRecord("it is not read")


def test_quiet_after_the_last_change() -> None:
    """A talk is quiet when its bytes were the same for so long; each change begins anew."""
    clock = Clock()
    settling = Settling(120.0, clock)
    assert settling.meet(Raw("a", "1")) == (False, None)
    clock.now += 100
    assert settling.meet(Raw("a", "2")) == (False, None)
    clock.now += 100
    assert settling.meet(Raw("a", "2")) == (False, None)
    assert settling.due() == {}
    assert settling.until_due() == 20
    clock.now += 20
    assert settling.due() == {"a": "a"}
    assert settling.meet(Raw("a", "2")) == (True, None)


def test_the_time_in_an_entry_counts() -> None:
    """What was written long ago is quiet when it is met, after a restart too; a clock that is ahead changes nothing."""
    clock = Clock()
    settling = Settling(120.0, clock)
    assert settling.meet(Raw("s:1-0", "1", "talk", clock.now - 121)) == (True, None)
    assert settling.meet(Raw("s:2-0", "1", "other", clock.now + 10_000)) == (False, None)
    clock.now += 120
    assert settling.due() == {"talk": "s:1-0", "other": "s:2-0"}


def test_a_newer_entry_replaces_the_one_that_waits() -> None:
    """Of several entries of one talk the newest is waited for; the place of the older one is told."""
    settling = Settling(120.0, Clock())
    assert settling.meet(Raw("s:1-0", "1", "talk")) == (False, None)
    assert settling.meet(Raw("s:2-0", "1", "talk")) == (False, "s:1-0")
    assert len(settling) == 1


def test_what_vanished_is_forgotten() -> None:
    """A talk that is not in its place any more, or that nobody came across for an hour, takes no memory."""
    clock = Clock()
    settling = Settling(1.0, clock)
    for place in "ab":
        settling.meet(Raw(place, "1"))
    assert settling.drop_missing(["a", "b"], [Raw("b", "1")]) == ["a"]
    clock.now += 3601
    assert settling.due() == {}
    assert len(settling) == 0


def test_early_once() -> None:
    """A talk is sent early once; of how many that is known is bounded."""
    settling = Settling(1.0, Clock())
    assert settling.is_early(Raw("a", "1"))
    assert not settling.is_early(Raw("a", "2"))
    for number in range(MOST_EARLY):
        settling.is_early(Raw(str(number), "1"))
    assert settling.is_early(Raw("a", "3"))


async def test_a_dialog_goes_when_it_is_quiet(world: World) -> None:
    """A talk that goes on is not sent before it has been quiet; then it goes once, as it is then."""
    world.write(sources={"dialogs": {**DIALOGS, "settle": "0.6s"}})
    async with following(world) as (_, ear):
        await ear.state("working")
        for texts in (("раз",), ("раз", "два"), ("раз", "два", "три")):
            await world.store([talk("1", *texts)])
            written = time.monotonic()
            await world.redis.blpop("nothing", 0.3)
        assert world.writes() == []
        await ear.finished(1)
        assert time.monotonic() - written >= 0.6
    assert [text for _, text in world.notes()] == ["user: раз\nuser: два\nuser: три"]


async def test_sent_early_when_the_phone_is_known(world: World) -> None:
    """`send_when` sends a talk at once, the first time; what is said later waits until it is quiet."""
    world.write(sources={"dialogs": {**DIALOGS, "settle": "1h", "send_when": "{{ phone }}"}})
    async with following(world) as (service, ear):
        await world.store([talk("1"), talk("2", phone="+79161234567")])
        await ear.finished(1)
        await world.store([talk("2", "раз", "два", phone="+79161234567"), talk("1", "раз", phone="8 916 123-45-68")])
        await ear.finished(2)
    assert ear.outcomes() == ["create", "create"]
    assert service.left.settling == 1
    assert len(world.notes()) == 2


async def test_a_condition_that_fails_waits(world: World) -> None:
    """Where `send_when` does not work for a record it is told once, and the record waits like others."""
    world.write(sources={"dialogs": {**DIALOGS, "settle": "0.2s", "send_when": "{{ fone }}"}})
    async with following(world) as (_, ear):
        await world.store([talk("1"), talk("2")])
        await ear.finished(2)
    (said,) = ear.warnings
    assert "leadsync.yaml:" in said
    assert "`fone`" in said
    assert len(world.leads()) == 2


async def test_the_newest_entry_of_a_stream(world: World) -> None:
    """Of the entries of a talk that were written while it was not quiet only the newest is sent; all are let go of."""
    world.write(sources={"talks": {**STREAM, "settle": "0.5s"}})
    async with following(world) as (_, ear):
        await add(world.redis, talk("1", "раз"), talk("2"), talk("1", "раз", "два"))
        await ear.finished(2)
        await all_accepted(world.redis)
    assert sorted(text for _, text in world.notes()) == ["user: Здравствуйте", "user: раз\nuser: два"]
    assert ear.outcomes() == ["create", "create"]


async def test_a_waiting_entry_survives_a_restart(world: World) -> None:
    """An entry that waits when the service ends is pending, and is found again by the next one."""
    world.write(sources={"talks": {**STREAM, "settle": "1h"}})
    await add(world.redis, talk("1"))
    async with following(world) as (service, _):
        await until(lambda: is_given(world.redis))
    assert service.left.settling == 1
    assert await pending(world.redis) == 1
    world.write(sources={"talks": STREAM})
    async with following(world) as (_, ear):
        await ear.finished(1)
    assert len(world.leads()) == 1
    assert await pending(world.redis) == 0


async def is_given(redis: Redis) -> bool:
    """Whether somebody was given an entry."""
    return bool(await redis.xinfo_groups("talks")) and await pending(redis) > 0


async def test_a_condition_is_checked_like_a_template(world: World) -> None:
    """A mistake in `send_when` is told with file and line before anything begins."""
    path = world.write(sources={"dialogs": {**DIALOGS, "settle": "2m", "send_when": "{{ phone"}})
    with pytest.raises(ConfigurationError) as caught:
        async with world.pipeline():
            pass
    line = path.read_text().splitlines().index("    send_when: '{{ phone'") + 1
    (problem,) = caught.value.problems
    assert problem.place.line == line
    assert "cannot be read" in problem.what


def test_the_keys_of_every_source() -> None:
    """`settle` and `poll` are lengths of time."""
    section = SourceSection.model_validate(orjson.loads(b'{"type": "x", "mapping": "m", "settle": "1m30s"}'))
    assert (section.settle, section.poll, section.send_when) == (90.0, 5.0, None)
