"""A run from Redis to the CRM."""

from __future__ import annotations

import asyncio
import time

import pytest

from leadsync.errors import AmoCRMBanned
from leadsync.events import Event, RequestRetried
from leadsync.state.refused import DAY, Refused, RefusedRecords
from leadsync.state.runs import ending, last_runs
from leadsync.sync.results import RunReport
from tests.world import NAMES, World, talk


async def run(world: World) -> RunReport:
    async with world.pipeline() as pipeline:
        return await pipeline.run()


async def test_talk_becomes_contact_lead_fields_and_note(world: World) -> None:
    """Brief item 5: a talk becomes a contact with phone and e-mail, a named and priced lead, its fields and a note."""
    await world.store(
        [
            talk(
                "7",
                "Привет",
                "Сколько стоит?",
                phone="8 (916) 123-45-67",
                email="Ivan@Example.com",
                budget=150000,
                product_interest="AI Manager",
            )
        ]
    )
    report = await run(world)
    assert report.created == {"contacts": 1, "leads": 1, "notes": 1}
    (contact,), (lead,) = world.contacts(), world.leads()
    assert contact["fields"] == {"PHONE": "+79161234567", "EMAIL": "ivan@example.com"}
    assert contact["custom_fields_values"][0]["values"][0]["enum_code"] == "WORK"
    assert (lead["name"], lead["price"], lead["contacts"]) == ("Заявка от Иван (AI Manager)", 150000, [contact["id"]])
    assert lead["fields"] == {"Источник": "Telegram Bot", "Продукт": "AI Manager"}
    assert world.notes() == [(lead["id"], "user: Привет\nuser: Сколько стоит?")]


async def test_second_run_writes_nothing(world: World) -> None:
    """A run of unchanged talks sends no write."""
    await world.store([talk(str(number), phone=f"+7916123450{number}") for number in range(5)])
    await run(world)
    before = len(world.writes())
    report = await run(world)
    assert len(world.writes()) == before
    assert report.outcomes == {"unchanged": 5}


async def test_one_person_in_any_spelling_is_one_contact(world: World) -> None:
    """Talks whose phones or e-mails are the same, however spelled, share one contact."""
    spelled = [{"phone": "8 (916) 123-45-67"}, {"phone": "+79161234567", "email": "A@x.ru"}, {"email": "a@X.RU"}]
    await world.store([talk(str(number), **fields) for number, fields in enumerate(spelled)])
    report = await run(world)
    assert (report.created["contacts"], report.created["leads"]) == (1, 3)


async def test_lead_stands_alone_without_contact_data(world: World) -> None:
    """Brief item 6: without phone and e-mail the lead is made without a contact."""
    await world.store([talk("1")])
    report = await run(world)
    assert report.created == {"leads": 1, "notes": 1}
    assert world.contacts() == []


async def test_growing_talk_gets_a_note_with_the_new_messages(world: World) -> None:
    """New messages become one more note that holds just them; the lead stays one."""
    await world.store([talk("1", "раз", "два")])
    await run(world)
    await world.store([talk("1", "раз", "два", "три")])
    report = await run(world)
    assert report.created == {"notes": 1}
    assert [text for _, text in world.notes()] == ["user: раз\nuser: два", "user: три"]


async def test_changed_value_updates_the_lead(world: World) -> None:
    """A value of the record that changed is written to its lead, and only that value."""
    await world.store([talk("1", budget=100)])
    await run(world)
    await world.store([talk("1", budget=200)])
    report = await run(world)
    assert report.updated == {"leads": 1}
    (patch,) = world.requests("PATCH", "/api/v4/leads")
    assert patch.body[0]["price"] == 200
    assert "name" not in patch.body[0]


async def test_contact_that_appears_later_is_linked(world: World) -> None:
    """A phone that appears later makes the contact and links it to the lead."""
    await world.store([talk("1")])
    await run(world)
    await world.store([talk("1", phone="+79161234567")])
    report = await run(world)
    assert report.created["contacts"] == 1
    (lead,), (contact,) = world.leads(), world.contacts()
    assert lead["contacts"] == [contact["id"]]
    link = world.requests("POST", "/api/v4/leads/link")[0].body[0]
    assert link["entity_id"] == lead["id"]


async def test_bad_phone_refuses_one_record_only(world: World) -> None:
    """A phone of three digits refuses its record, with the field; the others go through."""
    await world.store([talk("1", phone="123"), talk("2", phone="+79161234567")])
    report = await run(world)
    assert report.created["leads"] == 1
    (row,) = report.refused
    assert (row.key, row.field) == ("telegram:1", "contact.phone")


