"""Pushes from a bot: many at once, equal ones at once, bad ones, and a CRM that comes and goes."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from leadsync.errors import Remedy
from leadsync.intake import Taken
from leadsync.pipeline import Pipeline
from leadsync.sandbox import Sandbox
from leadsync.sync.results import PushResult
from tests.conftest import Valkey
from tests.follow.following import until
from tests.promises.server import KeptValkey
from tests.world import World, talk


async def push_all(pipeline: Pipeline, *talks: dict[str, Any]) -> list[PushResult]:
    """Push talks at the same moment."""
    return await asyncio.gather(*(pipeline.push(one) for one in talks))


async def test_a_hundred_pushes_share_batches(world: World) -> None:
    """A hundred pushes at once need a handful of requests, and each gets its own answer."""
    talks = [talk(str(number), f"текст {number}", phone=f"+7916123{number:04}") for number in range(100)]
    async with world.pipeline() as pipeline:
        before = world.sandbox.requests.total
        results = await push_all(pipeline, *talks)
        assert world.sandbox.requests.total - before < 30
    assert all(one.success for one in results)
    assert len({one.lead_id for one in results}) == len({one.contact_id for one in results}) == 100
    noted = dict(world.notes())
    assert [noted[one.lead_id or 0] for one in results] == [f"user: текст {number}" for number in range(100)]
    counts = Counter(one.path for one in world.writes())
    assert set(counts) == {"/api/v4/contacts", "/api/v4/leads", "/api/v4/leads/notes"}
    assert max(counts.values()) <= 4


async def test_equal_ids_at_once_are_one_lead(world: World) -> None:
    """A bot that pushes one talk twenty times at once gets one lead, one contact, and every message in one note."""
    texts = [f"сообщение {number}" for number in range(20)]
    talks = [talk("1", *texts[: number + 1], phone="8 916 123-45-67") for number in range(20)]
    async with world.pipeline() as pipeline:
        results = await push_all(pipeline, *talks)
    (lead,), (contact,) = world.leads(), world.contacts()
    assert {(one.success, one.lead_id, one.contact_id) for one in results} == {(True, lead["id"], contact["id"])}
    assert [line for _, text in world.notes() for line in text.splitlines()] == [f"user: {text}" for text in texts]


async def test_one_person_at_once_is_one_contact(world: World) -> None:
    """Thirty different talks of one person at once are thirty leads of one contact."""
    spelled = ("8 916 123-45-67", "+79161234567", "7 (916) 123 45 67")
    talks = [talk(str(number), phone=spelled[number % 3]) for number in range(30)]
    async with world.pipeline() as pipeline:
        results = await push_all(pipeline, *talks)
    (contact,) = world.contacts()
    assert {one.contact_id for one in results} == {contact["id"]}
    assert [lead["contacts"] for lead in world.leads()] == [[contact["id"]]] * 30


async def test_two_pipelines_at_once(world: World) -> None:
    """Two services that push the same talks at the same time make each lead once."""
    talks = [talk(str(number), phone=f"+7916123450{number % 5}") for number in range(20)]
    async with world.pipeline() as one, world.pipeline() as other:
        results = await asyncio.gather(push_all(one, *talks), push_all(other, *talks))
    assert [[push.lead_id for push in half] for half in results] == [[lead["id"] for lead in world.leads()]] * 2
    assert (len(world.contacts()), len(world.leads()), len(world.notes())) == (5, 20, 20)


async def test_a_push_beside_a_run(world: World) -> None:
    """A talk that is pushed while a run brings the same one in is one lead."""
    talks = [talk(str(number), phone=f"+7916123450{number % 5}") for number in range(20)]
    await world.store(talks)
    async with world.pipeline() as pipeline:
        report, results = await asyncio.gather(pipeline.run(), push_all(pipeline, *talks))
    assert report.refused == []
    assert all(one.success for one in results)
    assert (len(world.contacts()), len(world.leads()), len(world.notes())) == (5, 20, 20)


async def test_a_bad_record_among_good_ones(world: World) -> None:
    """One bad phone among fifty is one unsuccessful push that is kept, with the record; the others are leads."""
    talks = [talk(str(number), phone="123" if number == 7 else f"+7916123{number:04}") for number in range(50)]
    async with world.pipeline() as pipeline:
        results = await push_all(pipeline, *talks)
        assert [number for number, one in enumerate(results) if not one.success] == [7]
        assert "contact.phone" in results[7].message
        (kept,) = await world.refused()
        assert (kept.key, kept.field, kept.record) == ("telegram:7", "contact.phone", talks[7])
        assert (await pipeline.push(talks[7] | {"phone": "+79161230007"})).success
    assert (len(world.leads()), await world.refused()) == (50, [])


async def test_a_record_that_is_not_wanted(world: World) -> None:
    """A record that `when` leaves out is a success without a lead, and says so."""
    world.write({"key": "{{ id }}", "when": "{{ phone }}", "lead": {"name": "Заявка"}})
    async with world.pipeline() as pipeline:
        result = await pipeline.push(talk("1"))
    assert (result.success, result.lead_id) == (True, None)
    assert "when" in result.message


Break = Callable[[World], Any]

TROUBLES: dict[str, tuple[str, str]] = {
    "down": ("* /api/* drop_before", "the answer was lost"),
    "failing": ("* /api/* 504_before", "amoCRM"),
    "busy": ("* /api/* 429", "too many requests"),
    "banned": ("* /api/* ban403", "blocked"),
}


@pytest.mark.parametrize("name", TROUBLES)
async def test_a_crm_in_trouble(world: World, name: str) -> None:
    """While the CRM is down, failing, busy or blocks us, a push says so and is kept; afterwards all of it comes in."""
    rule, said = TROUBLES[name]
    talks = [talk(str(number), phone=f"+7916123450{number}") for number in range(3)]
    async with world.pipeline() as pipeline:
        assert (await pipeline.push(talks[0])).success
        world.sandbox.faults.add(rule)
        for result in await push_all(pipeline, *talks[1:]):
            assert (result.success, result.lead_id) == (False, None)
            assert said in result.message
            assert result.message.endswith("it is kept and goes in by itself; pushing it again does no harm")
        assert [one.record for one in await world.refused()] == talks[1:]
        world.sandbox.faults.clear()
        assert (await pipeline.push(talk("new"))).success
        assert (await pipeline.retry()).refused == []
    assert await world.refused() == []
    assert (len(world.contacts()), len(world.leads()), len(world.notes())) == (3, 4, 4)


async def test_a_crm_that_is_switched_off_and_on(world: World) -> None:
    """A server that is gone and comes back at the same address needs no new pipeline."""
    data = world.folder / "crm.db"
    async with Sandbox(data, rate=0) as first:
        token, port = first.long_lived_token(), int(first.url.rpartition(":")[2])
        world.sandbox = first
        world.settings(AMOCRM_ACCESS_TOKEN=token)
        pipeline = await world.pipeline().__aenter__()
        assert (await pipeline.push(talk("1"))).success
    gone = await pipeline.push(talk("2"))
    assert not gone.success
    assert "cannot be reached" in gone.message
    async with Sandbox(data, port, rate=0) as second:
        world.sandbox = second
        assert (await pipeline.push(talk("2"))).success
        assert (len(world.leads()), await world.refused()) == (2, [])
        await pipeline.__aexit__()


async def test_a_login_that_ended(world: World) -> None:
    """When nobody is logged in any more a push says so and is kept; after a login the same pipeline goes on."""
    await world.log_in()
    async with world.pipeline() as pipeline:
        assert (await pipeline.push(talk("1"))).success
        world.sandbox.oauth.revoke_all()
        result = await pipeline.push(talk("2"))
        assert not result.success
        assert "leadsync auth login" in result.message
        assert [one.key for one in await world.refused()] == ["telegram:2"]
        await world.log_in()
        assert (await pipeline.push(talk("2"))).success
    assert (len(world.leads()), await world.refused()) == (2, [])


async def test_a_redis_that_takes_no_writes(world: World, start_valkey: Callable[..., Valkey]) -> None:
    """While Redis cannot remember, nothing is written to the CRM and a push says so; afterwards it works again."""
    other = start_valkey()
    world.redis_url = other.url
    world.write()
    async with world.pipeline() as pipeline, Redis(unix_socket_path=str(other.socket)) as redis:
        assert (await pipeline.push(talk("1"))).success
        await redis.replicaof("127.0.0.1", "9")
        before = len(world.writes())
        result = await pipeline.push(talk("2"))
        assert not result.success
        assert "Redis" in result.message
        assert len(world.writes()) == before
        await redis.replicaof("NO", "ONE")
        assert (await pipeline.push(talk("2"))).success
    assert len(world.leads()) == 2


async def test_a_pusher_that_gives_up(world: World) -> None:
    """A push whose caller loses patience takes nobody with it: the others get their answers."""
    world.sandbox.faults.add("POST /api/v4/leads late seconds=0.3 nth=1")
    async with world.pipeline() as pipeline:
        impatient = asyncio.create_task(pipeline.push(talk("1")))
        patient = asyncio.create_task(pipeline.push(talk("2")))
        await asyncio.wait([impatient], timeout=0.1)
        impatient.cancel()
        assert (await patient).success
        assert (await pipeline.push(talk("3"))).success
    assert impatient.cancelled()
    assert len(world.leads()) == 3


async def test_a_mended_push_is_forgotten(world: World) -> None:
    """A push that could not be read is kept; once the bot pushes the same id rightly, nothing is waiting any more."""
    async with world.pipeline() as pipeline:
        assert not (await pipeline.push(talk("1") | {"messages": 7})).success
        assert len(await world.refused()) == 1
        assert (await pipeline.push(talk("1"))).success
    assert await world.refused() == []


async def test_a_push_at_the_end_of_the_pipeline(world: World) -> None:
    """A push that is on its way when the pipeline closes is finished, or is a result that says so; never cancelled."""
    world.sandbox.faults.add("POST /api/v4/leads late seconds=0.2 nth=1")
    async with world.pipeline() as pipeline:
        pushes = [asyncio.create_task(pipeline.push(talk(str(number)))) for number in range(3)]
        await world.sandbox.requests.reached(world.sandbox.requests.total + 2)
    results = await asyncio.gather(*pushes, return_exceptions=True)
    assert [type(one) for one in results] == [PushResult] * 3
    async with world.pipeline() as pipeline:
        for number in range(3):
            assert (await pipeline.push(talk(str(number)))).success
    assert (len(world.leads()), len(world.notes())) == (3, 3)


async def test_bad_pushes_of_two_sources_are_both_kept(world: World) -> None:
    """The same id from two sources is two records, also when neither can be read."""
    async with world.pipeline() as pipeline:
        for source in ("telegram", "avito"):
            assert not (await pipeline.push({"id": "42", "source": source, "budget": [1]})).success
    assert {one.key for one in await world.refused()} == {"push:telegram:42", "push:avito:42"}


async def test_a_retry_keeps_no_second_copy(world: World) -> None:
    """However often a push without an id is tried again, it is kept once."""
    async with world.pipeline() as pipeline:
        await pipeline.push({"source": "telegram", "user_name": "Иван"})
        for _ in range(3):
            assert len((await pipeline.retry()).refused) == 1
    assert len(await world.refused()) == 1


async def test_a_push_after_the_end_is_answered(world: World) -> None:
    """A push that comes when the pipeline is closed gets a result that says so, at once."""
    async with world.pipeline() as pipeline:
        pass
    result = await asyncio.wait_for(pipeline.push(talk("1")), 20)
    assert not result.success
    assert "closed" in result.message


async def test_patience_with_a_slow_crm(world: World) -> None:
    """Whoever waits no longer gets a result that says so, with the record kept; once it is in after all, it is not."""
    world.sandbox.faults.add("POST /api/v4/leads late seconds=0.6 nth=1")
    async with world.pipeline() as pipeline:
        result = await pipeline.push(talk("1"), patience=0.3)
        assert (result.success, result.remedy) == (False, Remedy.LOOK)
        assert "within 0.3 s" in result.message
        assert [one.key for one in await world.refused()] == ["telegram:1"]
        assert (await pipeline.push(talk("2"))).success  # it goes after the first
    assert (len(world.leads()), await world.refused()) == (2, [])


async def test_nobody_gathers_while_amocrm_is_silent(world: World) -> None:
    """Whose turn has not come before patience ends is kept in Redis and not in memory, and goes in by itself once."""
    world.sandbox.faults.add("POST /api/v4/leads late seconds=1.8 nth=1")
    async with world.pipeline() as pipeline:
        first = asyncio.create_task(pipeline.push(talk("0")))
        while not world.requests("POST", "/api/v4/leads"):
            await world.sandbox.requests.reached(world.sandbox.requests.total + 1)
        late = await asyncio.gather(*(pipeline.push(talk(f"late{number}"), patience=0.05) for number in range(5)))
        assert {one.remedy for one in late} == {Remedy.LOOK}
        gc.collect()
        places = [one.place for one in gc.get_objects() if type(one) is Taken]
        assert [one for one in places if one.startswith("push:telegram:late")] == []
        assert (await first).success

        async def is_empty() -> bool:
            return not await world.refused()

        await until(is_empty)
    assert (len(world.leads()), len(world.notes())) == (6, 6)


async def test_a_push_that_cannot_be_kept_says_so(tmp_path: Path) -> None:
    """When Redis goes while amoCRM is slow nobody is told that the record is kept, and the pipeline ends."""
    async with KeptValkey(tmp_path / "valkey") as valkey, Sandbox(rate=0) as sandbox:
        world = World(sandbox, valkey.redis, valkey.url, tmp_path)
        world.write()
        sandbox.faults.add("POST /api/v4/leads late seconds=1.5 nth=1")
        async with world.pipeline() as pipeline:
            pushing = asyncio.create_task(pipeline.push(talk("1"), patience=0.7))
            while not world.requests("POST", "/api/v4/leads"):
                await sandbox.requests.reached(sandbox.requests.total + 1)
            await valkey.stop(signal.SIGKILL)
            result = await pushing
        assert not result.success
        assert result.message.endswith("push it again: it could not be kept")


async def test_whose_fault_a_push_is(world: World) -> None:
    """A result says whether the record is at fault or something that passes, however it came to be refused."""
    async with world.pipeline() as pipeline:
        good = await pipeline.push(talk("1"))
        unread = await pipeline.push(talk("2") | {"messages": 7})
        mapped = await pipeline.push(talk("3", phone="123"))
        world.sandbox.faults.add("* /api/* 429")
        busy = await pipeline.push(talk("5"))
    late = await pipeline.push(talk("6"))
    found = [one.remedy for one in (good, unread, mapped, busy, late)]
    assert found == [None, *[Remedy.FIX_RECORD] * 2, Remedy.WAIT, Remedy.WAIT]
