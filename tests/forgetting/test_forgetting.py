"""Forgetting a person: afterwards nothing under our prefix names them, and nobody else is forgotten with them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from cryptography.fernet import Fernet

from leadsync.amocrm import AmoCRMClient, LongLivedToken
from leadsync.config.loader import load_project
from leadsync.errors import AmoCRMUnavailable, ConfigurationError, StateUnavailable
from leadsync.events import ignore
from leadsync.forgetting.asked import Asked
from leadsync.forgetting.held import Held
from leadsync.forgetting.removing import Forgetting
from leadsync.forgetting.stored import names_of, pieces_of
from leadsync.forgetting.unreadable import unreadable
from leadsync.project import Connections, connect
from leadsync.state.claims import Claims
from leadsync.state.contact_index import entry_of
from leadsync.state.refused import RefusedRecords
from leadsync.state.seen import mark_of
from leadsync.web import Service
from tests.web.serving import PATIENT, with_key
from tests.world import MAPPING, NAMES, World, talk

PHONE, EMAIL = "+79161234567", "ivan@example.com"
OTHER_PHONE, OTHER_EMAIL = "+79035550111", "maria@example.com"
OPEN = {**MAPPING, "lead": {**MAPPING["lead"], "match": "open"}}
KEY = Fernet.generate_key().decode()


@asynccontextmanager
async def connected(world: World) -> AsyncIterator[Connections]:
    """The project's Redis, as a command has it."""
    async with connect(load_project(world.folder / "leadsync.yaml"), ignore) as connections:
        yield connections


async def forget(
    world: World, phones: Sequence[str] = (), emails: Sequence[str] = (), keys: Sequence[str] = (), dry: bool = False
) -> Held:
    """Forget somebody; what was held."""
    async with connected(world) as connections:
        forgetting = Forgetting(connections, Asked.of(phones, emails, keys, "RU"))
        return await (forgetting.look() if dry else forgetting.forget())


async def everything(world: World) -> list[str]:
    """Every name and value under our prefix, opened, as text."""
    found = []
    async with connected(world) as connections:
        async for page in names_of(connections.redis, connections.names):
            for name in page:
                found.append(name)
                async for piece in pieces_of(connections.redis, name):
                    found += [connections.seal.open(one).decode(errors="replace") for one in piece.values]
    return found


async def assert_forgotten(world: World, *texts: str, places: Sequence[str] = (), digits: str = "9161234567") -> None:
    """No name and no value holds one of these texts, nor the phone in any spelling, nor a digest of either."""
    held = await everything(world)
    for text in texts:
        assert [one for one in held if text.casefold() in one.casefold()] == []
    assert [one for one in held if digits in re.sub(r"\D", "", one)] == []
    index = await world.redis.hkeys(NAMES.name("index", "RU"))
    assert not {entry_of(f"phone:{PHONE}"), entry_of(f"email:{EMAIL}")} & set(index)
    seen = await world.redis.hkeys(NAMES.name("seen", "redis-dialogs"))
    assert not {mark_of(one, b"") for one in places} & set(seen)


def theirs() -> list[dict[str, Any]]:
    """The talks of one person: one lead for two of them, one that is refused, one without a phone of its own."""
    return [
        talk("1", "Мой номер 8-916-123 45 67", phone="8 (916) 123-45-67", email="Ivan@Example.com"),
        talk("7", "Это снова я", source="avito", phone="+7 916 123 4567", user_name="Иван Грозный"),
        talk("9", "Сколько?", phone="89161234567", budget="много"),
        talk("11", "Пишу с другой почты", phone="9161234567", email="tsar@example.com"),
    ]


def others() -> list[dict[str, Any]]:
    """The talks of others; one is refused."""
    return [
        talk("2", phone=OTHER_PHONE, email=OTHER_EMAIL, user_name="Мария"),
        talk("3", phone="+79035550122", budget="дорого", user_name="Пётр"),
    ]


