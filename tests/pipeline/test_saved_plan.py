"""A saved plan: exactly that is sent, once, in one go or in several, or nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from leadsync.errors import AmoCRMBanned, StartRefused
from leadsync.state.claims import Claims
from leadsync.state.refused import RefusedRecords
from tests.pipeline.saved_plans import apply, assert_sent, plan_file, planned, save
from tests.promises.crowd import Crowd
from tests.promises.promises import assert_kept
from tests.promises.worker import Fate, live
from tests.promises.worker import apply as apply_in_a_process
from tests.world import MAPPING, NAMES, World, talk

KILLED = -9


async def store_anew(world: World, talks: Sequence[dict[str, Any]]) -> None:
    """Write the same talks in another order, between keys that come and go."""
    for one in await world.redis.keys("dialog:*"):
        await world.redis.delete(one)
    for number, one in enumerate(talks):
        await world.redis.set(f"filler:{random.random()}:{number}", 1)
        await world.store([one])


async def test_the_checksum_knows_no_order_and_no_time(world: World, seed: int) -> None:
    """However the source is ordered and whenever it is read, the same talks give the same checksum and records."""
    crowd, dice = Crowd.of(60, seed), random.Random(seed)
    talks = [one.stored for one in crowd.talks]
    await world.store(talks[:25])
    await world.run()
    for one in crowd.talks:
        one.says(dice)
    await world.store(talks)
    first = await save(world)
    assert first["records"]
    for _ in range(5):
        await store_anew(world, dice.sample(talks, len(talks)))
        again = await save(world)
        assert again["checksum"] == first["checksum"]
        assert [one["changes"] for one in again["records"]] == [one["changes"] for one in first["records"]]
    crowd.talks[0].says(dice)
    await world.store(talks)
    assert (await save(world))["checksum"] != first["checksum"]


async def test_what_is_saved_is_what_is_sent(world: World, seed: int) -> None:
    """An application sends the saved payloads, item by item and in their order, and nothing else."""
    crowd, dice = Crowd.of(50, seed, long=1), random.Random(seed)
    talks = [one.stored for one in crowd.talks]
    await world.store(talks[:30])
    await world.run()
    for one in crowd.talks[:20]:
        one.stored |= {"product_interest": "AI Analyst", "budget": dice.randint(5, 9)}
        one.says(dice)
    await world.store(talks)
    document, before = await save(world), len(world.writes())
    report = await apply(world)
    assert report.refused == []
    await assert_sent(world, document, since=before)
    await assert_kept(world, crowd)


async def test_a_plan_is_what_a_dry_run_says(world: World) -> None:
    """The changes of the file are those of the plan that was shown."""
    await world.store([talk("1", phone="8 916 123-45-67"), talk("2", phone="123")])
    document = await save(world)
    plan = await planned(world)
    assert [one["payload"] for record in document["records"] for one in record["changes"]] == [
        dict(one.payload) for one in plan.changes
    ]
    assert [one["key"] for one in document["records"] if one["refused"]] == ["telegram:2"]
    assert world.writes() == []


async def test_twice_writes_once(world: World) -> None:
    """A plan that is applied again writes nothing, and says that it is already applied."""
    await world.store([talk("1", phone="8 916 123-45-67"), talk("2"), talk("3", phone="+7 916 123 45 67")])
    await save(world)
    report = await apply(world)
    assert (report.created["contacts"], report.created["leads"], report.remarks) == (1, 3, [])
    before = len(world.writes())
    again = await apply(world)
    assert len(world.writes()) == before
    assert again.created.total() == again.updated.total() == 0
    assert "already applied" in again.remarks[0]


async def test_a_plan_without_changes(world: World) -> None:
    """A plan that holds nothing says so when it is applied."""
    await save(world)
    assert "no changes" in (await apply(world)).remarks[0]


async def test_a_plan_somebody_else_applied(world: World) -> None:
    """What an ordinary run has sent meanwhile is not sent again: the plan has nothing left."""
    await world.store([talk("1", phone="8 916 123-45-67", budget=10), talk("2")])
    await save(world)
    await world.run()
    before = len(world.writes())
    assert "already applied" in (await apply(world)).remarks[0]
    assert len(world.writes()) == before


async def test_the_rest_after_a_ban(world: World, seed: int) -> None:
    """An application that a ban breaks off again and again is taken up where it stopped, and makes everything once."""
    crowd = Crowd.of(40, seed, long=1)
    world.write(amocrm={"batch_size": 7})
    await world.store([one.stored for one in crowd.talks])
    document = await save(world)
    bans = 0
    while True:
        world.sandbox.faults.add("POST /api/v4/* ban403 nth=2 times=100")
        try:
            await apply(world)
            break
        except AmoCRMBanned:
            bans += 1
        finally:
            world.sandbox.faults.clear()
    assert bans > 3
    accepted = [one for one in world.writes() if one.status == 200]
    assert sum(len(one.body) for one in accepted) == sum(len(one["changes"]) for one in document["records"])
    await assert_kept(world, crowd)
    assert "already applied" in (await apply(world)).remarks[0]


async def test_the_rest_after_a_kill(world: World, seed: int) -> None:
    """An application whose process is killed anywhere is applied again, and finishes without doubles."""
    crowd, dice = Crowd.of(60, seed, long=1), random.Random(seed)
    world.write(amocrm={"batch_size": 5})
    await world.store([one.stored for one in crowd.talks])
    await save(world)
    deaths = 0
    while deaths < 6:
        code = await live(apply_in_a_process, world.folder, Fate(from_open=dice.randint(30, 300)))
        assert code in (0, KILLED)
        deaths += 1
    assert await live(apply_in_a_process, world.folder) == 0
    await assert_kept(world, crowd)


async def test_updates_after_a_ban(world: World, seed: int) -> None:
    """Half of a plan of updates is sent, then the rest: no value is taken for a person's, none is sent twice."""
    crowd = Crowd.of(30, seed)
    await world.store([one.stored for one in crowd.talks])
    await world.run()
    for number, one in enumerate(crowd.talks):
        one.stored |= {"product_interest": "AI Analyst", "user_name": f"Пётр {number}"}
    await world.store([one.stored for one in crowd.talks])
    world.write(amocrm={"batch_size": 4})
    document, before = await save(world), len(world.writes())
    world.sandbox.faults.add("PATCH /api/v4/leads ban403 nth=3 times=100")
    with pytest.raises(AmoCRMBanned):
        await apply(world)
    world.sandbox.faults.clear()
    assert (await apply(world)).refused == []
    sent = [item for one in world.writes()[before:] if one.status == 200 for item in one.body]
    assert sorted(map(orjson.dumps, sent)) == sorted(
        orjson.dumps(one["payload"]) for record in document["records"] for one in record["changes"]
    )


