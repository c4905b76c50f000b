"""Who looks for a lost batch, and what is taken for whose, while others are at work."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from leadsync.state.claims import Claims
from leadsync.state.facts import NEW_ID
from leadsync.state.journal import Entry, Journal, JournalItem
from leadsync.state.links import load_links, wrote_hash
from leadsync.sync.changes import Route
from leadsync.sync.recover import Recovery, close_accepted
from leadsync.sync.send import cut
from tests.promises.impatient import SETTLE, TOO_LATE, impatient
from tests.world import MAPPING, NAMES, World, talk

PHONE = {"phone": "+79161234567"}
BORIS = 10_450_986


async def _left_open(world: World, *pushes: tuple[dict[str, Any], str], asked: str) -> None:
    """Push records so that a batch of each is lost and cannot be looked for; the processes are gone then."""
    async with AsyncExitStack() as processes:
        for record, lost in pushes:
            pipeline = await processes.enter_async_context(impatient(world))
            world.sandbox.faults.clear()
            world.sandbox.faults.add(lost)
            world.sandbox.faults.add(asked)
            assert not (await pipeline.push(record)).success
    world.sandbox.faults.clear()
    assert await world.redis.hlen(NAMES.name("journal")) == len(pushes)


async def _lead_of(world: World, key: str) -> dict[str, Any]:
    links = await load_links(world.redis, NAMES, [key])
    return next(one for one in world.leads() if one["id"] == links[key].lead_id)


async def test_nobody_goes_on_while_another_looks(world: World) -> None:
    """A key whose batch somebody else is just looking for waits for the end of the search."""
    lost = "POST /api/v4/leads drop_after"
    await _left_open(world, (talk("1"), lost), asked="GET /api/v4/leads 500_before nth=2 times=9")
    world.sandbox.faults.add("GET /api/v4/leads late nth=1 seconds=0.2")
    log = world.sandbox.requests
    async with impatient(world) as one, impatient(world) as two:
        before = log.total
        first = asyncio.create_task(two.push(talk("2", user_name="Ольга")))
        await log.reached(before + 1)
        assert (await one.push(talk("1"))).success
        assert (await first).success
    assert [lead["name"] for lead in world.leads()] == ["Заявка от Иван", "Заявка от Ольга"]


async def test_less_is_not_taken_for_more(world: World) -> None:
    """A lead that was never made is not found in another's lead that holds the same and more."""
    less, more = talk("1"), talk("2", budget=500, **PHONE)
    async with impatient(world) as pipeline:
        assert (await pipeline.push(talk("0", user_name="Ольга"))).success
    pushes = (less, "POST /api/v4/leads drop_before"), (more, "POST /api/v4/leads drop_after")
    await _left_open(world, *pushes, asked="GET /api/v4/leads 500_before")
    async with impatient(world) as pipeline:
        assert (await pipeline.push(less)).success
        assert (await pipeline.push(more)).success
    assert len(world.leads()) == 3
    assert (await _lead_of(world, "telegram:1"))["contacts"] == []
    assert (await _lead_of(world, "telegram:1"))["price"] == 0
    assert (await _lead_of(world, "telegram:2"))["price"] == 500


async def test_two_alike_that_are_both_lost_do_not_wait_for_each_other(world: World) -> None:
    """Two processes whose equal leads are lost at the same time both find one."""
    world.sandbox.faults.add(f"POST /api/v4/leads late nth=1 times=2 seconds={TOO_LATE}")
    async with asyncio.timeout(20), impatient(world) as one, impatient(world) as two:
        results = await asyncio.gather(one.push(talk("1")), two.push(talk("2")))
    assert [one.success for one in results] == [True, True]
    assert len({one.lead_id for one in results}) == 2
    assert len(world.leads()) == 2


async def test_what_another_is_sending_is_not_taken(world: World) -> None:
    """A lead that was never made is not found in an equal one whose answer is still on its way to another process."""
    world.sandbox.faults.add("POST /api/v4/leads drop_before nth=1")
    world.sandbox.faults.add("POST /api/v4/leads late nth=1 seconds=0.2")
    log = world.sandbox.requests
    async with impatient(world) as one, impatient(world) as two:
        before = log.total
        first = asyncio.create_task(one.push(talk("1")))
        await log.reached(before + 2)
        results = await asyncio.gather(first, two.push(talk("2")))
    assert [one.success for one in results] == [True, True]
    assert len({one.lead_id for one in results}) == 2
    assert len(world.leads()) == 2