async def live(world: World, key: str | None = None) -> None:
    """What comes together in a while: an index of contacts, shared leads, refusals, marks, reports, a lost batch."""
    world.write(OPEN)
    settings(world, key)
    await made_by_hand(world, PHONE, OTHER_PHONE)
    await world.store([*theirs(), *others()])
    await world.run()
    await world.run()
    await world.store([talk("20", phone=PHONE), talk("21", phone=OTHER_PHONE)])
    world.sandbox.faults.add("POST /api/v4/leads/notes drop_after")
    world.sandbox.faults.add("GET /api/v4/leads/notes 500_before")
    with pytest.raises(AmoCRMUnavailable):
        await world.run()
    world.sandbox.faults.clear()


async def made_by_hand(world: World, *phones: str) -> None:
    """Contacts that people made in the CRM, one a phone."""
    async with AmoCRMClient(world.sandbox.url, LongLivedToken(world.sandbox.long_lived_token())) as client:
        for phone in phones:
            await client.create_contact(name="Человек", phones=[phone])


def settings(world: World, key: str | None) -> None:
    """Seal with a key, or with none."""
    sealed = {"LEADSYNC_SECRET_KEY": key} if key else {}
    world.settings(AMOCRM_ACCESS_TOKEN=world.sandbox.long_lived_token(), **sealed)


@pytest.mark.parametrize("asked", [{"phones": ["8-916-123-45-67"]}, {"emails": ["IVAN@example.com"]}], ids=str)
@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "sealed"])
async def test_nothing_names_whoever_was_forgotten(world: World, asked: dict[str, Any], key: str | None) -> None:
    """By phone as by e-mail: every record, slot, mark, index entry, refusal, open item and report line is gone."""
    await live(world, key)
    held = await everything(world)
    assert any("9161234567" in one for one in held)
    gone = await forget(world, **asked)
    assert gone.keys == {"telegram:1", "avito:7", "telegram:9", "telegram:11", "telegram:20"}
    assert set(gone.counts) == {"records", "people", "written", "index", "refused", "batches", "seen", "reports"}
    places = [f"dialog:{number}" for number in (1, 7, 9, 11, 20)]
    await assert_forgotten(world, PHONE, EMAIL, "tsar@example.com", *gone.keys, "Грозный", places=places)
    assert (await forget(world, **asked)).counts == {}


async def test_ids_are_told_and_amocrm_is_left_alone(world: World) -> None:
    """The contact and the leads are named, so that somebody can go on there; not one request is made."""
    await live(world)
    before = len(world.sandbox.requests)
    gone = await forget(world, phones=[PHONE])
    assert len(world.sandbox.requests) == before
    (contact,) = [one["id"] for one in world.contacts() if PHONE in one["fields"].get("PHONE", "")]
    assert gone.contacts == gone.listed == {contact}
    assert gone.leads == {one["id"] for one in world.leads() if contact in one["contacts"]}


async def test_others_are_remembered_as_before(world: World) -> None:
    """What is held of others is the same before and after, but for the batch and the reports they shared with them."""
    await live(world)
    marks = ("555", "telegram:2", "telegram:3")
    before = {one for one in await everything(world) if any(mark in one for mark in marks)}
    await forget(world, phones=[PHONE])
    after = {one for one in await everything(world) if any(mark in one for mark in marks)}
    lost = [one for one in before - after if not one.endswith("telegram:20")]
    assert lost
    assert all(orjson.loads(one).keys() & {"items", "refused"} for one in lost)
    await world.redis.delete(*(f"dialog:{one}" for one in (1, 7, 9, 11, 20)))
    notes = len(world.notes())
    report = await world.run()
    assert (report.outcomes, report.created) == ({"failed": 1, "unchanged": 2}, {})
    assert len(world.notes()) == notes


