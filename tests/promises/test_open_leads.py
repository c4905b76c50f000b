"""One person, one open lead, while several are at work and answers are lost."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from leadsync.amocrm import AmoCRMClient, LongLivedToken
from leadsync.errors import AmoCRMAPIError
from tests.promises.impatient import impatient
from tests.promises.promises import notes_of
from tests.promises.worker import Fate, live, push, run
from tests.world import MAPPING, NAMES, World, talk

LEAD: Any = MAPPING["lead"]
OPEN = {**MAPPING, "lead": {**LEAD, "match": "open"}, "key_field": "ID диалога"}
ANNA, MAIL, BORIS = "+79161234567", "anna@example.com", "+79162223344"
STRANGER = talk("0", user_name="Ольга")
KILLED = -9


@pytest.fixture
def world(world: World) -> World:
    """The world of these tests, where talks join open leads."""
    world.write(OPEN, amocrm={"batch_size": 3})
    return world


async def made_by_hand(world: World) -> int:
    """Anna's contact, with a phone and an e-mail, as a salesperson made it."""
    async with AmoCRMClient(world.sandbox.url, LongLivedToken(world.sandbox.long_lived_token())) as amocrm:
        return await amocrm.create_contact(name="Анна", phones=[ANNA], emails=[MAIL])


async def test_two_pushes_of_a_new_person(world: World) -> None:
    """Two processes with two talks of one new person make one contact and one lead."""
    world.sandbox.faults.add("POST /api/v4/* late seconds=0.1")
    async with impatient(world) as one, impatient(world) as two:
        results = await asyncio.gather(one.push(talk("1", phone=ANNA)), two.push(talk("2", phone=ANNA)))
    assert [one.success for one in results] == [True, True]
    assert (len(world.contacts()), len(world.leads()), len(world.notes())) == (1, 1, 2)


async def test_two_pushes_by_phone_and_by_email(world: World) -> None:
    """Two processes that know one contact by different things make one lead: the contact itself is claimed."""
    await made_by_hand(world)
    world.sandbox.faults.add("POST /api/v4/leads late nth=1 seconds=0.15")
    log = world.sandbox.requests
    async with impatient(world) as one, impatient(world) as two:
        first = asyncio.create_task(one.push(talk("1", phone=ANNA)))
        while not world.requests("POST", "/api/v4/leads"):
            await log.reached(log.total + 1)
        results = await asyncio.gather(first, two.push(talk("2", email=MAIL)))
    assert [one.success for one in results] == [True, True]
    assert (len(world.contacts()), len(world.leads()), len(world.notes())) == (1, 1, 2)


async def test_a_lead_that_nobody_has_heard_of_yet(world: World) -> None:
    """A lead whose answer was lost is its own talk's, and the talk that comes meanwhile joins it."""
    await made_by_hand(world)
    async with impatient(world) as one, impatient(world) as two:
        assert (await one.push(STRANGER)).success
        world.sandbox.faults.add("POST /api/v4/leads drop_after nth=1")
        world.sandbox.faults.add("GET /api/v4/leads 500_before times=9")
        assert not (await one.push(talk("1", phone=ANNA))).success
        assert await world.redis.hlen(NAMES.name("journal")) == 1
        world.sandbox.faults.clear()
        second = await two.push(talk("2", "Это снова я", email=MAIL))
        first = await one.push(talk("1", phone=ANNA))
    assert first.lead_id == second.lead_id
    assert (len(world.leads()), len(world.notes())) == (2, 3)
    assert world.leads()[1]["fields"]["ID диалога"] == "telegram:1 + telegram:2"


@pytest.mark.parametrize("lost", ["drop_after", "drop_before"])
async def test_one_lead_for_two_whose_answer_is_lost(world: World, lost: str) -> None:
    """The lead of two talks whose answer was lost is found by what both said, whichever of them comes first."""
    records = [talk("1", phone=ANNA, budget=5), talk("2", "Это снова я", phone=ANNA, product_interest="AI Lawyer")]
    await world.store(records)
    async with impatient(world) as pipeline:
        assert (await pipeline.push(STRANGER)).success
        world.sandbox.faults.add(f"POST /api/v4/leads {lost} nth=1")
        world.sandbox.faults.add("GET /api/v4/leads 500_before times=9")
        with pytest.raises(AmoCRMAPIError) as stopped:
            await pipeline.run()
    assert "not known yet" in str(stopped.value)
    world.sandbox.faults.clear()
    async with impatient(world) as pipeline:
        assert (await pipeline.push(records[1])).success
        assert (await pipeline.push(records[0])).success
    (_, lead) = world.leads()
    assert sorted(lead["fields"]["ID диалога"].split(" + ")) == ["telegram:1", "telegram:2"]
    assert sorted(notes_of(world)[lead["id"]]) == ["user: Здравствуйте", "user: Это снова я"]
    assert (lead["price"], lead["fields"]["Продукт"]) == (5, "AI Lawyer")


