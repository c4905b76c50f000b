"""Who is it, in bulk: people are found in the index of the account's contacts, and nobody is guessed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from leadsync.sandbox.entities import Entity
from leadsync.sandbox.seeding import seed
from leadsync.state.contact_index import ContactIndex
from leadsync.sync.contact_list import FRESH
from leadsync.sync.resolve import contact_keys_of
from leadsync.sync.results import Lookups
from tests.world import MAPPING, NAMES, World, talk

CONTACTS = "/api/v4/contacts"
ANNA, BORIS = "+79161234567", "+79162223344"


def strangers(count: int, first: int = 1000) -> list[dict[str, Any]]:
    """Talks of people whom the account does not know."""
    return [talk(str(number), phone=f"+7916{number:07}") for number in range(first, first + count)]


def searches(world: World) -> int:
    """How many requests looked for somebody by a text."""
    return sum("query=" in one.query for one in world.requests("GET", CONTACTS))


def pages(world: World) -> int:
    """How many pages of the contact list were asked for."""
    return sum("order" in one.query and "query=" not in one.query for one in world.requests("GET", CONTACTS))


def person(world: World, phone: str, **facts: Any) -> Entity:
    """A contact that somebody makes by hand, now."""
    account = world.sandbox.account
    ((made,), _) = seed(account, 1, number=account.counters["contacts"])
    entity = account.contacts[made]
    phones = account.fields["contacts"].coded("PHONE")
    assert phones is not None
    entity.values[phones.id] = [{"value": phone}]
    entity.facts |= {"created_at": account.now(), "updated_at": account.now(), **facts}
    account.put(entity)
    return entity


def give(world: World, entity: Entity, phone: str | None) -> None:
    """Somebody writes another phone into a contact, or none, now."""
    account = world.sandbox.account
    phones = account.fields["contacts"].coded("PHONE")
    assert phones is not None
    entity.values[phones.id] = [{"value": phone}] if phone else []
    entity.facts["updated_at"] = account.now()
    account.put(entity)


def phones_of(world: World, entities: Iterable[Entity]) -> list[str]:
    """A phone of each contact, spelt as a talk would."""
    account = world.sandbox.account
    shown = (one.shown(account.fields["contacts"], account.id) for one in entities)
    return [sorted(contact_keys_of(one, "RU"))[-1].removeprefix("phone:") for one in shown]


async def wait_until_stale(world: World) -> None:
    """Let FRESH go by, as far as the index knows."""
    index = ContactIndex(world.redis, NAMES, "RU")
    await index.keep(checked=(await index.state()).checked - FRESH)


async def indexed(world: World) -> None:
    """Have the account's contacts read."""
    await world.store(strangers(2, 9_000_000))
    await world.run()
    assert (await ContactIndex(world.redis, NAMES, "RU").state()).whole
    world.sandbox.requests.clear()


def people(world: World) -> dict[str, list[int]]:
    """The contacts of each lead, by the lead's name."""
    return {one["name"]: one["contacts"] for one in world.leads()}


async def test_a_large_account_is_read_by_the_page(world: World) -> None:
    """300 people among 2 000 contacts: nobody is searched for; a second run of others asks only what changed."""
    seed(world.sandbox.account, 2_000)
    known = [one for number, one in enumerate(world.sandbox.account.contacts) if number % 20 == 0]
    talks = [talk(f"k{number}", phone=one) for number, one in enumerate(phones_of(world, known))]
    await world.store([*talks, *strangers(200)])
    async with world.pipeline() as pipeline:
        plan = await pipeline.plan()
        assert (plan.lookups.searches, plan.lookups.pages) == (0, 8)
        assert 8 <= pages(world) <= 8 + 4
        report = await pipeline.run()
    assert searches(world) == 0
    assert report.created == {"contacts": 200, "leads": 300, "notes": 300}
    await wait_until_stale(world)
    world.sandbox.requests.clear()
    await world.store(strangers(100, 5000))
    report = await world.run()
    assert (pages(world), searches(world), report.created["contacts"]) == (1, 0, 100)


async def test_leads_without_people_need_no_list(world: World) -> None:
    """Where the mapping makes no contacts, the account's are not read, however many talks there are."""
    seed(world.sandbox.account, 600)
    world.write({name: part for name, part in MAPPING.items() if name != "contact"})
    await world.store(strangers(120))
    async with world.pipeline() as pipeline:
        plan = await pipeline.plan()
        report = await pipeline.run()
    assert (plan.lookups, pages(world), searches(world)) == (Lookups(), 0, 0)
    assert report.created == {"leads": 120, "notes": 120}


async def test_new_talks_of_known_people_need_no_list(world: World) -> None:
    """Whoever is known from earlier talks is nobody to look for: the account's contacts are not read."""
    await world.store(strangers(120))
    await world.run()
    index = ContactIndex(world.redis, NAMES, "RU")
    await index.keep(whole=0, looked=0, pages=0)
    world.sandbox.requests.clear()
    await world.store(one | {"id": f"again-{one['id']}"} for one in strangers(120))
    report = await world.run()
    assert report.created == {"leads": 120, "notes": 120}
    assert (pages(world), searches(world)) == (0, 0)


