"""`dry-run --offline`: every talk as if it were new, typed when the account is known, by name when it is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadsync.mapping.talk import talk_since
from leadsync.offline import whole_talk
from leadsync.records import Message, Record
from tests.cli.terminal import Ended, run
from tests.world import MAPPING, World, talk

AS_IF_NEW = "offline: as if every talk were new; amoCRM was not asked"

TALKS = [
    talk(
        "1",
        "Здравствуйте",
        phone="8 916 123-45-67",
        email="Ivan@Example.com",
        budget="150 000",
        product_interest="AI Manager",
    ),
    talk("2", "Добрый день 🙂", "ещё", user_name="Мария 🌹"),
]

FULL = {
    **MAPPING,
    "key_field": "ID диалога",
    "contact": {**MAPPING["contact"], "tags": ["{{ source }}"], "fields": {"Telegram": "{{ user_name }}"}},
    "lead": {**MAPPING["lead"], "tags": ["{{ source }}", "бот 🙂"], "responsible": "Администратор"},
}


async def offline(world: World, *options: str) -> Ended:
    return await run(world.folder, "dry-run", "--offline", *options)


def changes(ended: Ended) -> list[dict[str, Any]]:
    return list(json.loads(ended.out)["changes"])


def payloads(ended: Ended, entity: str) -> list[dict[str, Any]]:
    return [one["payload"] for one in changes(ended) if one["entity"] == entity]


async def test_names_stand_where_no_ids_are_known(world: World):
    """Without an account's names, items hold the mapping's own: of fields, pipeline, status and user."""
    world.write(FULL)
    await world.store(TALKS[:1])
    ended = await offline(world, "--format", "json")
    assert (ended.code, ended.err) == (0, "")
    (lead,) = payloads(ended, "lead")
    assert lead["price"] == 150000
    assert (lead["pipeline"], lead["status"], lead["responsible"]) == ("Воронка", "Первичный контакт", "Администратор")
    assert {"field_name": "Продукт", "values": [{"value": "AI Manager"}]} in lead["custom_fields_values"]
    assert {"field_name": "ID диалога", "values": [{"value": "telegram:1"}]} in lead["custom_fields_values"]
    assert lead["_embedded"]["contacts"] == [{"id": "@contact:telegram:1", "is_main": True}]
    assert lead["_embedded"]["tags"] == [{"name": "telegram"}, {"name": "бот"}]
    (contact,) = payloads(ended, "contact")
    phones, emails = contact["custom_fields_values"][-2:]
    assert phones == {"field_code": "PHONE", "values": [{"value": "+79161234567", "enum_code": "WORK"}]}
    assert emails == {"field_code": "EMAIL", "values": [{"value": "ivan@example.com", "enum_code": "WORK"}]}


async def test_the_crm_is_not_asked_and_nothing_is_remembered(world: World):
    """No request reaches the CRM, Redis holds what it held, and a talk that was sent long ago is shown as new."""
    await world.store(TALKS)
    await world.run()
    keys, asked = set(await world.redis.keys()), len(world.requests())
    ended = await offline(world, "--format", "json")
    assert [one["action"] for one in changes(ended)] == ["create"] * len(changes(ended))
    assert json.loads(ended.out)["summary"]["create"] == 2
    assert len(world.requests()) == asked
    assert set(await world.redis.keys()) == keys


async def test_with_the_names_kept_the_items_are_those_of_a_run(world: World):
    """Typed by the catalogue that an earlier run has kept, each item is what `dry-run` says of a new talk."""
    world.write(FULL | {"lead": {**FULL["lead"], "responsible": ""}})
    await world.store(TALKS)
    asked = await run(world.folder, "dry-run", "--format", "json")
    typed = await offline(world, "--format", "json")
    by_item = {one["payload"]["request_id"]: one for one in changes(typed)}
    assert len(by_item) == 5
    assert by_item == {one["payload"]["request_id"]: one for one in changes(asked)}
    assert any("field_id" in field for one in payloads(typed, "lead") for field in one["custom_fields_values"])


async def test_a_mapping_beyond_the_names_kept_is_shown_by_name(world: World):
    """A field that was not there when the account was read last is no reason to refuse: names stand for all ids."""
    await world.store(TALKS)
    await world.run()
    world.write({**MAPPING, "lead": {**MAPPING["lead"], "fields": {"Новое поле": "{{ id }}"}}})
    ended = await offline(world, "--format", "json")
    assert payloads(ended, "lead")[0]["custom_fields_values"][0]["field_name"] == "Новое поле"
    assert any("names in place of ids" in one for one in json.loads(ended.out)["warnings"])


@pytest.mark.parametrize("format_", ["text", "json", "markdown", "html"])
async def test_every_format_says_what_it_is(world: World, format_):
    """Each holds the values and the sentence that amoCRM was not asked."""
    await world.store(TALKS)
    ended = await offline(world, "--format", format_)
    assert (ended.code, ended.err) == (0, "")
    assert AS_IF_NEW in ended.out
    for part in ("+79161234567", "Мария", "Источник", "telegram:2", "AI Manager"):
        assert part in ended.out


async def test_text_is_the_diff_of_a_dry_run(world: World):
    """The same look: the key, then contact, lead and note with their values; `-v` tells where each comes from."""
    await world.store(TALKS[:1])
    lines = (await offline(world)).out.splitlines()
    assert lines[0] == AS_IF_NEW
    assert "telegram:1" in lines
    assert "  + contact  (new person)" in lines
    assert "      phone: +79161234567" in lines
    assert "      pipeline: Воронка" in lines
    assert "  + lead  (new talk)" in lines
    assert "      + user: Здравствуйте" in lines
    assert "1 record: 1 to create, 0 to update, 0 unchanged, 0 skipped, 0 refused" in lines
    assert ": {{ budget }}" in (await offline(world, "-v")).out


async def test_the_exit_codes_are_those_of_dry_run(world: World):
    """0 when all is well, 2 with `--exit-code` when something would be made, 3 when a record is refused, 78 for a key
    nobody has and for `--out`."""
    assert (await offline(world, "--exit-code")).code == 0
    await world.store(TALKS)
    assert (await offline(world)).code == 0
    assert (await offline(world, "--exit-code")).code == 2
    assert (await offline(world, "--record", "telegram:9")).code == 78
    assert (await offline(world, "--out", "plan.json")).code == 78
    await world.store([talk("3", budget="много")])
    assert (await offline(world, "--exit-code")).code == 3


async def test_bad_records_are_refused_with_their_place(world: World):
    """A price that is no number, a phone that is none, and JSON that is none: told as in any plan, the others go on."""
    await world.store([*TALKS, talk("3", budget="много"), talk("4", phone="12")])
    await world.redis.set("dialog:5", "{")
    ended = await offline(world, "--format", "json")
    document = json.loads(ended.out)
    assert document["summary"] == {"records": 5, "create": 2, "update": 0, "unchanged": 0, "skipped": 0, "failed": 3}
    refused = {one["key"]: (one["field"], one["where"]) for one in document["refused"]}
    assert refused["telegram:3"][0] == "lead.price"
    assert refused["telegram:3"][1].startswith("mapping.yaml:")
    assert refused["telegram:4"][0] == "contact.phone"
    assert refused["dialog:5"][0] is None


async def test_a_limit_a_key_and_a_skipped_record(world: World):
    """`--limit` and `--record` choose as in any plan; a record that `when` leaves out is counted."""
    world.write({**MAPPING, "when": "{{ phone }}"})
    await world.store(TALKS)
    summary = json.loads((await offline(world, "--format", "json")).out)["summary"]
    assert (summary["create"], summary["skipped"]) == (1, 1)
    assert {one["key"] for one in changes(await offline(world, "--format", "json", "--record", "telegram:1"))} == {
        "telegram:1"
    }
    assert json.loads((await offline(world, "--format", "json", "--limit", "1")).out)["summary"]["records"] == 1


async def test_more_records_than_a_page_are_one_document(world: World):
    """However many pages are printed one by one, the JSON is one document with every item once."""
    await world.store(talk(str(number)) for number in range(450))
    ended = await offline(world, "--format", "json")
    leads = [one["key"] for one in changes(ended) if one["entity"] == "lead"]
    assert len(leads) == len(set(leads)) == 450
    assert json.loads(ended.out)["cost"]["writes"] == 18


async def test_an_unknown_source_is_a_mistake(world: World):
    """It is told with those there are."""
    ended = await offline(world, "--source", "inbox")
    assert ended.code == 78
    assert "use --source with one of: redis-dialogs" in ended.err


messages = st.builds(Message, st.sampled_from(["user", "bot"]), st.text(max_size=5))


@given(st.lists(messages, max_size=4).map(tuple), st.none() | st.text(max_size=20))
def test_a_whole_talk_is_all_that_is_new(said, history):
    """The talk of a record nobody has noted anything of is the one a plan makes of it."""
    record = Record("1", "telegram", messages=said, conversation_history=history)
    assert whole_talk(record) == talk_since(record, None)[0]