async def test_a_look_changes_nothing(world: World) -> None:
    """What would be removed is what is removed then."""
    await live(world)
    before = await everything(world)
    looked = await forget(world, phones=[PHONE], dry=True)
    assert sorted(await everything(world)) == sorted(before)
    gone = await forget(world, phones=[PHONE])
    assert (looked.counts, looked.keys, looked.leads) == (gone.counts, gone.keys, gone.leads)


async def test_a_key_keeps_the_contact_that_others_have(world: World) -> None:
    """By its key only the record goes; its contact goes with the last record that has it, a lead with the last too."""
    world.write(OPEN)
    await world.store([talk("1", phone=PHONE), talk("2", phone=PHONE), talk("3", phone=OTHER_PHONE)])
    await world.run()
    (contact,) = (await forget(world, keys=["telegram:1"], dry=True)).shared - {f"lead {world.leads()[0]['id']}"}
    first = await forget(world, keys=["telegram:1"])
    assert (first.contacts, first.keys, first.shared) == (set(), {"telegram:1"}, {contact, *first.shared})
    held = await everything(world)
    assert not [one for one in held if "telegram:1" in one]
    assert [one for one in held if PHONE in one]
    last = await forget(world, keys=["telegram:2"])
    assert (last.shared, [f"contact {one}" for one in last.contacts]) == (set(), [contact])
    await assert_forgotten(world, PHONE, "telegram:1", "telegram:2")
    assert [one for one in await everything(world) if OTHER_PHONE in one]


async def test_talks_that_stay_in_a_source_are_named(world: World) -> None:
    """Theirs with place and key, and those of others that name them; the next run makes theirs again, once."""
    await world.store([*theirs(), talk("5", "Позвоните Ивану: 8 916 1234567", phone=OTHER_PHONE)])
    await world.run()
    gone = await forget(world, phones=[PHONE])
    assert [(one.place, one.key) for one in gone.talks if one.is_theirs] == [
        ("dialog:1", "telegram:1"),
        ("dialog:11", "telegram:11"),
        ("dialog:7", "avito:7"),
        ("dialog:9", "telegram:9"),
    ]
    assert [one.place for one in gone.talks if not one.is_theirs] == ["dialog:5"]
    assert [one for one in await everything(world) if OTHER_PHONE in one]
    contacts = len(world.contacts())
    assert (await world.run()).created == {"leads": 3, "notes": 3}
    assert len(world.contacts()) == contacts


async def test_an_index_that_was_whole_doubles_nobody(world: World) -> None:
    """Who is no longer in the index is searched for: somebody who comes back gets the contact that amoCRM has."""
    await made_by_hand(world, PHONE)
    await world.store([talk(str(number), phone=f"+7903555{number:04}") for number in range(20)])
    await world.store([talk("77", phone=OTHER_PHONE)])
    await world.run()
    contacts = len(world.contacts())
    await world.redis.delete("dialog:77")
    for phone in (PHONE, OTHER_PHONE):  # one whom the index knows, and one whom we made since it was read
        assert (await forget(world, phones=[phone])).counts
        await world.store([talk(phone, phone=phone)])
        await world.run()
        assert len(world.contacts()) == contacts, phone


async def test_what_nobody_knows_is_looked_through_too(world: World) -> None:
    """Whatever a newer part of leadsync keeps under our prefix loses what names the person, of every type."""
    raw = orjson.dumps({"talk": {"phone": "8 916 123 45 67"}})
    name = NAMES.name
    await world.redis.set(name("new", "string"), raw)
    await world.redis.set(name("new", f"of:{PHONE}"), b"1")
    await world.redis.hset(name("new", "hash"), mapping={"a": raw, "telegram:1": b"1", "b": b"1"})
    await world.redis.sadd(name("new", "set"), f"phone:{PHONE}", "c")
    await world.redis.zadd(name("new", "zset"), {EMAIL: 1, "telegram:1": 2, "d": 3})
    await world.redis.rpush(name("new", "list"), raw, b"e", raw)
    for value in (raw, b"f", raw):
        await world.redis.xadd(name("new", "stream"), {"record": value})
    gone = await forget(world, phones=[PHONE], emails=[EMAIL], keys=["telegram:1"])
    assert gone.counts == {"other": 11}
    await assert_forgotten(world, PHONE, EMAIL, "telegram:1")
    left = [one for one in await everything(world) if one in "abcdef"]
    assert sorted(left) == ["b", "c", "d", "e", "f"]