async def test_dry_run_payloads_are_what_is_sent(world: World) -> None:
    """What a plan says is sent is what a run sends, but for ids that did not exist yet."""
    await world.store([talk("1", phone="+79161234567"), talk("2", email="a@b.ru"), talk("3")])
    async with world.pipeline() as pipeline:
        plan = await pipeline.plan()
        assert not world.writes()
        await pipeline.run()
    planned = {one.payload["request_id"]: dict(one.payload) for one in plan.changes}
    sent = {item["request_id"]: item for one in world.writes() for item in one.body}
    assert planned.keys() == sent.keys()
    for name, payload in planned.items():
        for field in ("name", "price", "custom_fields_values", "params", "pipeline_id", "status_id"):
            assert payload.get(field) == sent[name].get(field)


async def test_push_answers_with_ids(world: World) -> None:
    """Brief item 7: a push answers with lead id, contact id, success and message; a second one makes nothing new."""
    async with world.pipeline() as pipeline:
        first = await pipeline.push(talk("42", phone="8 916 123-45-67"))
        second = await pipeline.push(talk("42", phone="8 916 123-45-67"))
    assert first.success
    assert (second.lead_id, second.contact_id) == (first.lead_id, first.contact_id)
    assert len(world.leads()) == 1


async def test_runs_are_remembered_newest_first(world: World) -> None:
    """What a run came to stays readable, with no more refused records than a person reads."""
    await world.store([talk(str(number), phone="123") for number in range(30)])
    first = await run(world)
    await world.store([talk("1", phone="+79161234567")])
    second = await run(world)
    remembered = await last_runs(world.redis, NAMES)
    assert [one["run_id"] for one in remembered] == [second.run_id, first.run_id]
    assert remembered[0]["created"]["leads"] == 1
    assert (remembered[1]["summary"]["failed"], len(remembered[1]["refused"])) == (30, 20)


async def test_a_run_is_remembered_however_it_ends(world: World) -> None:
    """One that failed with the error's class, its words and what to do; one that was interrupted as such."""
    tasks: list[asyncio.Task[RunReport]] = []

    def interrupts(event: Event) -> None:
        if isinstance(event, RequestRetried):
            tasks[0].cancel()

    await world.store([talk("1")])
    async with world.pipeline(interrupts) as pipeline:
        await pipeline.run()
        await world.store([talk("2")])
        world.sandbox.faults.add("POST /api/v4/leads ban403")
        with pytest.raises(AmoCRMBanned) as banned:
            await pipeline.run()
        world.sandbox.faults.add("GET /api/v4/contacts 500_before")
        await world.store([talk("3", phone="+79161234567")])
        tasks.append(asyncio.create_task(pipeline.run()))
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
    interrupted, failed, went = await last_runs(world.redis, NAMES)
    assert (interrupted["ended"], interrupted["error"]) == ("interrupted", None)
    assert (went["ended"], went["error"]) == ("ok", None)
    error = {"class": "AmoCRMBanned", "what": banned.value.what, "do": banned.value.do}
    assert (failed["ended"], failed["error"]) == ("failed", error)


def test_words_that_are_not_ours_are_not_remembered() -> None:
    """An error of a library may quote what it met: only its class is kept."""
    assert ending(ValueError("+79161234567")) == {
        "ended": "failed",
        "error": {"class": "ValueError", "what": None, "do": None},
    }


async def test_what_fails_in_every_run_stays_fresh(world: World) -> None:
    """A run renews the time of those it tries; what no source holds any more goes in its time, and that is told."""
    await world.store([talk("1", phone="123")])
    now = time.time()
    kept = RefusedRecords(world.redis, NAMES)
    await kept.keep([refused(f"telegram:{number}", now - 80 * DAY) for number in (1, 2)])
    assert not any("dropped" in one for one in (await run(world)).warnings)
    by_key = {one.key: one for one in await world.refused()}
    assert by_key["telegram:1"].at >= now
    assert (by_key["telegram:1"].tries, by_key["telegram:2"].tries) == (2, 1)

    world.write(redis={"url": world.redis_url, "keep_refused": "79d"})
    warnings = (await run(world)).warnings
    assert "1 refused record was dropped: the last try was more than 79 days ago (redis.keep_refused)" in warnings
    assert [one.key for one in await world.refused()] == ["telegram:1"]


def refused(key: str, at: float) -> Refused:
    """A record that was refused at a time."""
    return Refused(key, "redis-dialogs", "dialog", "no phone", "fix the record", "contact.phone", at)