async def test_a_refused_record_is_refused_again(world: World) -> None:
    """A record that the plan calls refused is refused as usual, and the others go on."""
    await world.store([talk("1"), talk("2", phone="123")])
    await save(world)
    for _ in range(2):
        report = await apply(world)
        assert [one.key for one in report.refused] == ["telegram:2"]
    assert [one.key for one in await world.refused()] == ["telegram:2"]
    assert len(world.leads()) == 1


async def test_an_item_that_amocrm_refuses(world: World) -> None:
    """An item that amoCRM refuses does not make the plan stale: applied again it is refused again, and not sent."""
    await world.store([talk("1"), talk("2", product_interest="AI Manager")])
    await save(world)
    account = world.sandbox.account
    field = account.fields["leads"].named("Продукт")
    async with world.pipeline() as pipeline:
        account.remove_field(field)
        report = await pipeline.run(plan=plan_file(world))
    assert [one.key for one in report.refused] == ["telegram:2"]
    account.put_field(field)
    before = len(world.writes())
    again = await apply(world)
    assert [one.key for one in again.refused] == ["telegram:2"]
    assert len(world.writes()) == before


async def test_it_waits_for_other_workers(world: World) -> None:
    """While another worker holds one of the keys nothing of a plan is sent, and no key is kept; then all is sent."""
    await world.store([talk("1"), talk("2")])
    await save(world)
    async with Claims(world.redis, NAMES) as other, world.pipeline() as pipeline, world.redis.monitor() as monitor:
        await other.take([["key:telegram:2"]])
        applying = asyncio.create_task(pipeline.run(plan=plan_file(world)))
        tries = 0
        async for command in monitor.listen():
            tries += "key:telegram:2" in command["command"] and other.owner not in command["command"]
            if tries == 4:
                break
        assert world.writes() == []
        await other.wait_for(["key:telegram:1"])
        await other.release(other.held)
        assert (await applying).created["leads"] == 2


async def test_a_part_of_a_source(world: World) -> None:
    """A plan with a limit holds the first keys and is applied to them alone, whatever came to the source since."""
    await world.store([talk(str(number)) for number in (5, 3, 4, 1, 2)])
    document = await save(world, limit=2)
    assert [one["key"] for one in document["records"]] == ["telegram:1", "telegram:2"]
    await world.store([talk("0")])
    assert (await apply(world)).created["leads"] == 2
    one = await save(world, record="telegram:4")
    assert [record["key"] for record in one["records"]] == ["telegram:4"]
    assert (await apply(world)).created["leads"] == 1
    assert len(world.leads()) == 3


async def test_a_key_that_stands_for_two(world: World) -> None:
    """Two records of one key cannot be saved: which of them counts would be up to the order of the source."""
    world.write({**MAPPING, "key": "{{ user_name }}"})
    await world.store([talk("1"), talk("2")])
    with pytest.raises(StartRefused) as refused:
        await save(world)
    assert "two records have the key Иван" in refused.value.what
    assert str(refused.value.where) == "dialog:1 and dialog:2"
    assert not plan_file(world).exists()


async def test_a_long_note_in_parts(world: World) -> None:
    """The parts of a long note go in one request, also where batches are smaller, and a plan broken off before is taken
    up there."""
    await world.store([talk("1", *("длинное сообщение " * 100,) * 25)])
    world.write({**MAPPING, "note": MAPPING["note"]}, amocrm={"batch_size": 1})
    document = await save(world)
    assert len(document["records"][0]["changes"]) > 2
    world.sandbox.faults.add("POST /api/v4/leads/notes ban403 nth=1 times=9")
    with pytest.raises(AmoCRMBanned):
        await apply(world)
    world.sandbox.faults.clear()
    await apply(world)
    (sent,) = (one for one in world.requests("POST", "/api/v4/leads/notes") if one.status == 200)
    assert len(world.notes()) == len(sent.body) == len(document["records"][0]["changes"]) - 1


async def test_refused_records_are_forgotten_when_they_go_through(world: World) -> None:
    """A plan that mends a refused record takes it off the list, as a run does."""
    await world.store([talk("1", phone="123")])
    await world.run()
    assert await RefusedRecords(world.redis, NAMES).count() == 1
    await world.store([talk("1", phone="8 916 123-45-67")])
    await save(world)
    await apply(world)
    assert await world.refused() == []
