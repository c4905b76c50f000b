"""`lead.match: open`: one person, one open lead, whichever bot the person writes to."""

from __future__ import annotations

from typing import Any

import pytest

from leadsync.amocrm import AmoCRMClient, LongLivedToken
from leadsync.amocrm.catalogue import LOST, WON
from leadsync.errors import StartRefused
from leadsync.sync.changes import lead_ref
from tests.pipeline.saved_plans import apply, save
from tests.world import MAPPING, World, talk

LEAD: Any = MAPPING["lead"]
CONTACT: Any = MAPPING["contact"]
OPEN = {**MAPPING, "lead": {**LEAD, "match": "open", "fields": {**LEAD["fields"], "Город": "{{ metadata.city }}"}}}
KEYED = {**OPEN, "key_field": "ID диалога"}

ANNA, AS_SHE_WRITES_IT = "+79161234567", "8 (916) 123-45-67"
FUNNEL, TALKING, AGAIN, ASKED_AGAIN = 7_028_886, 58_962_662, 7_055_602, 59_144_294


def telegram(id_: str = "1", *texts: str, **fields: Any) -> dict[str, Any]:
    """Anna writes in Telegram."""
    return talk(id_, *texts, phone=ANNA, **fields)


def avito(id_: str = "2", *texts: str, **fields: Any) -> dict[str, Any]:
    """Anna writes in Avito, and spells her phone otherwise."""
    return talk(id_, *(texts or ("Это снова я",)), source="avito", phone=AS_SHE_WRITES_IT, **fields)


def salesperson(world: World) -> AmoCRMClient:
    """Somebody at work in the CRM."""
    return AmoCRMClient(world.sandbox.url, LongLivedToken(world.sandbox.long_lived_token()))


def edit(world: World, lead_id: int, **facts: Any) -> None:
    """What a salesperson changes of a lead, a second after everything else."""
    account = world.sandbox.account
    lead = account.leads[lead_id]
    lead.facts |= facts
    account.put(lead)


@pytest.fixture(autouse=True)
def _open(world: World) -> None:
    world.write(OPEN)


async def push(world: World, record: dict[str, Any]) -> Any:
    """Push one record with a pipeline of its own."""
    async with world.pipeline() as pipeline:
        return await pipeline.push(record)


def notes_of(world: World, lead_id: int) -> list[str]:
    """The notes of one lead."""
    return [text for one, text in world.notes() if one == lead_id]


def tags_of(world: World, lead_id: int) -> list[str]:
    """The tags of one lead."""
    account = world.sandbox.account
    return [account.tags[one].name for one in account.leads[lead_id].tags]


async def test_monday_telegram_tuesday_avito(world: World) -> None:
    """A second talk of one person goes into the open lead: its note, its tags and what was empty; the rest stays."""
    world.write({**OPEN, "lead": {**OPEN["lead"], "tags": ["{{ source }}"]}})
    await world.store([telegram(product_interest="AI Manager")])
    await world.run()
    (before,) = world.leads()
    await world.store([avito(product_interest="AI Lawyer", budget=500, metadata={"city": "Омск"})])
    report = await world.run()
    (lead,) = world.leads()
    assert (report.created, report.updated) == ({"notes": 1}, {"leads": 1})
    assert (lead["name"], lead["status_id"]) == (before["name"], before["status_id"])
    assert lead["fields"] == {"Источник": "Telegram Bot", "Продукт": "AI Manager", "Город": "Омск"}
    assert lead["price"] == 500
    assert tags_of(world, lead["id"]) == ["telegram", "avito"]
    assert notes_of(world, lead["id"]) == ["user: Здравствуйте", "user: Это снова я"]


async def test_the_push_says_where_the_talk_went(world: World) -> None:
    """A push that joins answers with the lead and says that the talk joined it; the next push of that talk does not."""
    first = await push(world, telegram())
    second = await push(world, avito())
    third = await push(world, avito("2", "Это снова я", "И ещё вопрос"))
    assert (second.lead_id, second.message) == (first.lead_id, f"the talk joined lead {first.lead_id}")
    assert (third.lead_id, third.message) == (first.lead_id, "the lead was updated")


