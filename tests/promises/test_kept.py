"""What a person did in the CRM is told as kept: why, by whom, when; and what a person removed stays removed."""

from __future__ import annotations

from typing import Any

import pytest

from leadsync.state.links import wrote_hash
from leadsync.sync.changes import Kept
from leadsync.sync.results import Plan
from tests.world import NAMES, World, talk

BORIS, ROBOT = 10_450_986, 0
FORMER = 10_459_999
MAPPING: dict[str, Any] = {
    "key": "{{ id }}",
    "contact": {
        "name": "{{ user_name }}",
        "phone": "{{ phone }}, {{ metadata.other_phone }}",
        "email": "{{ email }}",
        "fields": {"Telegram": "{{ metadata.nick }}", "Должность": "{{ metadata.round }}"},
        "tags": ["бот"],
    },
    "lead": {
        "price": "{{ budget }}",
        "tags": ["телеграм"],
        "fields": {"Город": {"value": "{{ metadata.city }}", "write": "create"}, "Комментарий": "{{ metadata.round }}"},
    },
}


def says(round_: int, id_: str = "1", **fields: Any) -> dict[str, Any]:
    metadata = {"round": str(round_)} | fields.pop("metadata", {})
    return talk(id_, phone="+79161234567", email="ivan@example.com", metadata=metadata, **fields)


async def planned(world: World, *talks: dict[str, Any]) -> Plan:
    await world.store(talks)
    async with world.pipeline() as pipeline:
        return await pipeline.plan()


def told(plan: Plan) -> dict[str, tuple[str | None, str, str, str | None]]:
    return {one.name: (one.now, one.wanted, one.why, one.by) for one in plan.kept}


def edit_lead(world: World, by: int, **facts: Any) -> None:
    (lead,) = world.sandbox.account.leads
    lead.facts.update(facts, updated_by=by, updated_at=1_800_000_000)


@pytest.mark.parametrize(
    ("by", "shown", "at"),
    [
        (BORIS, "Борис", 1_800_000_000),
        (FORMER, str(FORMER), 1_800_000_000),
        (ROBOT, None, None),
        (10_450_722, None, None),
    ],
)
async def test_who_changed_it_last_is_told(world: World, by: int, shown: str | None, at: int | None) -> None:
    """A person is named with the time; a robot, and the user whose token we have, are nobody."""
    world.write(MAPPING)
    await world.store([says(1, budget=100)])
    await world.run()
    edit_lead(world, by, price=150)
    (kept,) = (await planned(world, says(2, budget=200))).kept
    origin = kept.origin
    assert origin is not None
    assert kept == Kept(
        *("1", "lead", world.leads()[0]["id"], "price", "150", "200"),
        *("changed in amoCRM since our last write", shown, at, origin),
    )
    assert origin.expression == "{{ budget }}"


async def test_why_it_is_kept(world: World) -> None:
    """What was there before us, what another talk wrote, and what is written only at creation are told apart."""
    account = world.sandbox.account
    world.write(MAPPING)
    await world.store([says(1, metadata={"nick": "@ivan", "city": "Омск"})])
    await world.run()
    plan = await planned(world, says(1, "2", metadata={"nick": "@petr"}))
    assert told(plan) == {"Telegram": ("@ivan", "@petr", "set by another talk", None)}
    await world.redis.delete("dialog:2")
    plan = await planned(world, says(2, metadata={"nick": "@ivan", "city": "Тверь"}))
    assert told(plan) == {}
    assert {one.name for change in plan.changes for one in change.fields} == {"Должность", "Комментарий"}

    await world.redis.flushdb()
    (contact,) = account.contacts
    contact.facts.update(updated_by=BORIS, updated_at=1_800_000_000)
    plan = await planned(world, says(3, user_name="Пётр"))
    assert told(plan) == {
        "name": ("Иван", "Пётр", "was there before us", "Борис"),
        "Должность": ("1", "3", "was there before us", "Борис"),
    }


async def test_phone_email_and_tag_that_were_removed_stay_removed(world: World) -> None:
    """A person takes a phone, an e-mail and tags off; ten runs that change the contact bring none of them back."""
    world.write(MAPPING)
    await world.store([says(0, metadata={"other_phone": "+79990001122"})])
    await world.run()
    account = world.sandbox.account
    (contact,), (lead,) = account.contacts, account.leads
    phone, email = (account.fields["contacts"].coded(code) for code in ("PHONE", "EMAIL"))
    assert phone is not None
    assert email is not None
    del contact.values[phone.id][1], contact.values[email.id]
    contact.tags, lead.tags = [], []
    async with world.pipeline() as pipeline:
        for round_ in range(1, 11):
            await world.store([says(round_, metadata={"other_phone": "8 (999) 000-11-22"})])
            plan = await pipeline.plan()
            assert [(one.entity, one.name, one.now, one.wanted, one.why) for one in plan.kept] == [
                ("contact", "phone", "+79161234567", "+79990001122", "removed in amoCRM since"),
                ("contact", "email", None, "ivan@example.com", "removed in amoCRM since"),
                ("contact", "tags", None, "бот", "removed in amoCRM since"),
                ("lead", "tags", None, "телеграм", "removed in amoCRM since"),
            ]
            await pipeline.run()
            (shown,) = world.contacts()
            assert (shown["fields"]["PHONE"], shown["fields"].get("EMAIL")) == ("+79161234567", None)
            assert shown["fields"]["POSITION"] == str(round_)
    assert (contact.tags, lead.tags) == ([], [])