async def test_somebody_made_by_hand_is_found(world: World) -> None:
    """A contact that a person makes after the list was read is found as soon as FRESH is over."""
    await indexed(world)
    made = person(world, ANNA)
    await wait_until_stale(world)
    await world.store([talk("1", phone=ANNA)])
    report = await world.run()
    assert report.created == {"leads": 1, "notes": 1}
    assert world.leads()[-1]["contacts"] == [made.id]
    assert searches(world) == 0


@pytest.mark.parametrize("is_stale", [False, True])
async def test_a_phone_that_moved_is_looked_up(world: World, is_stale: bool) -> None:
    """A phone that a person moved to another contact is that one's: the hit is verified, and not guessed."""
    first, second = person(world, ANNA), person(world, BORIS)
    await indexed(world)
    give(world, first, "+79160000001")
    give(world, second, ANNA)
    if is_stale:
        await wait_until_stale(world)
    await world.store([talk("1", phone=ANNA)])
    await world.run()
    assert world.leads()[-1]["contacts"] == [second.id]
    assert searches(world) == (0 if is_stale else 1)


@pytest.mark.parametrize("how", ["phone removed", "deleted", "in the bin"])
async def test_somebody_who_is_no_more(world: World, how: str) -> None:
    """A phone that nobody holds any more makes a new contact, once it was searched for."""
    old = person(world, ANNA)
    await indexed(world)
    if how == "phone removed":
        give(world, old, None)
    elif how == "deleted":
        world.sandbox.account.remove("contacts", old.id)
    else:
        old.facts["is_deleted"] = True
    await world.store([talk("1", phone=ANNA)])
    report = await world.run()
    assert report.created["contacts"] == 1
    assert searches(world) == 1
    assert world.leads()[-1]["contacts"] == [world.contacts()[-1]["id"]]
    assert world.contacts()[-1]["id"] != old.id


async def test_somebody_who_was_merged(world: World) -> None:
    """A contact that was merged into another is the other, which holds its phone now."""
    kept, gone = person(world, BORIS), person(world, ANNA)
    await indexed(world)
    world.sandbox.account.remove("contacts", gone.id)
    give(world, kept, ANNA)
    await world.store([talk("1", phone=ANNA)])
    await world.run()
    assert world.leads()[-1]["contacts"] == [kept.id]


async def test_a_phone_goes_before_an_email(world: World) -> None:
    """Where the index is wrong about the phone, the e-mail it is right about does not decide: who has the phone is
    looked up first."""
    was, is_now = person(world, ANNA), person(world, BORIS)
    email = person(world, "+79160000009")
    account = world.sandbox.account
    field = account.fields["contacts"].coded("EMAIL")
    assert field is not None
    email.values[field.id] = [{"value": "anna@x.ru"}]
    account.put(email)
    await indexed(world)
    give(world, was, None)
    give(world, is_now, ANNA)
    await world.store([talk("1", phone=ANNA, email="anna@x.ru")])
    await world.run()
    assert world.leads()[-1]["contacts"] == [is_now.id]


@pytest.mark.parametrize("way", ["index", "search"])
async def test_two_contacts_with_one_phone(world: World, way: str) -> None:
    """The oldest that is still there wins, and plan and report say so by ids, without the phone."""
    gone, first, second = (person(world, ANNA) for _ in range(3))
    if way == "index":
        await indexed(world)
    gone.facts["is_deleted"] = True
    await world.store([talk("1", phone=ANNA)])
    async with world.pipeline() as pipeline:
        plan = await pipeline.plan(record="telegram:1")
        report = await pipeline.run(record="telegram:1")
        again = await pipeline.run()
    assert world.leads()[-1]["contacts"] == [first.id]
    assert (searches(world) > 0) == (way == "search")
    told = f"the contacts {first.id}, {second.id} hold the same phone or e-mail"
    for warnings in (plan.warnings, report.warnings):
        (said,) = [one for one in warnings if told in one]
        assert f"the oldest of them, {first.id}," in said
        assert ANNA[-10:] not in said
    assert not [one for one in again.warnings if told in one]


async def test_many_twins_are_counted(world: World) -> None:
    """Twenty are named, the others counted: a report stays readable."""
    for number in range(2 * 23):
        person(world, f"+7916000{number // 2:04}")
    await world.store([talk(str(number), phone=f"+7916000{number:04}") for number in range(23)])
    report = await world.run()
    assert sum("hold the same phone" in one for one in report.warnings) == 20
    assert "3 more people stand in several contacts: the oldest is taken" in report.warnings


async def test_an_account_without_paid_filters(world: World) -> None:
    """The list needs no filter; hits are verified one by one."""
    world.sandbox.switches.is_api_filter_enabled = False
    known = person(world, ANNA)
    await world.store([talk("1", phone=ANNA), *strangers(30)])
    report = await world.run()
    assert (searches(world), report.created["contacts"]) == (0, 30)
    assert [known.id] in [one["contacts"] for one in world.leads()]


