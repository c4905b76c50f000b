"""Whose contact is it: nobody doubled, nobody mixed up, no stranger written to."""

from __future__ import annotations

from typing import Any

import pytest

from leadsync.amocrm import AmoCRMClient, LongLivedToken
from leadsync.errors import AmoCRMBanned
from leadsync.sandbox.seeding import seed
from tests.conftest import Valkey
from tests.world import MAPPING, World, talk

ANNA, BORIS = "+79161234567", "+79162223344"
KEYED = {**MAPPING, "key_field": "ID диалога"}


async def made_by_hand(world: World, **contact: Any) -> int:
    """A contact that a person made in the CRM."""
    async with AmoCRMClient(world.sandbox.url, LongLivedToken(world.sandbox.long_lived_token())) as amocrm:
        return await amocrm.create_contact(**contact)


async def test_a_contact_merged_by_hand_is_found_again(world: World) -> None:
    """When a person merged our contact into another with the same phone, the other is the person from then on."""
    await world.store([talk("1", phone=ANNA)])
    await world.run()
    survivor = await made_by_hand(world, name="Анна слитая", phones=[ANNA])
    world.sandbox.account.remove("contacts", world.contacts()[0]["id"])
    await world.store([talk("2", phone=ANNA)])
    report = await world.run()
    assert report.created == {"leads": 1, "notes": 1}
    assert [one["id"] for one in world.contacts()] == [survivor]
    assert world.leads()[1]["contacts"] == [survivor]


async def test_known_people_are_not_united_by_a_third_talk(world: World) -> None:
    """A talk with the phone of one and the e-mail of another belongs to the first; the other's card stays as it is."""
    await world.store([talk("1", phone=ANNA, email="anna@x.ru"), talk("2", phone=BORIS, email="boris@x.ru")])
    await world.run()
    await world.store(
        [
            talk("1", phone=ANNA, email="anna@x.ru", budget=5),
            talk("2", phone=BORIS, email="boris@x.ru", budget=5),
            talk("3", phone=ANNA, email="boris@x.ru"),
        ]
    )
    await world.run()
    anna, boris = world.contacts()
    assert anna["fields"] == {"PHONE": ANNA, "EMAIL": "anna@x.ru"}
    assert boris["fields"] == {"PHONE": BORIS, "EMAIL": "boris@x.ru"}
    assert [lead["contacts"] for lead in world.leads()] == [[anna["id"]], [boris["id"]], [anna["id"]]]


async def test_a_corrected_phone_takes_nobodys_identity(world: World) -> None:
    """A phone that is somebody else's is not added to the contact of the talk that names it by mistake."""
    await world.store([talk("1", phone=ANNA), talk("2", phone=BORIS)])
    await world.run()
    await world.store([talk("1", phone=BORIS)])
    await world.run()
    await world.store([talk("3", phone=BORIS)])
    await world.run()
    by_phone = {one["fields"]["PHONE"]: one["id"] for one in world.contacts()}
    assert by_phone.keys() == {ANNA, BORIS}
    assert world.leads()[2]["contacts"] == [by_phone[BORIS]]


async def test_a_restored_lead_does_not_lend_its_main_contact(world: World) -> None:
    """After a lost memory the lead's main contact, whom a person chose, is not taken for the talk's own person."""
    world.write(KEYED)
    await world.store([talk("1", phone=ANNA)])
    await world.run()
    director = await made_by_hand(world, name="Директор", phones=[BORIS])
    account = world.sandbox.account
    (lead,) = account.leads
    account.link(("leads", lead.id), ("contacts", director), True)
    await world.redis.flushall()
    await world.store([talk("1", phone=ANNA, email="anna@x.ru")])
    await world.run()
    fields = {one["name"]: one["fields"] for one in world.contacts()}
    assert fields["Директор"] == {"PHONE": BORIS}
    assert fields["Иван"] == {"PHONE": ANNA, "EMAIL": "anna@x.ru"}


async def test_a_persons_value_is_never_ours(world: World) -> None:
    """A name that a person typed stays theirs, even when the talk once said the same."""
    await made_by_hand(world, name="Иван", phones=[ANNA])
    await world.store([talk("1", phone=ANNA)])
    await world.run()
    await world.store([talk("1", phone=ANNA, user_name="xX_Ivan_Xx")])
    await world.run()
    assert [one["name"] for one in world.contacts()] == ["Иван"]


async def test_a_shared_contact_outlives_the_lead_of_its_first_talk(world: World) -> None:
    """The contact of a talk whose lead was deleted is still made for the other talks of that person."""
    await world.store([talk("1")])
    await world.run()
    account = world.sandbox.account
    account.remove("leads", next(iter(account.leads)).id)
    await world.store([talk("1", phone=ANNA, budget=7), talk("2", phone=ANNA)])
    await world.run()
    (contact,), (lead,) = world.contacts(), world.leads()
    assert lead["contacts"] == [contact["id"]]


async def test_another_machine_with_its_own_memory_makes_no_second_lead(world: World, start_valkey: Any) -> None:
    """With `key_field`, a key that this Redis never saw is looked for in the account before a lead is made."""
    world.write(KEYED)
    await world.run()
    other: Valkey = start_valkey()
    mine, theirs = world.redis_url, other.url
    world.redis_url = theirs
    world.write(KEYED)
    await world.run()
    world.redis_url = mine
    world.write(KEYED)
    async with world.pipeline() as pipeline:
        first = await pipeline.push(talk("1", phone=ANNA))
    world.redis_url = theirs
    world.write(KEYED)
    async with world.pipeline() as pipeline:
        second = await pipeline.push(talk("1", phone=ANNA))
    assert second.lead_id == first.lead_id
    assert (len(world.contacts()), len(world.leads()), len(world.notes())) == (1, 1, 1)


async def test_a_ban_stops_the_searches_too(world: World) -> None:
    """A ban in the middle of many searches ends the run, and nothing more reaches the CRM after that."""
    seed(world.sandbox.account, 7_000)  # more than are read before searching is cheaper
    await world.store([talk(str(number), phone=f"+7916{number:07}") for number in range(1000, 1040)])
    world.sandbox.faults.add("GET /api/v4/contacts ban403 nth=40 times=1000")
    async with world.pipeline() as pipeline:
        with pytest.raises(AmoCRMBanned):
            await pipeline.run()
        before = len(world.requests())
        push = await pipeline.push(talk("1"))
    after = [one.path for one in world.requests()[before:]]
    assert push.success
    assert "/api/v4/contacts" not in after
