"""The brief's tolerance: a contact that fails does not stop its lead, a note that fails does not undo it."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from leadsync.state.refused import Refused
from tests.cli.terminal import run as command
from tests.world import MAPPING, World, talk

WITH_TELEGRAM = MAPPING | {
    "contact": {
        "name": "{{ user_name }}",
        "phone": "{{ phone }}",
        "fields": {"Telegram": "{{ metadata.username }}"},
    }
}


class Meddling:
    """Somebody who deletes a field in the account between the reading of its names and the first write."""

    def __init__(self, world: World, entity: str, name: str) -> None:
        self.account = world.sandbox.account
        book = self.account.fields[entity]
        self.field = book.named(name)

    def delete(self) -> None:
        """Delete the field."""
        self.account.remove_field(self.field)

    def restore(self) -> None:
        """Make it again, as it was."""
        self.account.put_field(self.field)


async def test_a_contact_that_fails_does_not_stop_its_lead(world: World) -> None:
    """Item 6: the lead stands alone, the record is refused with the contact's field; later it is linked."""
    world.write(WITH_TELEGRAM)
    await world.store([talk("1", phone="+79161234567", metadata={"username": "ivan"}), talk("2", phone="+79160000001")])
    meddling = Meddling(world, "contacts", "Telegram")
    async with world.pipeline() as pipeline:
        meddling.delete()
        report = await pipeline.run()
    assert report.created == {"contacts": 1, "leads": 2, "notes": 2}
    (row,) = report.refused
    assert row.key == "telegram:1"
    assert row.field == "contact.fields.Telegram"
    (kept,) = await world.refused()
    assert (kept.key, kept.tries) == ("telegram:1", 1)
    assert kept.payload is not None
    assert kept.answer is not None
    meddling.restore()
    await heal(world)
    assert [len(lead["contacts"]) for lead in world.leads()] == [1, 1]
    assert len(world.notes()) == 2


async def test_a_note_that_fails_does_not_undo_its_lead(world: World) -> None:
    """Item 6: the lead stays, the note is refused; later the note comes, and the lead is not made again."""
    world.sandbox.faults.add("POST /api/v4/leads/notes 500_before")
    await world.store([talk("1")])
    report = await world.run()
    assert report.created == {"leads": 1}
    assert [row.key for row in report.refused] == ["telegram:1"]
    assert len(await world.refused()) == 1
    world.sandbox.faults.clear()
    assert (await world.run()).created == {"notes": 1}
    assert (len(world.leads()), len(world.notes())) == (1, 1)
    assert await world.refused() == []


async def test_a_deleted_lead_gets_nothing_more(world: World) -> None:
    """A lead that a person deleted gets no note and no successor when its talk goes on, and that is no failure."""
    await world.store([talk("1", "раз")])
    await world.run()
    account = world.sandbox.account
    account.remove("leads", next(iter(account.leads)).id)
    for texts in (("раз", "два"), ("раз", "два", "три")):
        await world.store([talk("1", *texts)])
        report = await world.run()
        assert (report.refused, report.created) == ([], {})
    assert world.leads() == []


async def test_a_lead_that_fails_keeps_its_contact(world: World) -> None:
    """A lead that is refused leaves the contact it would have had, and the next try uses that one."""
    await world.store([talk("1", phone="+79161234567"), talk("2")])
    meddling = Meddling(world, "leads", "Источник")
    async with world.pipeline() as pipeline:
        meddling.delete()
        report = await pipeline.run()
    assert (report.created, len(report.refused)) == ({"contacts": 1}, 2)
    assert world.notes() == []
    meddling.restore()
    await heal(world)
    assert (len(world.contacts()), len(world.leads()), len(world.notes())) == (1, 2, 2)


async def test_what_amocrm_refuses_is_not_sent_again_in_vain(world: World) -> None:
    """A run over an unchanged refused record tells the refusal again, sends nothing, and still knows the answer."""
    world.write(WITH_TELEGRAM)
    await world.store([talk("1", phone="+79161234567", metadata={"username": "ivan"})])
    async with world.pipeline() as pipeline:
        Meddling(world, "contacts", "Telegram").delete()
        await pipeline.run()
        before = len(world.writes())
        report = await pipeline.run()
    assert len(world.writes()) == before
    assert [row.key for row in report.refused] == ["telegram:1"]