async def test_a_plan_says_which_lead_and_why(world: World) -> None:
    """A dry run names the lead that the talk joins, with its reason, counts an update, and writes nothing."""
    await push(world, telegram())
    await world.store([avito()])
    before = len(world.writes())
    async with world.pipeline() as pipeline:
        plan = await pipeline.plan()
    (lead,) = world.leads()
    (joined,) = plan.joined
    assert (joined.key, joined.lead, joined.reason) == (
        "avito:2",
        lead["id"],
        "open lead of the same contact in «Воронка»",
    )
    assert plan.outcomes == {"update": 1}
    assert [one.payload["entity_id"] for one in plan.changes if one.entity == "note"] == [lead["id"]]
    assert [(one.name, one.why) for one in plan.kept] == [("Источник", "set by another talk")]
    assert len(world.writes()) == before


async def test_none_is_the_default(world: World) -> None:
    """Without `match: open` every talk makes a lead of its own."""
    world.write(MAPPING)
    await world.store([telegram(), avito()])
    await world.run()
    assert len(world.leads()) == 2


@pytest.mark.parametrize("status", [WON, LOST])
async def test_a_closed_lead_is_not_joined(world: World, status: int) -> None:
    """A lead that was won or lost is the past: the next talk makes a new one."""
    first = await push(world, telegram())
    edit(world, first.lead_id, status_id=status)
    second = await push(world, avito())
    assert second.message == "the lead was created"
    assert second.lead_id != first.lead_id


async def test_a_lead_in_another_pipeline_is_not_joined(world: World) -> None:
    """A lead that a salesperson moved to another pipeline is another matter."""
    first = await push(world, telegram())
    edit(world, first.lead_id, pipeline_id=AGAIN, status_id=ASKED_AGAIN)
    assert (await push(world, avito())).lead_id != first.lead_id


async def test_the_main_pipeline_when_the_mapping_names_none(world: World) -> None:
    """Where the mapping names no pipeline, open leads of the account's main one are joined, and only those."""
    plain = {name: value for name, value in OPEN["lead"].items() if name not in ("pipeline", "status")}
    world.write({**OPEN, "lead": plain})
    first = await push(world, telegram())
    assert (await push(world, avito())).lead_id == first.lead_id
    edit(world, first.lead_id, pipeline_id=AGAIN, status_id=ASKED_AGAIN)
    assert (await push(world, avito("3"))).lead_id != first.lead_id


async def test_of_several_the_newest(world: World) -> None:
    """Of several open leads the one made last is joined, whatever their ids; of the same second, the highest id."""
    world.write(MAPPING)
    made = [(await push(world, talk(number, phone=ANNA))).lead_id for number in "345"]
    world.write(OPEN)
    for lead_id, at in zip(made, (1_800_000_005, 1_800_000_009, 1_800_000_001), strict=True):
        edit(world, lead_id, created_at=at)
    assert (await push(world, avito())).lead_id == made[1]
    edit(world, made[0], created_at=1_800_000_009)
    assert (await push(world, avito("6"))).lead_id == made[1]


async def test_a_lead_made_by_hand(world: World) -> None:
    """A lead that a salesperson made is joined too: what stands in it stays theirs, and is never taken for ours."""
    async with salesperson(world) as amocrm:
        contact = await amocrm.create_contact(name="Анна", phones=[ANNA])
        by_hand = await amocrm.create_lead(name="Звонок", contact_ids=[contact], pipeline_id=FUNNEL, status_id=TALKING)
    assert (await push(world, avito(product_interest="AI Lawyer", budget=7))).lead_id == by_hand
    assert (await push(world, avito(product_interest="AI Analyst", budget=8))).lead_id == by_hand
    (lead,) = world.leads()
    assert (lead["name"], lead["status_id"], lead["price"]) == ("Звонок", TALKING, 8)
    assert lead["fields"]["Продукт"] == "AI Analyst"