async def test_filters_that_are_ignored(world: World) -> None:
    """An account that says it has filters and ignores them answers with strangers, who are nobody's contact."""
    seed(world.sandbox.account, 300)
    known = [person(world, ANNA), person(world, BORIS)]
    world.sandbox.faults.add("GET /api/v4/* filters_ignored")
    await world.store([talk("1", phone=ANNA), talk("2", phone=BORIS)])
    report = await world.run()
    assert report.created == {"leads": 2, "notes": 2}
    assert sorted(one["contacts"] for one in world.leads()) == sorted([one.id] for one in known)


async def test_short_pages_of_those_asked_for(world: World) -> None:
    """Where a page shows fewer contacts or leads than were asked for, the rest stands on the next ones, and counts."""
    phones = [f"+7999000{number:04}" for number in range(45)]
    await world.store([talk(str(number), phone=phone, budget=10) for number, phone in enumerate(phones)])
    await world.run()
    for size, price in ((20, 20), (250, 30)):
        world.sandbox.switches.largest_page = size
        await world.store([talk(str(number), phone=phone, budget=price) for number, phone in enumerate(phones)])
        assert (await world.run()).created == {}
        assert {one["price"] for one in world.leads()} == {price}
    assert (len(world.contacts()), len(world.leads())) == (45, 45)


async def test_few_talks_in_a_large_account(world: World) -> None:
    """One talk at a time is searched for until that has cost more than reading the list; from then on nobody is."""
    world.sandbox.switches.largest_page = 50
    seed(world.sandbox.account, 250)
    index = ContactIndex(world.redis, NAMES, "RU")
    needed, number = 0, 0
    async with world.pipeline() as pipeline:
        while not (await index.state()).whole:
            world.sandbox.requests.clear()
            assert (await pipeline.push(strangers(1, 1000 + number)[0])).success
            needed, number = needed + searches(world) + pages(world), number + 1
            assert number <= 20
        assert number >= 10
        assert needed <= 3 * 2 * number
        world.sandbox.requests.clear()
        await pipeline.push(strangers(1, 5000)[0])
    assert (searches(world), pages(world)) == (0, 0)


async def test_two_pipelines_build_it_at_once(world: World) -> None:
    """Two processes that meet the same people for the first time make one contact for each."""
    seed(world.sandbox.account, 600)
    await world.store(strangers(120))
    async with world.pipeline() as one, world.pipeline() as other:
        await asyncio.gather(one.run(), other.run())
    assert searches(world) == 0
    assert (len(world.contacts()), len(world.leads()), len(world.notes())) == (720, 120, 120)


async def test_workers_that_need_each_others_contacts(world: World) -> None:
    """Each worker knows one contact and finds the other's by a search: neither waits for ever."""
    first, second = person(world, ANNA), person(world, BORIS)
    account = world.sandbox.account
    field = account.fields["contacts"].coded("EMAIL")
    assert field is not None
    for entity, email in ((first, "anna@x.ru"), (second, "boris@x.ru")):
        entity.values[field.id] = [{"value": email}]
        account.put(entity)
    await world.store([talk("1", phone=ANNA), talk("2", phone=BORIS)])
    await world.run()
    index = ContactIndex(world.redis, NAMES, "RU")
    await index.keep(whole=0, looked=0, pages=1_000_000)
    world.sandbox.requests.clear()
    world.sandbox.faults.add(f"GET {CONTACTS} late seconds=0.3")
    crossed = [
        [talk("1", phone=ANNA, user_name="Анна"), talk("3", email="boris@x.ru")],
        [talk("2", phone=BORIS, user_name="Борис"), talk("4", email="anna@x.ru")],
    ]
    await index.correct([("email:anna@x.ru", first.id), ("email:boris@x.ru", second.id)])
    async with world.pipeline() as one, world.pipeline() as other:
        async with asyncio.timeout(20):
            both = zip((one, other), crossed, strict=True)
            results = await asyncio.gather(*(pipeline.push(talk) for pipeline, talks in both for talk in talks))
    assert all(one.success for one in results)
    assert [one.contact_id for one in results] == [first.id, second.id, second.id, first.id]


async def test_a_plan_says_how_people_were_found(world: World) -> None:
    """A plan counts the pages of the list that it reads, and the searches that it makes."""
    seed(world.sandbox.account, 300)
    await world.store(strangers(4))
    async with world.pipeline() as pipeline:
        plan = await pipeline.plan()
        assert (plan.lookups.pages, plan.lookups.searches, searches(world)) == (2, 0, 0)
        assert (await pipeline.plan()).lookups == Lookups()
        await ContactIndex(world.redis, NAMES, "RU").keep(whole=0, looked=0, pages=100)
        assert (await pipeline.plan()).lookups == Lookups(0, 4)