async def test_an_option_that_disappears_refuses_its_record_only(world: World) -> None:
    """One of fifty leads of a batch holds an option that was deleted meanwhile: the other forty-nine are made."""
    await world.store([talk(str(number)) for number in range(49)])
    await world.store([talk("bad", product_interest="AI Lawyer")])
    field = world.sandbox.account.fields["leads"].named("Продукт")
    async with world.pipeline() as pipeline:
        field.options = [one for one in field.options if one.value != "AI Lawyer"]
        world.sandbox.account.put_field(field)
        report = await pipeline.run()
    assert report.created == {"leads": 49, "notes": 49}
    assert [row.key for row in report.refused] == ["telegram:bad"]


async def test_a_contact_that_many_talks_share_fails_each_of_them(world: World) -> None:
    """Three talks of one person whose contact is refused are three leads and three refused records, linked later."""
    world.write(WITH_TELEGRAM)
    talks = [talk(str(number), phone="+79161234567", metadata={"username": "ivan"}) for number in range(3)]
    await world.store(talks)
    meddling = Meddling(world, "contacts", "Telegram")
    async with world.pipeline() as pipeline:
        meddling.delete()
        report = await pipeline.run()
    assert report.created == {"leads": 3, "notes": 3}
    assert sorted(row.key for row in report.refused) == [f"telegram:{number}" for number in range(3)]
    meddling.restore()
    await heal(world)
    assert len(world.contacts()) == 1
    assert [len(lead["contacts"]) for lead in world.leads()] == [1, 1, 1]


async def test_the_command_ends_with_3_until_it_is_mended(world: World) -> None:
    """`leadsync run` ends with 3 as long as amoCRM's refusal stands; `leadsync failed retry` tries it again."""
    world.write(WITH_TELEGRAM)
    await world.store([talk("1", phone="+79161234567", metadata={"username": "ivan"})])
    meddling = Meddling(world, "contacts", "Telegram")
    running = asyncio.create_task(command(world.folder, "run", "--format", "json"))
    while not world.requests("GET", "/api/v4/users"):  # the last of the account's names to be read
        await world.sandbox.requests.reached(world.sandbox.requests.total + 1)
    meddling.delete()
    ended = await running
    report: dict[str, Any] = orjson.loads(ended.out)
    assert (ended.code, report["summary"]["failed"], report["created"]["leads"]) == (3, 1, 1)
    meddling.restore()
    assert (await command(world.folder, "run")).code == 3
    assert (await command(world.folder, "failed", "retry")).code == 0
    assert (await command(world.folder, "run")).code == 0
    assert world.leads()[0]["contacts"] == [world.contacts()[0]["id"]]
    assert len(world.notes()) == 1


async def heal(world: World) -> None:
    """Try what was refused again: nothing may be left, and a run after that may write nothing."""
    async with world.pipeline() as pipeline:
        report = await pipeline.retry()
        assert report.refused == []
        assert await world.refused() == []
        before = len(world.writes())
        await pipeline.run()
    assert len(world.writes()) == before


async def kept(world: World, key: str) -> Refused:
    return next(one for one in await world.refused() if one.key == key)


async def test_the_answer_of_a_refusal_stays(world: World) -> None:
    """A refusal that is told again without asking amoCRM still shows what amoCRM answered."""
    field = world.sandbox.account.fields["leads"].named("Источник")
    async with world.pipeline() as pipeline:
        await pipeline.push(talk("0", product_interest="AI Cook"))  # the names are read anew: no more in this minute
        await world.store([talk("1")])
        world.sandbox.account.remove_field(field)
        await pipeline.run()
        first = await kept(world, "telegram:1")
        await pipeline.run()
        second = await kept(world, "telegram:1")
    assert first.answer is not None
    assert first.answer["errors"]
    assert second.answer == first.answer


async def test_a_number_no_price_can_be_stops_nobody(world: World) -> None:
    """A budget of thirty and more digits refuses its own record, and the others go through."""
    await world.store([talk("1", budget="9" * 35), talk("2", budget="1" + "0" * 30), talk("3", budget=100)])
    report = await world.run()
    assert {(row.key, row.field) for row in report.refused} == {(f"telegram:{one}", "lead.price") for one in "12"}
    assert [lead["price"] for lead in world.leads()] == [100]


async def test_refusals_whose_record_is_gone_are_forgotten(world: World) -> None:
    """What is skipped now leaves the list by the next run, what is in no source any more by a retry that says so."""
    await world.redis.mset({"dialog:1": b"{broken", "dialog:2": b"{broken"})
    await world.run()
    world.write(MAPPING | {"when": "{{ phone }}"})
    await world.redis.delete("dialog:1")
    await world.store([talk("2")])
    await world.run()
    assert [one.key for one in await world.refused()] == ["dialog:1"]
    async with world.pipeline() as pipeline:
        report = await pipeline.retry()
    assert any("no longer in their source" in one for one in report.warnings)
    assert await world.refused() == []
