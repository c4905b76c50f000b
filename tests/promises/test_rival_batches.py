"""Batches of other workers that live on while one that was lost is looked for, question by question."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from redis.asyncio import Redis

from leadsync.amocrm import AmoCRMClient
from leadsync.amocrm.catalogue import Catalogue
from leadsync.state.claims import Claims
from leadsync.state.facts import NEW_ID
from leadsync.state.journal import Entry, Journal, JournalItem
from leadsync.state.links import wrote_hash
from leadsync.sync.changes import Route
from leadsync.sync.recover import Recovery, close_accepted
from tests.conftest import Valkey
from tests.promises.impatient import impatient
from tests.world import NAMES, World

ZONE = ZoneInfo("Europe/Moscow")

Life = tuple[int, int, int]
"""Before which question of the look, to Redis or the CRM, a rival is written down, made, and closed."""

QUESTIONS = 16
"""More than one look asks, and the beginning of the next."""

AT_EACH_QUESTION: list[Life] = [
    life for number in range(QUESTIONS) for life in ((0, 0, number), (number, number, QUESTIONS))
]

ROUTES = (Route.CREATE_CONTACTS, Route.CREATE_LEADS, Route.NOTE_CONTACTS, Route.NOTE_LEADS)


class Watched(Redis):
    """A client that awaits `before` with the number of each question that is about to be asked."""

    before: Callable[[int], Awaitable[None]] | None = None
    number = -1

    async def asked(self) -> None:
        """Count a question."""
        self.number += 1
        if self.before is not None:
            await self.before(self.number)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        await self.asked()
        return await super().execute_command(*args, **options)


@dataclass(frozen=True, slots=True)
class WatchedLists:
    """The CRM's lists by newest id; to read one is a question, too."""

    client: AmoCRMClient
    watched: Watched

    async def newest(self, *args: Any, **options: Any) -> AsyncIterator[list[dict[str, Any]]]:
        """As the client's."""
        await self.watched.asked()
        async for page in self.client.newest(*args, **options):
            yield page

    async def newest_notes(self, *args: Any, **options: Any) -> AsyncIterator[list[dict[str, Any]]]:
        """As the client's."""
        await self.watched.asked()
        async for page in self.client.newest_notes(*args, **options):
            yield page


@dataclass(slots=True)
class Rival:
    """Another worker that sends what looks like the lost batch. Its steps are taken when they are due."""

    client: AmoCRMClient
    journal: Journal
    claims: Claims
    route: Route
    item: JournalItem
    entry: Entry | None = None
    made: Mapping[str, int] = field(default_factory=dict)
    taken: int = 0

    async def until(self, life: Life, number: int) -> None:
        """Do what is due before this question."""
        steps = self.open, self.make, self.close
        while self.taken < len(life) and life[self.taken] <= number:
            self.taken += 1
            await steps[self.taken - 1]()

    async def open(self) -> None:
        """Claim the record and write the batch down."""
        await self.claims.take([[f"key:{self.item.key}"]])
        self.entry = await self.journal.open(self.claims.owner, self.route, 0, 1.0, [self.item])

    async def make(self) -> None:
        """Let the CRM apply it."""
        is_note = self.route in (Route.NOTE_LEADS, Route.NOTE_CONTACTS)
        create = self.client.create_notes if is_note else self.client.create
        self.made = await create(self.route.entity, [self.item.payload])

    async def close(self) -> None:
        """Hear the answer, and give the record back."""
        assert self.entry is not None
        await close_accepted(self.journal, self.entry, self.made)
        await self.claims.release(self.claims.held)


def _item(route: Route, key: str, owner: int) -> JournalItem:
    said: dict[str, Any] = {"name": "Заявка"}
    facts = [(wrote_hash(route.entity[:-1], NEW_ID), "made", "1")]
    if route in (Route.NOTE_LEADS, Route.NOTE_CONTACTS):
        said, facts = {"entity_id": owner, "note_type": "common", "params": {"text": "user: да"}}, []
    return JournalItem(key, f"item-{key}", said | {"request_id": f"item-{key}"}, facts)


def _recovery(
    client: Any, redis: Redis, catalogue: Catalogue, claims: Claims, on_wire: dict[str, str], pause: Any
) -> Recovery:
    journal = Journal(redis, NAMES)
    return Recovery(client, redis, NAMES, catalogue, ZONE, journal, claims, on_wire, pause=pause)