async def test_a_worker_that_is_busy_with_them_is_waited_for(world: World) -> None:
    """Nothing is removed under a worker's hands; after some patience that is said."""
    await world.store([talk("1", phone=PHONE)])
    await world.run()
    async with connected(world) as connections, Claims(connections.redis, connections.names) as worker:
        await worker.wait_for(["key:telegram:1"])
        forgetting = Forgetting(connections, Asked.of([PHONE], [], [], "RU"), patience=0.2)
        with pytest.raises(StateUnavailable, match="a worker is busy with this person; nothing was removed"):
            await forgetting.forget()
        assert (await forgetting.look()).counts
        await worker.release(["key:telegram:1"])
        await forgetting.forget()
        assert not (await forgetting.look()).counts


async def test_what_is_sealed_with_another_key_is_not_guessed_at(world: World) -> None:
    """As long as a refused record cannot be read, nobody knows whether it is theirs; `unreadable` finds it."""
    await live(world, KEY)
    settings(world, Fernet.generate_key().decode())
    with pytest.raises(ConfigurationError, match="LEADSYNC_SECRET_KEY"):
        await forget(world, phones=[PHONE])
    async with connected(world) as connections:
        held = await unreadable(connections)
    assert held.counts == {"unreadable": 3}
    settings(world, KEY)
    async with connected(world) as connections:
        assert (await unreadable(connections)).counts == {}
    assert (await forget(world, phones=[PHONE])).counts["refused"] == 1


async def test_what_waits_to_go_in_is_forgotten_too(world: World) -> None:
    """A push that had to wait does not go in after its person was forgotten; those of others do."""
    async with world.pipeline() as pipeline:
        world.sandbox.faults.add("* /api/* drop_before")
        await pipeline.push(talk("1", phone=PHONE))
        await pipeline.push(talk("2", phone="+79035550111"))
    assert (await forget(world, phones=[PHONE])).counts == {"refused": 1}
    records = RefusedRecords(world.redis, NAMES)
    assert (await records.waiting(10), len(await records.all())) == (["telegram:2"], 1)


async def test_what_was_kept_before_it_had_a_key_is_found_by_it(world: World) -> None:
    """A push that came while nobody was logged in is kept under its source and id; its key finds it, and only it."""
    with_key(world, **world.integration())
    async with Service(world.folder / "leadsync.yaml", **PATIENT) as service:
        assert not (await service.push(talk("1"))).success
        assert not (await service.push(talk("2"))).success
    assert (await forget(world, keys=["telegram:1"])).counts == {"refused": 1}
    assert [one.key for one in await world.refused()] == ["push:telegram:2"]


async def test_a_source_that_cannot_be_read_is_told(world: World) -> None:
    """A folder that is gone keeps nobody from being forgotten, and is named as not looked through."""
    await world.store([talk("1", phone=PHONE)])
    await world.run()
    source = {"type": "redis-dialogs", "match": "dialog:*", "mapping": "mapping.yaml"}
    files = {"type": "jsonl", "path": "gone/*.jsonl", "mapping": "mapping.yaml"}
    world.write(sources={"redis-dialogs": source, "inbox": files})
    gone = await forget(world, phones=[PHONE])
    assert gone.counts["records"] == 1
    assert [one.partition(":")[0] for one in gone.not_looked_at] == ["inbox"]