async def test_a_deleted_lead_is_not_joined(world: World) -> None:
    """A lead that a person deleted is gone for its own talk, and no place for others."""
    first = await push(world, telegram())
    world.sandbox.account.remove("leads", first.lead_id)
    second = await push(world, avito())
    assert second.message == "the lead was created"
    await push(world, telegram(budget=5))
    assert [one["id"] for one in world.leads()] == [second.lead_id]


async def test_a_lead_of_somebody_else_is_not_joined(world: World) -> None:
    """Another person's open lead is nobody else's, and a lead that was untied from the contact is not the contact's."""
    first = await push(world, telegram())
    assert (await push(world, talk("3", phone="+79160000000"))).lead_id != first.lead_id
    (contact, _) = world.contacts()
    world.sandbox.account.unlink(("leads", first.lead_id), ("contacts", contact["id"]))
    assert (await push(world, avito())).lead_id != first.lead_id


async def test_without_a_contact_each_talk_is_alone(world: World) -> None:
    """A talk that tells neither phone nor e-mail joins nothing."""
    await world.store([talk("1"), talk("2")])
    await world.run()
    assert len(world.leads()) == 2


async def test_a_lead_stays_with_its_talk_for_ever(world: World) -> None:
    """A joined lead that is closed and moved keeps its talks: what they say later goes there, not elsewhere."""
    first = await push(world, telegram())
    await push(world, avito())
    edit(world, first.lead_id, pipeline_id=AGAIN, status_id=LOST)
    for record in (avito("2", "Это снова я", "Вы тут?"), telegram("1", "Здравствуйте", "Алло")):
        assert (await push(world, record)).lead_id == first.lead_id
    assert notes_of(world, first.lead_id)[2:] == ["user: Вы тут?", "user: Алло"]
    assert (await push(world, avito("3"))).lead_id != first.lead_id


async def test_two_new_talks_in_one_run(world: World) -> None:
    """Two talks of a new person make one lead with what both say; the first wins where both say something."""
    world.write({**KEYED, "lead": {**KEYED["lead"], "tags": ["{{ source }}", "бот"]}})
    await world.store([telegram(budget=1), avito(budget=2, metadata={"city": "Омск"})])
    report = await world.run()
    (lead,) = world.leads()
    assert (report.created, report.outcomes) == (
        {"contacts": 1, "leads": 1, "notes": 2},
        {"create": 1, "update": 1},
    )
    first, second = lead["fields"]["ID диалога"].split(" + ")
    assert {first, second} == {"telegram:1", "avito:2"}
    assert lead["price"] == (1 if first == "telegram:1" else 2)
    assert lead["fields"]["Город"] == "Омск"
    assert sorted(tags_of(world, lead["id"])) == ["avito", "telegram", "бот"]
    assert len(notes_of(world, lead["id"])) == 2
    before = len(world.writes())
    await world.store([telegram(budget=5), avito(budget=6, metadata={"city": "Омск"})])
    await world.run()
    assert world.leads()[0]["price"] == (5 if first == "telegram:1" else 6)
    assert [one.path for one in world.writes()[before:]] == ["/api/v4/leads"]


async def test_a_dry_run_of_two_new_talks(world: World) -> None:
    """The plan of two new talks of one person shows one lead, and that the other talk joins it."""
    await world.store([telegram(), avito()])
    async with world.pipeline() as pipeline:
        plan = await pipeline.plan()
    (made,) = (one for one in plan.changes if one.entity == "lead")
    (joined,) = plan.joined
    assert joined.lead == lead_ref(made.key)
    assert {made.key, joined.key} == {"telegram:1", "avito:2"}
    assert joined.reason == "new lead of the same contact in «Воронка»"
    assert plan.outcomes == {"create": 1, "update": 1}