async def _at_once(_: float) -> None:
    await asyncio.sleep(0)


@pytest.mark.parametrize("route", ROUTES)
async def test_what_another_makes_during_a_look_is_its_own(
    world: World, valkey_server: Valkey, seed: int, route: Route
) -> None:
    """Whenever another worker writes a batch down, has it made and hears of it, nothing of it answers for ours."""
    dice = random.Random(seed)
    others: list[Life] = [tuple(sorted(dice.choices(range(QUESTIONS), k=3))) for _ in range(20)]  # type: ignore[misc]
    async with (
        impatient(world) as pipeline,
        Claims(world.redis, NAMES) as mine,
        Claims(world.redis, NAMES) as theirs,
        Watched(unix_socket_path=str(valkey_server.socket)) as watched,
    ):
        client, journal = pipeline.connections.client, pipeline.connections.journal
        owner = (await client.create(route.entity, [{"name": "Чья-то", "request_id": "0"}]))["0"]
        lists = WatchedLists(client, watched)
        recovery = _recovery(lists, watched, pipeline.catalogue, mine, {}, _at_once)
        for life in AT_EACH_QUESTION + others:
            rival = Rival(client, journal, theirs, route, _item(route, "b", owner))
            await mine.take([["key:a"]])
            lost = await journal.open(mine.owner, route, owner, 1.0, [_item(route, "a", owner)])

            async def live(number: int, rival: Rival = rival, life: Life = life) -> None:
                await rival.until(life, number)

            watched.before, watched.number = live, -1
            async with asyncio.timeout(20):
                assert await recovery.settle_entry(lost) == {}, life
            watched.before = None
            await rival.until(life, QUESTIONS)
        assert await journal.entries() == []


async def test_the_batch_of_a_lane_that_was_taken_for_dead(world: World) -> None:
    """A batch on the wire is looked for by whoever works on its record next, once its owner counts as dead."""
    async with impatient(world) as pipeline, Claims(world.redis, NAMES) as claims:
        client, journal = pipeline.connections.client, pipeline.connections.journal
        await claims.take([["key:a"]])
        batch = await journal.open("dead", Route.CREATE_LEADS, 0, 1.0, [_item(Route.CREATE_LEADS, "a", 0)])
        await client.create("leads", [batch.items[0].payload])
        recovery = _recovery(client, world.redis, pipeline.catalogue, claims, {batch.id: "dead"}, _at_once)
        assert await recovery.resume() == 1
        assert await journal.entries() == []
        (lead,) = world.leads()
        assert await world.redis.hgetall(NAMES.name(wrote_hash("lead", lead["id"]))) == {b"made": b"1"}


async def test_nobody_of_the_same_process_goes_on_while_another_looks(world: World) -> None:
    """A lane that has taken over a contact waits until the lane that lost the contact's lead has found it."""
    is_looked_for, waits, ended_before_us = asyncio.Event(), asyncio.Event(), list[bool]()

    async def wait(_: float) -> None:
        waits.set()
        await asyncio.sleep(0)

    async def before_the_second_look(_: float) -> None:
        is_looked_for.set()
        waiting = asyncio.create_task(waits.wait())
        await asyncio.wait([other, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        ended_before_us.append(other.done())

    async def go_on() -> int:
        await is_looked_for.wait()
        return await second.resume()

    async with (
        impatient(world) as pipeline,
        Claims(world.redis, NAMES) as one,
        Claims(world.redis, NAMES, pause=wait) as two,
    ):
        client, journal, on_wire = pipeline.connections.client, pipeline.connections.journal, dict[str, str]()
        first = _recovery(client, world.redis, pipeline.catalogue, one, on_wire, before_the_second_look)
        second = _recovery(client, world.redis, pipeline.catalogue, two, on_wire, _at_once)
        contact = await client.create_contact(name="Анна")
        lead = _item(Route.CREATE_LEADS, "a", 0)
        tied = {**lead.payload, "_embedded": {"contacts": [{"id": contact}]}}
        await one.take([["key:a"]])
        await two.take([[f"contact:{contact}"]])
        lost = await journal.open(one.owner, Route.CREATE_LEADS, 0, 1.0, [JournalItem("a", "a", tied, lead.facts)])
        other = asyncio.create_task(go_on())
        async with asyncio.timeout(20):
            with first.sending(lost):
                assert await first.settle_entry(lost) == {}
            assert await other == 1
    assert ended_before_us == [False]