async def test_phone_respelled_by_hand_is_the_same(world: World) -> None:
    """A phone that the CRM shows in another spelling is neither added again nor told as removed."""
    world.write(MAPPING)
    await world.store([says(0)])
    await world.run()
    (contact,) = world.sandbox.account.contacts
    phone = world.sandbox.account.fields["contacts"].coded("PHONE")
    assert phone is not None
    contact.values[phone.id][0]["value"] = "8 (916) 123-45-67"
    plan = await planned(world, says(1))
    assert plan.kept == []
    assert "phone" not in {one.name for change in plan.changes for one in change.fields}


async def test_memory_of_an_older_leadsync_goes_on(world: World) -> None:
    """Where nobody remembers which phones were ours, a missing one is added, and from then on remembered."""
    world.write(MAPPING)
    await world.store([says(0)])
    await world.run()
    (contact,) = world.sandbox.account.contacts
    memory = NAMES.name(wrote_hash("contact", contact.id))
    assert await world.redis.hdel(memory, "phone:+79161234567", "email:ivan@example.com") == 2
    phone = world.sandbox.account.fields["contacts"].coded("PHONE")
    assert phone is not None
    del contact.values[phone.id]
    await world.store([says(1)])
    await world.run()
    assert world.contacts()[0]["fields"]["PHONE"] == "+79161234567"
    assert await world.redis.hexists(memory, "phone:+79161234567")


async def test_what_amocrm_chose_itself_is_nobodys_edit(world: World) -> None:
    """A stage, a responsible user and a name that a new lead has by default are set once the talk says them."""
    lead = {
        "name": "{{ product_interest }}",
        "status": "{{ metadata.status }}",
        "responsible": "{{ metadata.user }}",
    }
    world.write({"key": "{{ id }}", "lead": lead})
    await world.store([talk("1")])
    await world.run()
    later = talk("1", product_interest="AI Lawyer", metadata={"status": "Переговоры", "user": "Борис"})
    plan = await planned(world, later)
    assert {one.why for change in plan.changes for one in change.fields} == {"was amoCRM's default"}
    await world.run()
    (shown,) = world.leads()
    assert (shown["name"], shown["responsible_user_id"], shown["status_id"]) == ("AI Lawyer", BORIS, 58_962_662)
    await world.store([talk("2")])
    await world.run()
    second = max(world.sandbox.account.leads, key=lambda one: one.id)
    second.facts["status_id"] = 58_962_666
    plan = await planned(world, later | {"id": "2"})
    assert [(one.name, one.why) for one in plan.kept] == [("stage", "changed in amoCRM since our last write")]


async def test_tick_taken_back_by_the_talk(world: World) -> None:
    """No tick and a price of 0 are nothing to amoCRM: a talk that said so may say otherwise later, and back again."""
    world.write({"key": "{{ id }}", "lead": {"price": "{{ budget }}", "fields": {"Согласие": "{{ metadata.ok }}"}}})
    seen = []
    async with world.pipeline() as pipeline:
        for ok, budget in (("нет", 0), ("да", 5), ("нет", 0), ("да", 6)):
            await world.store([talk("1", budget=budget, metadata={"ok": ok})])
            await pipeline.run()
            (lead,) = world.leads()
            seen.append((lead["fields"].get("Согласие"), lead["price"]))
    assert seen == [(None, 0), ("True", 5), (None, 0), ("True", 6)]


async def test_value_of_nothing_but_emoji_blanks_nothing(world: World) -> None:
    """What is nothing once emoji are stripped is not sent, so it never blanks a value."""
    world.write({"key": "{{ id }}", "lead": {"name": "{{ user_name }}", "fields": {"Город": "{{ metadata.city }}"}}})
    await world.store([talk("1", metadata={"city": "Омск"})])
    await world.run()
    await world.store([talk("1", user_name="🔥🔥", metadata={"city": "🔥"})])
    await world.run()
    (lead,) = world.leads()
    assert (lead["name"], lead["fields"]["Город"]) == ("Иван", "Омск")


async def test_whole_name_beside_its_parts(world: World) -> None:
    """A contact whose whole name and its parts are both mapped goes on following the talk in all of them."""
    contact = {"phone": "{{ phone }}", "name": "{{ user_name }} (бот)", "first_name": "{{ metadata.first }}"}
    world.write({"key": "{{ id }}", "contact": contact})
    for first, name in (("Иван", "Иван"), ("Ваня", "Иван"), ("Ваня", "Иван П")):
        await world.store([says(0, user_name=name, metadata={"first": first})])
        await world.run()
        (shown,) = world.contacts()
        assert (shown["first_name"], shown["name"]) == (first, f"{name} (бот)")