async def test_a_dry_run_remembers_what_earlier_records_would_make(world: World) -> None:
    """In a plan of many chunks the lead that an early record would make is known to a late one."""
    crowd = [talk(f"9{number}", phone=f"+7916{number:07}") for number in range(1_000, 1_500)]
    await world.store([telegram(), *crowd, avito()])
    async with world.pipeline() as pipeline:
        plan = await pipeline.plan()
    assert sum(one.entity == "lead" for one in plan.changes) == len(crowd) + 1
    (joined,) = plan.joined
    assert {joined.key, joined.lead} & {lead_ref("telegram:1"), lead_ref("avito:2")} == {joined.lead}


async def test_a_saved_plan_with_talks_that_join(world: World) -> None:
    """A plan that is saved keeps what joins what: applied it makes one lead a person, applied again nothing; when the
    lead that a talk would join was closed since, it is refused."""
    await push(world, telegram())
    boris = {"phone": "+79162223344"}
    await world.store([telegram(), avito(), talk("8", **boris), talk("9", "Алло", **boris)])
    await save(world)
    report = await apply(world)
    assert (len(world.leads()), len(world.notes())) == (2, 4)
    assert report.created == {"contacts": 1, "leads": 1, "notes": 3}
    before = len(world.writes())
    await apply(world)
    assert len(world.writes()) == before
    await world.store([avito("5")])
    await save(world)
    edit(world, world.leads()[0]["id"], status_id=LOST)
    with pytest.raises(StartRefused):
        await apply(world)
    assert len(world.writes()) == before


async def test_none_and_open_side_by_side(world: World) -> None:
    """A talk whose mapping says `none` makes its own lead all the same, and one that says `open` may join that."""
    world.write(MAPPING)
    (world.folder / "none.yaml").write_text((world.folder / "mapping.yaml").read_text(encoding="utf-8"))
    mappings = {"telegram": "none.yaml", "avito": "mapping.yaml"}
    world.write(OPEN, sources={"redis-dialogs": {"type": "redis-dialogs", "match": "dialog:*", "mapping": mappings}})
    await world.store([telegram("1"), telegram("3"), avito("2"), avito("4")])
    await world.run()
    leads = world.leads()
    assert 2 <= len(leads) <= 3  # one more where the open talk came first
    await world.store([avito("5")])
    await world.run()
    assert world.leads() == [*leads[:-1], world.leads()[-1]]
    assert notes_of(world, leads[-1]["id"])[-1] == "user: Это снова я"


async def test_two_talks_change_one_lead_at_once(world: World) -> None:
    """What two talks change of their lead in one run goes in one update, each value by the talk that brought it."""
    await push(world, telegram(budget=1))
    await push(world, avito(metadata={"city": "Омск"}))
    before = len(world.writes())
    await world.store([telegram(budget=2), avito(budget=3, metadata={"city": "Казань"})])
    report = await world.run()
    (lead,) = world.leads()
    assert (lead["price"], lead["fields"]["Город"]) == (2, "Казань")
    assert report.updated == {"leads": 1}
    assert len(world.writes()) == before + 1


async def test_ten_more_runs_write_nothing(world: World) -> None:
    """Once everything is in, nothing is written any more, however often it runs."""
    world.write(KEYED)
    await world.store(
        [telegram(), avito(budget=5), avito("3", email="anna@x.ru"), telegram("4", metadata={"city": "x"})]
    )
    await world.run()
    before = len(world.writes())
    for _ in range(10):
        report = await world.run()
    assert report.outcomes == {"unchanged": 4}
    assert len(world.writes()) == before
    assert len(world.leads()) == 1


async def test_fifty_people_cost_few_requests(world: World) -> None:
    """Who has which open leads is asked for everybody at once."""
    people = [f"+7916{number:07}" for number in range(1_000, 1_050)]
    await world.store([talk(str(number), phone=phone) for number, phone in enumerate(people)])
    await world.run()
    await world.store([talk(f"a{number}", source="avito", phone=phone) for number, phone in enumerate(people)])
    before = len(world.requests("GET"))
    await world.run()
    asked = [one.path for one in world.requests("GET")[before:]]
    assert asked.count("/api/v4/contacts/links") == 1
    assert len([one for one in asked if one.startswith("/api/v4/leads") and "custom" not in one]) <= 4
    assert len(world.leads()) == 50