async def test_note_of_another_talk_is_not_taken(world: World) -> None:
    """Two talks of one contact that say the same at the same time make two notes, though one is lost."""
    world.write({name: part for name, part in MAPPING.items() if name != "lead"})
    async with impatient(world) as one, impatient(world) as two:
        for number in "12":
            assert (await one.push(talk(number, f"начало {number}", **PHONE))).success
        world.sandbox.faults.add("POST /api/v4/contacts/notes drop_before nth=1")
        world.sandbox.faults.add("POST /api/v4/contacts/notes late nth=1 seconds=0.2")
        log = world.sandbox.requests
        before = log.total
        first = asyncio.create_task(one.push(talk("1", "начало 1", "да", **PHONE)))
        await log.reached(before + 2)
        results = await asyncio.gather(first, two.push(talk("2", "начало 2", "да", **PHONE)))
    assert [one.success for one in results] == [True, True]
    texts = [one.facts["params"]["text"] for one in world.sandbox.account.notes["contacts"]]
    assert sorted(texts) == ["user: да", "user: да", "user: начало 1", "user: начало 2"]


async def test_update_whose_answer_was_lost_is_remembered(world: World) -> None:
    """A value that was written without our hearing of it is ours all the same: it follows the record later."""
    async with impatient(world) as pipeline:
        assert (await pipeline.push(talk("1", budget=1))).success
    lost = "PATCH /api/v4/leads drop_after"
    await _left_open(world, (talk("1", budget=2), lost), asked="GET /api/v4/leads 500_before nth=2 times=9")
    async with impatient(world) as pipeline:
        assert (await pipeline.push(talk("1", budget=3))).success
    assert [one["price"] for one in world.leads()] == [3]


async def test_the_part_of_a_lost_update_that_nobody_touched_is_ours(world: World) -> None:
    """Of an update whose answer was lost a person changed one value meanwhile: that one stays, the others follow."""
    async with impatient(world) as pipeline:
        assert (await pipeline.push(talk("1", budget=1, product_interest="AI Manager"))).success
    lost = "PATCH /api/v4/leads drop_after"
    asked = "GET /api/v4/leads 500_before nth=2 times=9"
    await _left_open(world, (talk("1", budget=2, product_interest="AI Lawyer"), lost), asked=asked)
    lead = next(iter(world.sandbox.account.leads))
    lead.facts |= {"name": "Важный клиент", "updated_by": BORIS}
    async with impatient(world) as pipeline:
        assert (await pipeline.push(talk("1", budget=3, product_interest="AI Analyst"))).success
    (shown,) = world.leads()
    assert (shown["name"], shown["price"], shown["fields"]["Продукт"]) == ("Важный клиент", 3, "AI Analyst")


async def test_lead_that_somebody_edited_before_we_heard_of_it_is_found(world: World) -> None:
    """A lead whose answer was lost is ours also when a person changed it meanwhile; the change stays."""
    async with impatient(world) as pipeline:
        assert (await pipeline.push(talk("0", user_name="Ольга"))).success
    lost = "POST /api/v4/leads drop_after"
    await _left_open(world, (talk("1", budget=5, **PHONE), lost), asked="GET /api/v4/leads 500_before")
    lead = list(world.sandbox.account.leads)[-1]
    lead.facts |= {"price": 777, "name": "Важный клиент", "updated_by": BORIS}
    world.sandbox.account.put(lead)
    async with impatient(world) as pipeline:
        assert (await pipeline.push(talk("1", budget=6, **PHONE))).success
    assert [(one["name"], one["price"]) for one in world.leads()] == [("Заявка от Ольга", 0), ("Важный клиент", 777)]


async def test_new_lead_of_somebody_else_is_not_taken(world: World) -> None:
    """A lead that was never made is not found in one that a person made meanwhile for the same contact."""
    async with impatient(world) as pipeline:
        assert (await pipeline.push(talk("0", **PHONE))).success
        lost = "POST /api/v4/leads drop_before"
        await _left_open(world, (talk("1", budget=5, **PHONE), lost), asked="GET /api/v4/leads 500_before")
        (contact,) = world.contacts()
        await pipeline.connections.client.create_lead(name="Звонок", price=5, contact_ids=[contact["id"]])
        assert (await pipeline.push(talk("1", budget=5, **PHONE))).success
    assert len(world.leads()) == 3


