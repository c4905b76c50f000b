"""Bad input, one bad thing each: one refused record that says what to do, and everybody else goes through."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
import yaml

from leadsync.pipeline import Pipeline
from tests.cli.terminal import run as command
from tests.world import MAPPING, World, talk

ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{{ a }}{% endfor %}{% endfor %}"
REACHING = "{{ user_name.__class__.__mro__ }}"
TRACE = re.compile(r"Traceback|File \"|\.py\b")


@dataclass(frozen=True, slots=True)
class Bad:
    """What lies at `dialog:bad` (a talk's fields, bytes, or members of a set), and how its refusal must read."""

    stored: dict[str, Any] | bytes | set[str]
    key: str
    field: str | None
    reason: str
    do: str


CASES = {
    "a JSON that does not parse": Bad(b'{"source": "telegram", "phone', "dialog:bad", None, "not JSON", "JSON object"),
    "a key of the wrong type": Bad({"a", "b"}, "dialog:bad", None, "type set is no talk", "keep a talk as a string"),
    "a field of the wrong type": Bad(
        {"messages": 7}, "dialog:bad", "messages", "not a list of messages", "write `messages`"
    ),
    "a message of the wrong type": Bad(
        {"messages": [{"text": {"a": 1}}]}, "dialog:bad", "messages[0].text", "not text", "write"
    ),
    "a source without a mapping": Bad({"source": "fax"}, "dialog:bad", "source", "no mapping", "name one under"),
    "a phone of three digits": Bad(
        {"phone": "123"}, "telegram:bad", "contact.phone", "not a phone number (3 digits)", "correct the phone"
    ),
    "an e-mail that is none": Bad(
        {"email": "ivan@"}, "telegram:bad", "contact.email", "not an e-mail address", "correct the e-mail"
    ),
    "a price that is no number": Bad({"budget": "дорого"}, "telegram:bad", "lead.price", "not a number", "money"),
    "an option that does not exist": Bad(
        {"product_interest": "AI Cook"}, "telegram:bad", "lead.fields.Продукт", "option", "AI Lawyer"
    ),
    "a template that loops for ever": Bad({"source": "loop"}, "loop:bad", "note", "goes too far", "make less"),
    "a template that reaches for __class__": Bad(
        {"source": "reach"}, "reach:bad", "lead.name", "does not allow this", "data and filters only"
    ),
}


LOOP = MAPPING | {"note": ENDLESS}
REACH = MAPPING | {"lead": {"name": REACHING}}


def write(world: World, loop: Mapping[str, Any] = LOOP, reach: Mapping[str, Any] = REACH) -> None:
    """A project whose mapping depends on the source: a good one, one without end, one that reaches too far."""
    for name, mapping in {"loop": loop, "reach": reach}.items():
        (world.folder / f"{name}.yaml").write_text(yaml.safe_dump(dict(mapping), allow_unicode=True), encoding="utf-8")
    files = {"telegram": "mapping.yaml", "loop": "loop.yaml", "reach": "reach.yaml"}
    world.write(sources={"talks": {"type": "redis-dialogs", "match": "dialog:*", "mapping": files}})


async def store(world: World, key: str, stored: dict[str, Any] | bytes | set[str]) -> None:
    """Put something bad where a talk should be."""
    if isinstance(stored, set):
        await world.redis.sadd(key, *stored)
    else:
        raw = stored if isinstance(stored, bytes) else orjson.dumps(talk(key.removeprefix("dialog:")) | stored)
        await world.redis.set(key, raw)


@pytest.mark.parametrize("name", CASES)
async def test_one_bad_record_stops_nobody(world: World, name: str) -> None:
    """Each kind is one refused record with key, field, reason and what to do; it is kept, and the others are leads."""
    bad = CASES[name]
    write(world)
    await world.store([talk(str(number), phone=f"+7916123450{number}") for number in range(3)])
    await store(world, "dialog:bad", bad.stored)
    report = await world.run()
    assert (report.outcomes["create"], report.outcomes["failed"], len(world.leads())) == (3, 1, 3)
    (row,) = report.refused
    (kept,) = await world.refused()
    for one in (row, kept):
        assert (one.key, one.field, one.place) == (bad.key, bad.field, "dialog:bad")
        assert bad.reason in one.reason
        assert bad.do in str(one.do)
    assert kept.source == "talks"


@pytest.mark.parametrize("name", CASES)
async def test_what_was_mended_goes_through(world: World, name: str) -> None:
    """The next run takes the record that was mended, or whose mapping was, and it is no longer among the refused."""
    write(world)
    await store(world, "dialog:bad", CASES[name].stored)
    await world.run()
    await world.redis.delete("dialog:bad")
    source = CASES[name].key.partition(":")[0].replace("dialog", "telegram")
    await world.store([talk("bad", source=source)])
    write(world, loop=MAPPING, reach=MAPPING)
    report = await world.run()
    assert (report.created["leads"], report.refused, await world.refused()) == (1, [], [])


async def test_all_of_it_at_once_by_the_command(world: World) -> None:
    """`leadsync run` ends with 3, names each refused record with its reason, and shows no stack trace."""
    write(world)
    await world.store([talk(str(number)) for number in range(5)])
    for number, bad in enumerate(CASES.values()):
        await store(world, f"dialog:bad{number}", bad.stored)
    ended = await command(world.folder, "run")
    assert ended.code == 3, ended.err
    assert not TRACE.search(ended.out + ended.err)
    for bad in CASES.values():
        assert bad.reason in ended.out
        assert bad.field is None or bad.field in ended.out
    assert ended.out.count("what to do: ") == len(CASES)
    assert f"{len(CASES)} refused" in ended.out
    assert "5 leads" in ended.out
    assert len(world.leads()) == 5
    assert len(await world.refused()) == len(CASES)


async def test_dry_run_says_the_same_and_keeps_nothing(world: World) -> None:
    """`leadsync dry-run` ends with 3 and tells the same refusals; nothing is written, here or there."""
    write(world)
    for number, bad in enumerate(CASES.values()):
        await store(world, f"dialog:bad{number}", bad.stored)
    ended = await command(world.folder, "dry-run", "--format", "json")
    plan = orjson.loads(ended.out)
    assert ended.code == 3
    assert plan["summary"]["failed"] == len(plan["refused"]) == len(CASES)
    assert (await world.refused(), world.writes()) == ([], [])


async def test_a_talk_without_id(world: World) -> None:
    """A line of a file without `id` is refused with file and line; the lines around it become leads."""
    lines = [orjson.dumps(one) for one in (talk("1"), {"source": "telegram", "user_name": "Иван"}, talk("2"))]
    lines.insert(2, b"{broken")
    (world.folder / "talks.jsonl").write_bytes(b"\n".join(lines))
    world.write(sources={"files": {"type": "jsonl", "path": "talks.jsonl", "mapping": "mapping.yaml"}})
    report = await world.run()
    assert report.created["leads"] == 2
    without_id, broken = report.refused
    assert (without_id.key, without_id.field) == ("talks.jsonl:2", "id")
    assert "no `id`" in without_id.reason
    assert "`id` that never changes" in str(without_id.do)
    assert (broken.key, broken.field) == ("talks.jsonl:3", None)
    assert [one.key for one in await world.refused()] == ["talks.jsonl:2", "talks.jsonl:3"]


@pytest.mark.parametrize("length", [19_990, 30_000, 123_456])
async def test_a_long_talk_is_several_notes(world: World, length: int) -> None:
    """A talk longer than one note is split into numbered parts, and put together they are the whole talk."""
    text = "".join(f"{number:06} слово\n" for number in range(length // 13 + 1))[:length]
    await world.store([talk("1", text), talk("2", "слово" * (length // 5))])
    report = await world.run()
    assert report.refused == []
    notes = world.notes()
    told = []
    for lead in world.leads():
        parts = [note for lead_id, note in notes if lead_id == lead["id"]]
        assert all(len(part) <= 20_000 for part in parts)
        if len(parts) > 1:
            heads = [part.partition("\n")[0] for part in parts]
            assert heads == [f"({number}/{len(parts)})" for number in range(1, len(parts) + 1)]
            parts = [part.partition("\n")[2] for part in parts]
        told.append("".join(parts))
    assert sorted(told) == sorted(f"user: {whole}".strip() for whole in (text, "слово" * (length // 5)))
    assert await settled(world)


@pytest.mark.parametrize("cut_at_emoji", [False, True])
async def test_emoji_are_stripped(world: World, cut_at_emoji: bool) -> None:
    """Emoji are taken out, so that an account that cuts a value at its first one loses nothing; other signs stay."""
    world.sandbox.switches.cut_at_emoji = cut_at_emoji
    fields = {"user_name": "😀 Иван 🚀 Петров", "phone": "+79161234567", "product_interest": "AI Lawyer"}
    await world.store([talk("1", "Привет 😀 — сколько? €5 ½ 🇷🇺 и ещё", **fields)])
    report = await world.run()
    assert report.refused == []
    (lead,), (contact,), ((_, note),) = world.leads(), world.contacts(), world.notes()
    assert " ".join(lead["name"].split()) == "Заявка от Иван Петров (AI Lawyer)"
    assert " ".join(contact["name"].split()) == "Иван Петров"
    assert " ".join(note.split()) == "user: Привет — сколько? €5 ½ и ещё"
    assert await settled(world)


async def test_emoji_are_kept_where_the_account_keeps_them(world: World) -> None:
    """With `four_byte_characters: keep` they are sent as they are."""
    world.write(amocrm={"four_byte_characters": "keep"})
    await world.store([talk("1", "Привет 😀")])
    await world.run()
    assert world.notes()[0][1] == "user: Привет 😀"
    assert await settled(world)


async def settled(world: World) -> bool:
    """Whether another run has nothing to write."""
    before = len(world.writes())
    await world.run()
    return len(world.writes()) == before


NASTY: dict[str, Callable[[], Any]] = {
    "no object": lambda: ["telegram"],
    "nothing": lambda: None,
    "no id": lambda: {"source": "telegram"},
    "a huge number": lambda: talk("1", phone="123", metadata={"n": 10**40}),
    "a key that is no text": lambda: talk("1", phone="123") | {7: "seven"},
    "bytes": lambda: talk("1", phone=b"123"),
    "half an emoji": lambda: talk("1\ud83d", "\ud83d", phone="123"),
    "itself": lambda: _endless(),
}


def _endless() -> dict[str, Any]:
    record = talk("1", phone="123")
    record["metadata"] = {"again": record}
    return record


@pytest.mark.parametrize("name", NASTY)
async def test_a_push_never_raises(world: World, name: str) -> None:
    """Whatever a bot pushes, the answer is a result: unsuccessful, with a reason, and the record is kept."""
    async with world.pipeline() as pipeline:
        await _refuses(pipeline, NASTY[name]())
        assert (await pipeline.push(talk("2"))).success
    assert len(await world.refused()) == 1


async def test_a_nasty_push_takes_nobody_with_it(world: World) -> None:
    """One record that cannot even be kept must not fail the others that share its batch."""
    async with world.pipeline() as pipeline:
        pushes = [talk("1"), NASTY["a huge number"]() | {"id": "bad"}, talk("2")]
        results = await asyncio.gather(*map(pipeline.push, pushes), return_exceptions=True)
    assert [getattr(one, "success", one) for one in results] == [True, False, True]


async def _refuses(pipeline: Pipeline, record: Any) -> None:
    result = await pipeline.push(record)
    assert not result.success
    assert result.message


async def test_a_mistake_of_the_mapping_names_its_line(world: World) -> None:
    """A record that a template refuses is kept with the mapping's file and line, not with the expression alone."""
    world.write(MAPPING | {"lead": {"name": "{{ user_nam }}"}})
    await world.store([talk("1")])
    (row,) = (await world.run()).refused
    (kept,) = await world.refused()
    line = next(
        number
        for number, text in enumerate((world.folder / "mapping.yaml").read_text(encoding="utf-8").splitlines(), 1)
        if "user_nam }}" in text
    )
    for one in (row, kept):
        assert f"mapping.yaml:{line}" in repr(one)
        assert "user_name" in str(one.do)
