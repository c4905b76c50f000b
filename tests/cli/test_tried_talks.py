"""`leadsync validate` tries the mappings on talks that are there: what a run would refuse is told before it is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from tests.cli.terminal import Ended, run
from tests.world import MAPPING, World, talk

LEAD = {**MAPPING["lead"], "fields": {}}
CONTACT = MAPPING["contact"]


def told(ended: Ended) -> str:
    """What the line of the talks and those under it say, in one line."""
    lines = ended.out.splitlines()
    begin = next(number for number, line in enumerate(lines) if line[4:10] == "talks ")
    return " ".join(" ".join(lines[begin:-2]).split())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"contact": {**CONTACT, "name": "{{ klient }}"}},
            "! talks 3 talks tried, 1 would be refused mapping.yaml:3:10: contact.name: `klient` is neither a field of "
            "every record nor in this one in {{ klient }} (dialog:1) what to do: correct the name",
        ),
        (
            {"lead": {**LEAD, "price": "{{ budget or user_name }}"}},
            "! talks 3 talks tried, 2 would be refused mapping.yaml:9:11: lead.price: not a number "
            "(2 talks, such as dialog:",
        ),
        (
            {"lead": {**LEAD, "fields": {"Продукт": "{{ product_interest }}"}}},
            "! talks 3 talks tried, 1 would be refused mapping.yaml:13:15: lead.fields.Продукт: the field «Продукт» "
            "(select) has no such option (dialog:2) what to do: did you mean «AI Lawyer»?",
        ),
        ({"when": "{{ budget }}", "lead": {**LEAD, "name": "{{ budget + 1 }}"}}, "✓ talks 3 talks tried, none"),
    ],
)
async def test_what_a_run_would_refuse_is_told(world: World, changes: Mapping[str, Any], said: str) -> None:
    """Each reason once: with its place in the mapping, how many talks have it, one of them, and what to do."""
    world.write({**MAPPING, "lead": LEAD, **changes})
    await world.store([talk("1", budget=5, phone="+79000000001"), talk("2", product_interest="AI Lawer"), talk("3")])
    before = await world.redis.dbsize()
    ended = await run(world.folder, "validate")
    assert ended.code == 0
    assert told(ended).startswith(said)
    assert "Traceback" not in ended.out + ended.err
    assert world.writes() == []
    assert {key for key in await world.redis.keys() if not key.startswith(b"leadsync:")} == {
        b"dialog:1",
        b"dialog:2",
        b"dialog:3",
    }
    assert await world.redis.dbsize() >= before
    refused = await run(world.folder, "dry-run", "--format", "json")
    assert said.startswith("✓") == (orjson.loads(refused.out)["refused"] == [])


async def test_a_reason_is_told_once(world: World) -> None:
    """Where many talks are refused for the same, plan and run tell why with the first, and name it at the rest."""
    world.write({**MAPPING, "lead": {**LEAD, "name": "{{ klient }}"}})
    await world.store([talk("1"), talk("2"), talk("3")])
    await world.redis.set("dialog:4", "no JSON")
    for arguments in (["dry-run"], ["dry-run", "--offline"], ["run"]):
        lines = (await run(world.folder, *arguments)).out.splitlines()
        refused = [line for line in lines if line.startswith("  ✗ ")]
        assert sum("`klient` is neither" in line for line in lines) == 1, arguments
        first = next(line.split()[1] for line in refused if line.endswith("  lead.name"))
        assert sum(line.endswith(f"  lead.name  (as {first})") for line in refused) == 2
        assert len(refused) == 4


async def test_a_key_that_no_talk_has_is_told(world: World) -> None:
    """A slip inside the data refuses nothing and is seen all the same."""
    world.write({**MAPPING, "lead": {**LEAD, "tags": ["{{ metadata.citty }}"]}})
    await world.store([talk(str(number), metadata={"city": "Казань"}) for number in range(5)])
    assert told(await run(world.folder, "validate")) == (
        "! talks 5 talks tried, none would be refused mapping.yaml: 'metadata.citty' was missing in all 5 records; "
        "the records have 'metadata.city'"
    )


async def test_a_talk_without_a_mapping_or_without_sense_is_told(world: World) -> None:
    """What cannot be read, and a source that no mapping is for, with where the talk lies."""
    source = {"type": "redis-dialogs", "match": "dialog:*", "mapping": {"telegramm": "mapping.yaml"}}
    world.write(sources={"talks": source})
    await world.store([talk("1")])
    await world.redis.set("dialog:2", "{ not json")
    said = told(await run(world.folder, "validate"))
    assert said.startswith("! talks 2 talks tried, 2 would be refused")
    assert "dialog:1: source: no mapping for records whose source is 'telegram'" in said
    assert "dialog:2: " in said


async def test_a_source_without_talks_is_told(world: World) -> None:
    """A `match` that finds nothing is no mistake, and not passed over in silence."""
    await world.store([talk("1")])
    other = {"type": "redis-dialogs", "match": "dialogs:*", "mapping": "mapping.yaml"}
    world.write(sources={"slip": other})
    assert told(await run(world.folder, "validate")) == (
        "- talks no talk is found in slip what to do: if there should be some, correct its section in leadsync.yaml"
    )
    planned = (await run(world.folder, "dry-run")).out.splitlines()
    assert planned[0] == "no talk is found in slip: is it empty, or wrong in leadsync.yaml?"
    world.write(sources={"slip": other, "talks": {**other, "match": "dialog:*"}})
    assert told(await run(world.folder, "validate")).startswith(
        "✓ talks 1 talk tried, none would be refused; no talk is found in slip what to do: "
    )


async def test_a_file_that_is_not_there_fails(world: World) -> None:
    """A source that `run` could not open ends with 78, as the run would."""
    world.write(sources={"inbox": {"type": "jsonl", "path": "inbox/talks.jsonl", "mapping": "mapping.yaml"}})
    ended = await run(world.folder, "validate")
    assert ended.code == 78
    assert told(ended).startswith("✗ talks the file of inbox/talks.jsonl is not there (at sources.inbox.path)")


async def test_a_hundred_talks_of_a_source_are_enough(world: World) -> None:
    """However many there are; those of a queue are looked at and not taken."""
    world.write(sources={"queue": {"type": "redis-stream", "stream": "talks", "mapping": "mapping.yaml"}})
    for number in range(120):
        await world.redis.xadd("talks", {"record": orjson.dumps(talk(str(number)))})
    assert told(await run(world.folder, "validate")) == "✓ talks 100 talks tried, none would be refused"
    assert await world.redis.xinfo_groups("talks") == []
