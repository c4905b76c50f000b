"""A saved plan is refused as soon as anything moved, and what moved is named without a value of it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

from leadsync.errors import ConfigurationError, StartRefused
from leadsync.state.links import Link, load_links
from tests.pipeline.saved_plans import apply, plan_file, planned, refusal, save
from tests.promises.test_hand_edits import control
from tests.world import MAPPING, NAMES, World, talk

LEAD: Any = MAPPING["lead"]
BUDGETED = {**MAPPING, "lead": {**LEAD, "fields": {**LEAD["fields"], "Бюджет": "{{ metadata.budget }}"}}}
PHONE = "8 916 123-45-67"


@pytest.fixture
async def made(world: World) -> World:
    """Three talks in the CRM, each of which wants something new; the plan for it is saved."""
    world.write(BUDGETED)
    await world.store([talk(str(one), phone=f"{PHONE[:-1]}{one}", metadata={"budget": "5000"}) for one in (1, 2, 3)])
    await world.run()
    for one in (1, 2, 3):
        metadata = {"budget": "7000"}
        await world.store([talk(str(one), "Здравствуйте", "Ещё", phone=f"{PHONE[:-1]}{one}", metadata=metadata)])
    await save(world)
    return world


async def link(world: World, number: int) -> Link:
    """What is known of the talk of that number: the source is read in no particular order."""
    key = f"telegram:{number}"
    return (await load_links(world.redis, NAMES, [key]))[key]


async def lead_id(world: World, number: int) -> int:
    """The lead of the talk of that number."""
    id_ = (await link(world, number)).lead_id
    assert id_ is not None
    return id_


async def talk_changes(world: World) -> str:
    await world.store([talk("2", "Здравствуйте", "Ещё", "И ещё", phone=f"{PHONE[:-1]}2", metadata={"budget": "7000"})])
    return "the talk telegram:2 changed"


async def talk_comes(world: World) -> str:
    await world.store([talk("77")])
    return "the talk telegram:77 is new"


async def talk_goes(world: World) -> str:
    await world.redis.delete("dialog:1")
    return "telegram:1 is gone from the source"


async def talk_breaks(world: World) -> str:
    await world.redis.set("dialog:1", "no JSON {")
    return "telegram:1 is gone from the source"


async def mapping_changes(world: World) -> str:
    world.write({**BUDGETED, "note": "Итог: {{ messages | length }}"})
    return "mapping.yaml changed"


async def project_changes(world: World) -> str:
    world.write(BUDGETED, tables={"source_names": {"telegram": "Веб-чат"}})
    return "leadsync.yaml changed"


async def value_changes(world: World) -> str:
    id_ = await lead_id(world, 2)
    field = world.sandbox.account.fields["leads"].named("Бюджет").id
    values = [{"field_id": field, "values": [{"value": 6000}]}]
    await control(world, "POST", "/_sandbox/edit", {"entity": "leads", "id": id_, "custom_fields_values": values})
    return f"lead {id_}, «Бюджет»: amoCRM holds another value now"


async def lead_goes(world: World) -> str:
    id_ = await lead_id(world, 3)
    await control(world, "POST", "/_sandbox/delete", {"entity": "leads", "id": id_})
    return f"the lead {id_} was deleted"


MOVES: list[Callable[[World], Awaitable[str]]] = [
    talk_changes,
    talk_comes,
    talk_goes,
    talk_breaks,
    mapping_changes,
    project_changes,
    value_changes,
    lead_goes,
]


@pytest.mark.parametrize("move", MOVES, ids=lambda one: one.__name__)
async def test_each_move_is_named(made: World, move: Callable[[World], Awaitable[str]]) -> None:
    """Each thing that may move stops the plan before its first write, alone and by its name."""
    expected = await move(made)
    said = (await refusal(made)).splitlines()
    assert said == [
        f"{plan_file(made)} does not fit any more, and nothing of it was sent:",
        f"    {expected}",
        "  what to do: make a new plan with",
        f"    leadsync dry-run --out {plan_file(made)}",
        "  look at it, and apply that one",
    ]
    assert "6000" not in "".join(said)


async def test_all_that_moved_is_named_at_once(made: World) -> None:
    """Several things that moved are told together."""
    expected = [await move(made) for move in (talk_changes, talk_comes, talk_goes, lead_goes)]
    said = await refusal(made)
    assert all(f"    {one}\n" in said for one in expected)


async def test_many_are_counted(made: World) -> None:
    """Twenty things that moved are named, the rest is counted."""
    await made.store([talk(str(number)) for number in range(100, 130)])
    said = await refusal(made)
    assert said.count("is new") == 20
    assert "… and 10 more" in said


async def test_what_changes_nothing_does_not_matter(made: World) -> None:
    """A field that no mapping writes, a comment, and a limit of speed may change: the plan still fits."""
    await control(
        made,
        "POST",
        "/_sandbox/edit",
        {"entity": "leads", "id": await lead_id(made, 2), "responsible_user_id": 10_450_986},
    )
    made.write(BUDGETED, amocrm={"batch_size": 7}, safety={"max_new_leads": 100})
    path = made.folder / "mapping.yaml"
    path.write_text(path.read_text("utf-8") + "# a comment\n", "utf-8")
    assert (await apply(made)).updated["leads"] == 3


async def test_an_overwritten_value_that_moved(world: World) -> None:
    """A value that would be overwritten is looked at too: the plan showed what it replaces."""
    world.write({**MAPPING, "lead": {**LEAD, "price": {"value": "{{ budget }}", "write": "overwrite"}}})
    await world.store([talk("1", budget=10)])
    await world.run()
    await world.store([talk("1", budget=20)])
    await save(world)
    id_ = await lead_id(world, 1)
    await control(world, "POST", "/_sandbox/edit", {"entity": "leads", "id": id_, "price": 15})
    assert f"lead {id_}, «price»: amoCRM holds another value now" in await refusal(world)


async def test_a_contact_that_was_deleted(made: World) -> None:
    """A contact that the plan counts on and that is gone is named."""
    contact_id = (await link(made, 1)).contact_id
    await made.store([talk("1", phone=f"{PHONE[:-1]}1", email="ivan@example.com", metadata={"budget": "7000"})])
    await save(made)
    await control(made, "POST", "/_sandbox/delete", {"entity": "contacts", "id": contact_id})
    assert f"the contact {contact_id} was deleted" in await refusal(made)


async def test_a_person_who_became_known(world: World) -> None:
    """A plan that would make a contact is stale once somebody else has made it."""
    await world.store([talk("1", phone=PHONE)])
    await save(world)
    async with world.pipeline() as pipeline:
        await pipeline.push(talk("9", phone=PHONE))
    said = await refusal(world)
    assert re.search(r"telegram:1: the lead would be another than the plan says", said)


async def test_another_source_or_account(made: World) -> None:
    """A plan for another source, or another account, is refused."""
    assert "it was made for the source redis-dialogs" in await refusal(made, source="inbox")
    made.write(BUDGETED, amocrm={"subdomain": "other"})
    said = await refusal(made)
    assert "it was made for the account firm.amocrm.ru, this is other.amocrm.ru" in said


async def test_a_source_that_is_gone(made: World) -> None:
    """A plan for a source that leadsync.yaml does not have any more is refused."""
    source = {"type": "redis-dialogs", "match": "dialog:*", "mapping": "mapping.yaml"}
    made.write(BUDGETED, sources={"talks": source})
    assert "the source redis-dialogs is gone from" in await refusal(made)


def edited(document: dict[str, Any], path: list[Any], value: Any) -> dict[str, Any]:
    """The document with another value at a path."""
    part: Any = document
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    return document


FIRST = ["records", 0, "changes", 0]
EDITS: list[tuple[list[Any], Any]] = [
    ([*FIRST, "payload", "id"], 1),
    ([*FIRST, "payload"], None),
    ([*FIRST, "fields", 0, "before"], "5001"),
    (["records", 0, "key"], "telegram:4"),
    (["records"], []),
    (["records"], {}),
    (["account"], "other.amocrm.ru"),
    (["selection", "limit"], 1),
    (["files"], {}),
    (["format_version"], "1"),
    (["checksum"], "sha256:0"),
    (["checksum"], None),
]


@pytest.mark.parametrize(("path", "value"), EDITS)
async def test_a_plan_edited_by_hand(made: World, path: list[Any], value: Any) -> None:
    """Whatever of its meaning is edited in the file, its checksum does not fit and it is refused."""
    document = orjson.loads(plan_file(made).read_bytes())
    plan_file(made).write_bytes(orjson.dumps(edited(document, path, value)))
    assert "was changed after it was made" in await refusal(made)


async def test_words_for_people_may_be_edited(made: World) -> None:
    """What the checksum does not cover changes nothing: the file may be re-indented and its reasons reworded."""
    document = orjson.loads(plan_file(made).read_bytes())
    plan_file(made).write_bytes(orjson.dumps(edited(document, [*FIRST, "reason"], "because")))
    assert (await apply(made)).updated["leads"] == 3


async def test_half_a_file(made: World) -> None:
    """A plan that was cut off is refused like an edited one."""
    whole = plan_file(made).read_bytes()
    plan_file(made).write_bytes(whole[: len(whole) // 2])
    assert "was changed after it was made" in await refusal(made)


async def test_a_newer_format(made: World) -> None:
    """A plan that a newer leadsync wrote says to upgrade."""
    document = orjson.loads(plan_file(made).read_bytes())
    plan_file(made).write_bytes(orjson.dumps(edited(document, ["format_version"], 2)))
    assert "upgrade leadsync" in await refusal(made)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"format_version": 1, "changes": []}'])
async def test_a_file_that_is_no_plan(made: World, content: bytes) -> None:
    """Any other file is bad usage, and it is never overwritten."""
    plan_file(made).write_bytes(content)
    with pytest.raises(ConfigurationError, match="no saved plan"):
        await apply(made)
    with pytest.raises(ConfigurationError, match="not overwritten"):
        await save(made)
    assert plan_file(made).read_bytes() == content


async def test_a_file_that_is_not_there(made: World) -> None:
    """A path that leads nowhere, or to a folder, is bad usage."""
    plan_file(made).unlink()
    with pytest.raises(ConfigurationError, match="there is no such plan"):
        await apply(made)
    plan_file(made).mkdir()
    with pytest.raises(ConfigurationError, match="this is no file"):
        await apply(made)
    with pytest.raises(ConfigurationError, match="not overwritten"):
        await save(made)


async def test_the_file_is_private_and_whole(made: World) -> None:
    """Only its owner may read a saved plan; a second one takes its place, and nothing else is left in the folder."""
    before = sorted(os.listdir(made.folder))
    plan_file(made).chmod(0o644)
    await save(made)
    assert stat.S_IMODE(plan_file(made).stat().st_mode) == 0o600
    assert sorted(os.listdir(made.folder)) == before


@pytest.mark.parametrize("where", ["-", "no/such/folder/plan.json", "/dev/null"])
async def test_where_no_plan_can_be_saved(made: World, where: str) -> None:
    """A place where no file can be made is told before anything is read."""
    async with made.pipeline() as pipeline:
        before = len(made.sandbox.requests)
        with pytest.raises(ConfigurationError):
            await pipeline.plan(out=where)
        assert len(made.sandbox.requests) == before


async def test_a_pipe_is_not_waited_for(made: World) -> None:
    """A pipe of the name that was chosen is no plan."""
    plan_file(made).unlink()
    os.mkfifo(plan_file(made))
    with pytest.raises(ConfigurationError, match="not overwritten"):
        await planned(made, out=plan_file(made))
    with pytest.raises(ConfigurationError, match="this is no file"):
        await apply(made)


async def test_limits_hold_for_a_saved_plan(world: World) -> None:
    """A saved plan that passes a limit is refused, and goes through with the flag."""
    world.write(safety={"max_new_leads": 2})
    await world.store([talk(str(number)) for number in range(3)])
    await save(world)
    with pytest.raises(StartRefused, match="3 new leads"):
        await apply(world)
    assert world.writes() == []
    assert (await apply(world, max_new_leads=3)).created["leads"] == 3
