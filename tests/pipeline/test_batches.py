"""Full batches: as large as the account bears, with one bad item found among many, and everything sent once."""

from __future__ import annotations

from typing import Any

import pytest

from leadsync.errors import AmoCRMBanned
from leadsync.sandbox import Sandbox
from tests.world import MAPPING, NAMES, World, talk

LEADS = "/api/v4/leads"
ROUTES = ("/api/v4/contacts", LEADS, "/api/v4/leads/notes")


def people(count: int, first: int = 0, **fields: Any) -> list[dict[str, Any]]:
    """Talks of so many people."""
    return [talk(str(number), phone=f"+7916{number:07}", **fields) for number in range(first, first + count)]


def sizes(sandbox: Sandbox, path: str = LEADS) -> list[int]:
    """How many items each write of a route held, in order."""
    return [len(one.body) for one in sandbox.requests.of("POST", path)]


async def test_batches_grow_and_are_remembered(world: World) -> None:
    """50, 100, 200, then 250 a request; the next process begins where this one ended."""
    await world.store(people(500))
    await world.run()
    assert [sizes(world.sandbox, path) for path in ROUTES] == 3 * [[50, 100, 200, 150]]
    await world.store(people(250, 1000))
    world.sandbox.requests.clear()
    await world.run()
    assert [sizes(world.sandbox, path) for path in ROUTES] == 3 * [[250]]


@pytest.mark.parametrize("kind", ["504_before", "504_after"])
async def test_a_504_on_every_batch_above_20(world: World, kind: str) -> None:
    """Everything arrives once, in few requests; later batches stay below, also in the next process."""
    world.sandbox.faults.add(f"POST /api/v4/* {kind} items=21")
    await world.store(people(150))
    report = await world.run()
    assert report.created == {"contacts": 150, "leads": 150, "notes": 150}
    assert (len(world.contacts()), len(world.leads()), len(world.notes())) == (150, 150, 150)
    # On each of three routes 13 batches of 12, up to three tries that were too large, and what was asked after those.
    assert sum(report.requests.values()) <= 3 * (13 + 3) + 45
    assert not await world.redis.exists(NAMES.name("journal"))
    world.sandbox.requests.clear()
    await world.store(people(40, 1000))
    await world.run()
    assert {max(sizes(world.sandbox, path)) for path in ROUTES} == {12}
    assert not [one for one in world.sandbox.requests if one.status == 504]


async def test_a_batch_that_takes_longer_than_we_wait(world: World) -> None:
    """A CRM that never answers to more than a hundred is sent less; what it has applied is found, not sent again."""
    world.write(amocrm={"batch_size": 250})
    world.sandbox.faults.add("POST /api/v4/* drop_after items=101")
    await world.store(people(250))
    report = await world.run()
    assert report.created == {"contacts": 250, "leads": 250, "notes": 250}
    assert (len(world.contacts()), len(world.leads()), len(world.notes())) == (250, 250, 250)
    world.sandbox.requests.clear()
    await world.store(people(250, 1000))
    await world.run()
    assert {max(sizes(world.sandbox, path)) for path in ROUTES} == {125}
    world.sandbox.requests.clear()
    await world.store(people(130, 2000))
    await world.run()
    assert {max(sizes(world.sandbox, path)) for path in ROUTES} == {62}


@pytest.mark.parametrize(("names", "most"), [(True, 2), (False, 17)])
async def test_one_of_250_is_bad(world: World, names: bool, most: int) -> None:
    """The others go through: at once where amoCRM names the item at fault, else by halving, in 17 requests."""
    lead: Any = MAPPING["lead"]
    fields = {**lead["fields"], "Тариф": "{{ metadata.plan }}"}
    world.write({**MAPPING, "lead": {**lead, "fields": fields}}, amocrm={"batch_size": 250})
    await world.store(people(249, metadata={"plan": "Старт"}))
    await world.store(people(1, 249, metadata={"plan": "Рост"}))
    if not names:
        world.sandbox.faults.add(f"POST {LEADS} unnamed_400")
    async with world.pipeline() as pipeline:
        field = world.sandbox.account.fields["leads"].named("Тариф")
        field.options[:] = [one for one in field.options if one.value != "Рост"]  # somebody tidies the account up
        report = await pipeline.run()
    assert [row.key for row in report.refused] == ["telegram:249"]
    assert (report.created["leads"], len(world.leads())) == (249, 249)
    assert len(sizes(world.sandbox)) <= most


async def test_the_newest_id_is_asked_for_once(world: World) -> None:
    """Batches that begin at the same time share the one question from which a lost answer would be looked for."""
    world.write(amocrm={"batch_size": 250})
    await world.store(people(1500))
    report = await world.run()
    assert report.created["leads"] == 1500
    asked = [one for one in world.requests("GET") if "order%5Bid%5D=desc" in one.query]
    # The newest contact is known from the contact list.
    assert sorted(one.path for one in asked) == [LEADS, "/api/v4/leads/notes"]


async def test_leads_do_not_wait_for_all_contacts(world: World) -> None:
    """While contacts are under way, so are the leads of earlier ones, in no more requests and in order."""
    world.sandbox.faults.add("POST /api/v4/* late seconds=0.05")
    await world.store(people(400))
    await world.run()
    routes = [one.path for one in world.writes()]
    assert {path: routes.count(path) for path in ROUTES} == dict.fromkeys(ROUTES, 4)  # 50, 100, 200 and the rest
    last_contacts = len(routes) - 1 - routes[::-1].index(ROUTES[0])
    assert routes.index(LEADS) < routes.index("/api/v4/leads/notes") < last_contacts
    sent = [item["request_id"] for one in world.writes() if one.path == LEADS for item in one.body]
    made = [item["request_id"] for one in world.writes() if one.path == ROUTES[0] for item in one.body]
    assert [one.removeprefix("lead-") for one in sent] == [one.removeprefix("contact-") for one in made]


async def test_a_ban_is_not_met_with_more_requests(world: World) -> None:
    """When the first question about the account is met by a ban, none of the batches that waited for it asks again."""
    world.write({name: part for name, part in MAPPING.items() if name != "contact"}, amocrm={"batch_size": 250})
    await world.store(people(500))
    world.sandbox.faults.add(f"GET {LEADS} ban403")
    with pytest.raises(AmoCRMBanned):
        await world.run()
    assert len(world.requests("GET", LEADS)) == 1
    assert world.writes() == []