async def test_an_account_without_filters(world: World) -> None:
    """Without amoCRM's paid filters the leads are read one by one, and the same one is joined."""
    world.sandbox.switches.is_api_filter_enabled = False
    first = await push(world, telegram())
    await push(world, talk("3", phone="+79160000000"))
    assert (await push(world, avito())).lead_id == first.lead_id


async def test_one_bad_talk_takes_nobody_along(world: World) -> None:
    """When amoCRM refuses a lead for what one of its talks says, the other makes it alone; the bad one is told."""
    world.write({**OPEN, "lead": {**OPEN["lead"], "fields": {"Тариф": "{{ metadata.plan }}"}}})
    await world.store([avito(metadata={"plan": "Рост"}), telegram(budget=3)])
    options = world.sandbox.account.fields["leads"].named("Тариф").options
    before = list(options)
    async with world.pipeline() as pipeline:
        options[:] = [one for one in options if one.value != "Рост"]  # somebody tidies the account up
        report = await pipeline.run()
    (lead,) = world.leads()
    assert [one.key for one in report.refused] == ["avito:2"]
    assert report.created["leads"] == 1
    assert lead["price"] == 3
    assert notes_of(world, lead["id"])[:1] == ["user: Здравствуйте"]
    options[:] = before
    async with world.pipeline() as pipeline:
        await pipeline.retry()
    (lead,) = world.leads()
    assert lead["fields"] == {"Тариф": "Рост"}
    assert sorted(notes_of(world, lead["id"])) == ["user: Здравствуйте", "user: Это снова я"]
    assert await world.refused() == []


async def test_a_contact_that_was_refused(world: World) -> None:
    """When the contact of two talks is refused, both are told; once it is mended their one lead is tied to it, once."""
    world.write({**OPEN, "contact": {**CONTACT, "fields": {"Telegram": "{{ user_name }}"}}})
    await world.store([telegram(), avito()])
    account = world.sandbox.account
    field = account.fields["contacts"].named("Telegram")
    async with world.pipeline() as pipeline:
        account.remove_field(field)
        report = await pipeline.run()
    assert {one.key for one in report.refused} == {"telegram:1", "avito:2"}
    assert [one["contacts"] for one in world.leads()] == [[]]
    account.put_field(field)
    async with world.pipeline() as pipeline:
        await pipeline.retry()
    (lead,), (contact,) = world.leads(), world.contacts()
    assert lead["contacts"] == [contact["id"]]
    assert [len(one.body) for one in world.requests("POST", "/api/v4/leads/link")] == [1]
    assert len(world.notes()) == 2


async def test_a_contact_that_is_gone_before_its_lead_is_made(world: World) -> None:
    """A lead that could not be made at first goes to whoever is that person when it is."""
    world.write({**OPEN, "lead": {**OPEN["lead"], "fields": {"Тариф": "{{ metadata.plan }}"}}})
    await world.store([telegram(metadata={"plan": "Рост"})])
    options = world.sandbox.account.fields["leads"].named("Тариф").options
    before = list(options)
    async with world.pipeline() as pipeline:
        options[:] = [one for one in options if one.value != "Рост"]
        assert len((await pipeline.run()).refused) == 1
    world.sandbox.account.remove("contacts", world.contacts()[0]["id"])  # somebody merges contacts by hand
    async with salesperson(world) as amocrm:
        survivor = await amocrm.create_contact(name="Анна", phones=[ANNA])
        lead_id = await amocrm.create_lead(name="Звонок", contact_ids=[survivor], pipeline_id=FUNNEL, status_id=TALKING)
    options[:] = before
    async with world.pipeline() as pipeline:
        assert (await pipeline.retry()).refused == []
    assert [one["id"] for one in world.leads()] == [lead_id]
    assert len(world.contacts()) == 1