async def test_two_change_one_lead(world: World) -> None:
    """What two processes change of one lead at the same time is there in the end, each value by its own talk."""
    fields = {**LEAD["fields"], "Город": "{{ metadata.city }}"}
    world.write({**OPEN, "lead": {**OPEN["lead"], "fields": fields}})
    async with impatient(world) as one, impatient(world) as two:
        first = await one.push(talk("1", phone=ANNA, budget=1))
        await two.push(talk("2", phone=ANNA, metadata={"city": "Омск"}))
        world.sandbox.faults.add("GET /api/v4/leads late seconds=0.05")
        await asyncio.gather(
            one.push(talk("1", phone=ANNA, budget=2, product_interest="AI Lawyer")),
            two.push(talk("2", phone=ANNA, metadata={"city": "Казань"}, product_interest="AI Analyst")),
        )
    (lead,) = world.leads()
    assert (lead["id"], lead["price"], lead["fields"]["Город"]) == (first.lead_id, 2, "Казань")
    assert lead["fields"]["Продукт"] in ("AI Lawyer", "AI Analyst")


async def test_two_people_join_one_lead(world: World) -> None:
    """Talks of two contacts of one lead that join it at the same time both leave their key in it."""
    async with impatient(world) as one, impatient(world) as two:
        first = await one.push(talk("1", phone=ANNA))
        boris = await one.connections.client.create_contact(name="Борис", phones=[BORIS])
        world.sandbox.account.link(("leads", first.lead_id), ("contacts", boris), False)
        world.sandbox.faults.add("GET /api/v4/leads late seconds=0.1")
        results = await asyncio.gather(one.push(talk("2", phone=ANNA)), two.push(talk("3", phone=BORIS)))
    assert {one.lead_id for one in results} == {first.lead_id}
    (lead,) = world.leads()
    assert sorted(lead["fields"]["ID диалога"].split(" + ")) == ["telegram:1", "telegram:2", "telegram:3"]


async def test_a_lead_that_is_still_looked_for_is_not_taken_for_a_strangers(world: World) -> None:
    """A talk that joins a lead whose answer was lost leaves it to the talk that made it, whose mapping says `none`."""
    source = {"type": "redis-dialogs", "match": "dialog:*", "mapping": {"web": "mapping.yaml", "telegram": "none.yaml"}}
    world.write({name: part for name, part in OPEN.items() if name != "key_field"}, sources={"redis-dialogs": source})
    (world.folder / "none.yaml").write_text(
        (world.folder / "mapping.yaml").read_text(encoding="utf-8").replace("match: open", "match: none")
    )
    await made_by_hand(world)
    async with impatient(world) as one, impatient(world) as two:
        assert (await one.push(STRANGER)).success
        world.sandbox.faults.add("POST /api/v4/leads drop_after nth=1")
        world.sandbox.faults.add("GET /api/v4/leads 500_before nth=1 times=9")
        assert not (await one.push(talk("1", phone=ANNA))).success
        assert await world.redis.hlen(NAMES.name("journal")) == 1
        world.sandbox.faults.clear()
        second = await two.push(talk("2", "Это снова я", source="web", email=MAIL))
        first = await one.push(talk("1", phone=ANNA))
    assert (first.success, second.success) == (True, True)
    assert first.lead_id == second.lead_id
    assert (len(world.leads()), len(world.notes())) == (2, 3)


def crowd_of(people: int, talks: int, dice: random.Random) -> list[dict[str, Any]]:
    """So many talks of so few people, each known by a phone."""
    return [
        talk(f"t{number}", f"t{number}-0", f"t{number}-1", phone=f"+7916000{dice.randrange(people):04}")
        for number in range(talks)
    ]


def assert_one_lead_each(world: World, talks: list[dict[str, Any]]) -> None:
    """Everybody has one contact and one lead, and each message stands in it once."""
    people: dict[str, list[str]] = {}
    for one in talks:
        people.setdefault(one["phone"], []).extend(f"user: {message['text']}" for message in one["messages"])
    contacts = {one["fields"]["PHONE"]: one["id"] for one in world.contacts()}
    assert len(world.contacts()) == len(contacts) == len(people)
    leads = {one["contacts"][0]: one["id"] for one in world.leads()}
    assert len(world.leads()) == len(leads) == len(people)
    notes = notes_of(world)
    for phone, lines in people.items():
        assert sorted(notes[leads[contacts[phone]]]) == sorted(lines)


@pytest.mark.slow
async def test_runs_and_pushes_at_the_same_time(world: World, seed: int) -> None:
    """Two runs and two processes that push, with answers lost, give everybody one lead."""
    talks = crowd_of(12, 60, random.Random(seed))
    await world.store(talks)
    world.sandbox.faults.add(f"POST /api/v4/* drop_after p=0.2 seed={seed}")
    world.sandbox.faults.add(f"POST /api/v4/* drop_before p=0.2 seed={seed + 1}")
    lives = [live(run, world.folder), live(run, world.folder), live(push, world.folder, talks[::-1])]
    assert await asyncio.gather(*lives) == [0, 0, 0]
    assert_one_lead_each(world, talks)


@pytest.mark.slow
async def test_run_is_killed_everywhere(world: World, seed: int) -> None:
    """A run that is killed thirty times, anywhere, gives everybody one lead and says each message once."""
    dice = random.Random(seed)
    talks = crowd_of(15, 90, dice)
    await world.store(talks)
    for _ in range(30):
        assert await live(run, world.folder, Fate(from_open=dice.randint(1, 400))) in (0, KILLED)
        if dice.random() < 0.2:
            for one in dice.sample(talks, 10):
                number = len(one["messages"])
                at = f"2026-11-01T12:{number:02}:00+03:00"
                one["messages"].append({"role": "user", "text": f"{one['id']}-{number}", "at": at})
            await world.store(talks)
    assert await live(run, world.folder) == 0
    assert_one_lead_each(world, talks)