async def test_two_processes_add_to_one_contact(world: World) -> None:
    """What two processes add to the same contact at the same time is there in the end."""
    account = world.sandbox.account
    async with impatient(world) as one, impatient(world) as two:
        assert (await one.push(talk("0", phone="+79160000001"))).success
        (contact,) = account.contacts
        phones = contact.values[account.fields["contacts"].named("Телефон").id]
        phones.append(phones[0] | {"value": "+79160000002"})
        account.put(contact)
        world.sandbox.faults.add("GET /api/v4/contacts late seconds=0.1")
        results = await asyncio.gather(
            one.push(talk("1", phone="+79160000001", email="a@example.com")),
            two.push(talk("2", phone="+79160000002", email="b@example.com")),
        )
    assert [one.success for one in results] == [True, True]
    (shown,) = world.contacts()
    assert set(shown["fields"]["EMAIL"].split(", ")) == {"a@example.com", "b@example.com"}


async def test_what_an_error_left_open_is_not_waited_for(world: World) -> None:
    """A lost batch is looked for though another of the same worker, that looks like it, was left open by an error."""
    async with impatient(world) as pipeline, Claims(world.redis, NAMES) as claims:
        connections = pipeline.connections
        journal, zone = connections.journal, ZoneInfo("Europe/Moscow")
        found = connections.client, world.redis, NAMES, pipeline.catalogue, zone, journal, claims, {}
        recovery = Recovery(*found, settle=SETTLE)
        await claims.take([["key:a"], ["key:b"]])
        items = [JournalItem(key, f"lead-{key}", {"name": "Заявка", "request_id": f"lead-{key}"}, []) for key in "ab"]
        lost, broken_off = [await journal.open(claims.owner, Route.CREATE_LEADS, 0, 1.0, [one]) for one in items]
        with recovery.sending(lost):
            async with asyncio.timeout(20):
                assert await recovery.settle_entry(lost) == {}
        assert await journal.entries() == [broken_off]


async def test_a_batch_that_closes_while_another_is_looked_for(world: World) -> None:
    """A lead that another worker's batch made is that batch's, also when it is closed in the middle of our look."""
    async with impatient(world) as pipeline, Claims(world.redis, NAMES) as claims, Claims(world.redis, NAMES) as other:
        connections, zone = pipeline.connections, ZoneInfo("Europe/Moscow")
        facts = [(wrote_hash("lead", NEW_ID), "made", "1")]
        lead = {"name": "Заявка"}
        lost, rival = (JournalItem(key, f"lead-{key}", lead | {"request_id": f"lead-{key}"}, facts) for key in "ab")
        await claims.take([["key:a"]])
        ours = await connections.journal.open(claims.owner, Route.CREATE_LEADS, 0, 1.0, [lost])
        theirs = await connections.journal.open(other.owner, Route.CREATE_LEADS, 0, 1.0, [rival])
        made = await connections.client.create("leads", [rival.payload])

        class Closing(Journal):
            async def entries(self, but: Collection[str] = ()) -> list[Entry]:
                """What is open once the other worker has heard its answer."""
                await close_accepted(self, theirs, made)
                return await super().entries(but)

        found = (
            connections.client,
            world.redis,
            NAMES,
            pipeline.catalogue,
            zone,
            Closing(world.redis, NAMES),
            claims,
            {},
        )
        assert await Recovery(*found, settle=SETTLE).settle_entry(ours) == {}


KEYS = st.lists(st.sampled_from("abcd"), max_size=12).map(sorted)


@given(KEYS, st.integers(1, 6))
def test_batch_does_not_tear_a_record(keys: list[str], size: int) -> None:
    """Batches keep to the order and never cut a record, and to their size unless one record alone is larger."""
    items = [JournalItem(key, f"{key}{number}", {}, []) for number, key in enumerate(keys)]
    rest: Sequence[JournalItem] = items
    batches: list[list[JournalItem]] = []
    while rest:
        batch, rest = cut(rest, size)
        batches.append(list(batch))
    assert [item for batch in batches for item in batch] == items
    assert all(0 < len(batch) <= size or len({item.key for item in batch}) == 1 for batch in batches)
    assert all(before[-1].key != after[0].key for before, after in pairwise(batches))