# Redis that forgot everything


async def test_second_run_after_redis_was_emptied(world: World) -> None:
    """With `key_field` both talks are known again by their lead: nothing is made and no message is said twice."""
    world.write(KEYED)
    first, second = telegram("1", "Здравствуйте", "Сколько стоит бот?"), avito("2", "Это снова я", "Нужен договор")
    await world.store([first])
    await world.run()
    await world.store([second])
    await world.run()
    await world.redis.flushall()
    await world.store([first, second])
    before = len(world.writes())
    report = await world.run()
    assert report.outcomes == {"unchanged": 2}
    assert len(world.writes()) == before
    (lead,) = world.leads()
    assert lead["fields"]["ID диалога"] == "telegram:1 + avito:2"
    await world.store([avito("2", "Это снова я", "Нужен договор", "И счёт")])
    await world.run()
    assert notes_of(world, lead["id"])[2:] == ["user: И счёт"]


async def test_a_closed_lead_comes_back_too(world: World) -> None:
    """After a loss the talks of a lead that was closed meanwhile are still its own."""
    world.write(KEYED)
    await world.store([telegram(), avito()])
    await world.run()
    (lead,) = world.leads()
    edit(world, lead["id"], status_id=WON)
    await world.redis.flushall()
    await world.store([telegram(), avito()])
    await world.run()
    assert len(world.leads()) == 1
    assert len(world.notes()) == 2


async def test_a_talk_that_only_the_account_remembers(world: World) -> None:
    """When Redis lost no more than one talk that had joined an old lead, its key in the lead says what was noted."""
    world.write(KEYED)
    await world.store([telegram()])
    await world.run()
    await world.store([avito("2", "Это снова я", "Нужен договор")])
    await world.run()
    await world.redis.delete(*[key async for key in world.redis.scan_iter("*link:avito:2")])
    await world.store([avito("2", "Это снова я", "Нужен договор", "И счёт")])
    report = await world.run()
    (lead,) = world.leads()
    assert report.created == {"notes": 1}
    assert notes_of(world, lead["id"])[2:] == ["user: И счёт"]
    assert lead["fields"]["ID диалога"] == "telegram:1 + avito:2"


async def test_a_key_that_does_not_fit(world: World) -> None:
    """A key for which the field has no room is left out: the talk joins all the same, and the report says so once."""
    world.write({**KEYED, "key": "{{ source }}:{{ id }}:{{ 'x' * 110 }}"})
    await world.store([telegram()])
    await world.run()
    (before,) = world.leads()
    await world.store([avito(), avito("3")])
    report = await world.run()
    (lead,) = world.leads()
    keys = lead["fields"]["ID диалога"].split(" + ")
    assert len(keys) == 2
    assert len(lead["fields"]["ID диалога"]) <= 256
    assert before["fields"]["ID диалога"] == keys[0]
    assert len(world.notes()) == 3
    (warning,) = [one for one in report.warnings if "keys" in one]
    assert "no room" in warning


async def test_a_key_that_holds_the_separator(world: World) -> None:
    """A key with a plus between spaces is known again as a whole when it stands alone."""
    world.write({**KEYED, "key": "{{ source }} + {{ id }}"})
    await world.store([telegram()])
    await world.run()
    await world.redis.flushall()
    await world.store([telegram()])
    before = len(world.writes())
    await world.run()
    assert len(world.writes()) == before


async def test_the_key_goes_into_a_lead_made_by_hand(world: World) -> None:
    """A lead without any key takes that of the talk that joins it."""
    world.write(KEYED)
    async with salesperson(world) as amocrm:
        contact = await amocrm.create_contact(name="Анна", phones=[ANNA])
        await amocrm.create_lead(name="Звонок", contact_ids=[contact], pipeline_id=FUNNEL, status_id=TALKING)
    await push(world, avito())
    (lead,) = world.leads()
    assert lead["fields"]["ID диалога"] == "avito:2"
