"""Recover: after a lost answer, look whether amoCRM has what was sent before anything is sent again.

Lists by newest id show new entities at once and need no paid filter. Ours are recognised by what we sent; what is
already somebody's in our memory is nobody else's. Two identical items are two: each entity found answers for one item.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from redis.asyncio import Redis

from leadsync.amocrm import AmoCRMClient
from leadsync.amocrm.catalogue import Catalogue
from leadsync.errors import AmoCRMAPIError
from leadsync.state.claims import Claims
from leadsync.state.facts import Fact, remember, with_id
from leadsync.state.journal import Entry, Journal, JournalItem
from leadsync.state.links import key_of, load_wrote, wrote_hash
from leadsync.state.namespace import Namespace
from leadsync.state.people import LATEST, PEOPLE
from leadsync.sync.changes import Route
from leadsync.sync.recognise import NoteShape, Shape, Shapes, pair

SETTLE = 3.0
"""Seconds in which amoCRM may still be at work on a request whose answer was lost: what is not found at once is looked
for again after them."""

TURN = 0.1
"""Seconds between two looks whether another process has finished."""

UPDATES = (Route.UPDATE_CONTACTS, Route.UPDATE_LEADS)
NOTES = (Route.NOTE_LEADS, Route.NOTE_CONTACTS)

Look = TypeVar("Look", Shape, NoteShape)

Bodies = list[dict[str, Any]]
"""Entities or notes as the API shows them."""


@dataclass(slots=True)
class Recovery:
    """Finds out what became of batches whose outcome is unknown, and remembers what was applied.

    `on_wire` are the batches of this process that wait for their answer, each with its owner.
    """

    client: AmoCRMClient
    redis: Redis
    names: Namespace
    catalogue: Catalogue
    zone: ZoneInfo
    journal: Journal
    claims: Claims
    on_wire: dict[str, str]
    settle: float = SETTLE
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep

    @contextmanager
    def sending(self, entry: Entry) -> Iterator[None]:
        """Around the sending of a batch by this owner. One that an error leaves open is under way no more: whoever
        looks for another must not wait for it."""
        self.on_wire[entry.id] = entry.owner
        try:
            yield
        finally:
            self.on_wire.pop(entry.id, None)

    async def resume(self) -> int:
        """Settle the batches that dead processes, or this one, left open; how many there were.

        A living process has left a batch when somebody else could claim what is in it: it tried to settle it, could
        not, and gave up. Raises AmoCRMAPIError when the CRM cannot be asked: then they stay open, and nothing of them
        is sent again.
        """
        # Of those the answer will tell; to read them for nothing takes longer than all the rest of this.
        awaited = await self.claims.living(self.on_wire.values())
        entries = await self.journal.entries(but={id_ for id_, owner in self.on_wire.items() if owner in awaited})
        living = await self.claims.living(one.owner for one in entries) - {self.claims.owner}
        shared = {one.id: claims_of(one) & self.claims.held for one in entries}
        left = [one for one in entries if one.owner not in living or shared[one.id]]
        # Who made a contact does not claim it: another may hold it while a lead for it is being sent.
        doubtful = [one for one in left if one.owner in living and all(map(_is_contact, shared[one.id]))]
        busy = {one.id for one in await self._flying(doubtful)}
        left = [one for one in left if one.id not in busy]
        for entry in left:
            await self.settle_entry(entry)
        return len(left)

    async def settle_entry(self, entry: Entry) -> dict[str, int]:
        """Look for a batch's items, remember those that were applied, and close it; their ids by request_id.

        One process at a time settles a batch; the others wait, so that none goes on with its keys too early.
        """
        self.on_wire.pop(entry.id, None)
        await self.journal.looking(entry)
        async with self.claims.alone(f"entry:{entry.id}"):
            if not await self.journal.is_open(entry):
                await self.journal.close(entry)
                return {}
            try:
                found = await self._settled(entry, again=False)
                if found is None:
                    await self.pause(self.settle)
                    found = await self._settled(entry, again=True)
            except AmoCRMAPIError as error:
                sent = f"what became of {len(entry.items)} items of {entry.route} is not known yet"
                error.do = f"run again when amoCRM answers: {sent}; they are looked for then, and not sent blindly"
                raise
            return found or {}

    async def _settled(self, entry: Entry, *, again: bool) -> dict[str, int] | None:
        """Look once, and close the batch; None when something is missing that may still come.

        What one batch finds must be remembered before the next one looks, or both would take it for theirs.
        """
        async with self.claims.alone(f"look:{entry.route}"):
            found = await self._look(Route(entry.route), entry)
            if len(found) < len(entry.items) and not again:
                return None
            await close_accepted(self.journal, entry, found)
            return found

    async def _look(self, route: Route, entry: Entry) -> dict[str, int]:
        """The ids of those items that were applied, by request_id."""
        if route is Route.LINK_LEADS:
            return await self._links(entry.items)
        if route in UPDATES:
            return await self._in_force(route, entry.items)
        if route in NOTES:
            return await self._made(entry, NoteShape.of, partial(self._notes, entry), partial(self._new_notes, route))
        shapes = Shapes(self.catalogue, self.zone, route.entity)
        return await self._made(entry, shapes.of, partial(self._entities, entry), partial(self._new_entities, route))

    async def _made(
        self,
        entry: Entry,
        read: Callable[[Mapping[str, Any]], Look],
        listed: Callable[[], Awaitable[Bodies]],
        new: Callable[[Bodies], Awaitable[Bodies]],
    ) -> dict[str, int]:
        """Which of the `listed` entities or notes that are `new` to us, nobody's, came from this batch.

        What is new is asked last: what another batch made is known once that is closed, and until then it is a rival.
        """
        mine = {one.request_id: read(one.payload) for one in entry.items}
        while True:
            bodies = await listed()
            others = await self._others(entry)
            rivals = [read(item.payload) for one in others for item in one.items]
            flying = [read(item.payload) for one in await self._flying(others) for item in one.items]
            if not any(one.may_become(rival) for one in mine.values() for rival in flying):
                return pair(mine, {int(one["id"]): read(one) for one in await new(bodies)}, rivals)
            # What a living process is just sending would pass for ours: it ends first.
            await self.pause(TURN)

    async def _others(self, entry: Entry) -> list[Entry]:
        return [one for one in await self.journal.entries() if one.id != entry.id and one.route == entry.route]

    async def _flying(self, entries: Sequence[Entry]) -> list[Entry]:
        """Those of these batches that are just being sent: by a living owner who holds them and is not looking yet."""
        if not entries:
            return []
        looked_for = await self.journal.looked_for()
        mine = self.claims.owner
        flying = [one for one in entries if one.id not in looked_for and (one.owner != mine or one.id in self.on_wire)]
        living = await self.claims.living(one.owner for one in flying)
        names = {one.id: f"key:{one.items[0].key}" for one in flying}
        holders = await self.claims.holders(names.values())
        return [one for one in flying if one.owner in living and holders.get(names[one.id]) == one.owner]

    async def _entities(self, entry: Entry) -> Bodies:
        """The entities above the mark."""
        route = Route(entry.route)
        with_ = ("contacts",) if route is Route.CREATE_LEADS else ()
        return await _all(self.client.newest(route.entity, until_id=entry.mark, with_=with_))

    async def _new_entities(self, route: Route, bodies: Bodies) -> Bodies:
        """Those that we do not know yet."""
        wrote = await load_wrote(self.redis, self.names, _kind(route), [int(one["id"]) for one in bodies])
        return [one for one in bodies if not wrote[int(one["id"])]]

    async def _notes(self, entry: Entry) -> Bodies:
        """The notes above the mark, of the entities in question."""
        wanted = {int(one.payload["entity_id"]) for one in entry.items}
        notes = await _all(self.client.newest_notes(Route(entry.route).entity, until_id=entry.mark))
        return [one for one in notes if int(one["entity_id"]) in wanted]

    async def _new_notes(self, route: Route, notes: Bodies) -> Bodies:
        """Those that we do not know yet."""
        wrote = await load_wrote(self.redis, self.names, _kind(route), {int(one["entity_id"]) for one in notes})
        return [one for one in notes if note_slot(one["id"]) not in wrote[int(one["entity_id"])]]

    async def _in_force(self, route: Route, items: Sequence[JournalItem]) -> dict[str, int]:
        """The updates whose values the CRM shows now.

        Of one that is in force in parts (a person has changed the rest since, or it was never applied) those parts are
        ours: else they would pass for a person's, and never follow their talk again.
        """
        shapes = Shapes(self.catalogue, self.zone, route.entity)
        filters = self.catalogue.account.is_api_filter_enabled
        ids = [int(one.payload["id"]) for one in items]
        there = await self.client.get_many(route.entity, ids, filters=filters)
        found: dict[str, int] = {}
        parts: list[Fact] = []
        for item, id_ in zip(items, ids, strict=True):
            sent, shown = shapes.of(item.payload), shapes.of(there.get(id_, {}))
            if id_ in there and sent.in_force(shown):
                found[item.request_id] = id_
            else:
                parts += [fact for fact in item.facts if _is_written(fact) and fact[1] in sent.slots_in_force(shown)]
        await remember(self.redis, self.names, parts)
        return found

    async def _links(self, items: Sequence[JournalItem]) -> dict[str, int]:
        links = await self.client.links("leads", [int(one.payload["entity_id"]) for one in items])
        found = {}
        for item in items:
            lead_id = int(item.payload["entity_id"])
            if any(one["to_entity_id"] == item.payload["to_entity_id"] for one in links.get(lead_id, ())):
                found[item.request_id] = lead_id
        return found


async def _all(pages: AsyncIterator[Bodies]) -> Bodies:
    return [one async for page in pages for one in page]


def _kind(route: Route) -> str:
    return route.entity[:-1]


def note_slot(note_id: int | str) -> str:
    """Under which name the memory of an entity holds that a note of it is ours."""
    return f"note:{note_id}"


def claims_of(entry: Entry) -> frozenset[str]:
    """The names that whoever sent a batch had claimed for it: the keys of its records, also of those that share an
    item, the people it makes known, and the contacts of its new leads."""
    facts = [fact for item in entry.items for fact in item.facts]
    keys = [f"key:{item.key}" for item in entry.items] + [f"key:{key}" for fact in facts if (key := key_of(fact[0]))]
    people = [f"person:{slot}" for name, slot, _ in facts if name == PEOPLE]
    tied = (item.payload.get("_embedded", {}).get("contacts", ()) for item in entry.items)
    return frozenset([*keys, *people, *(f"contact:{one['id']}" for contacts in tied for one in contacts)])


def _is_written(fact: Fact) -> bool:
    return fact[0].startswith("wrote:")


def _is_contact(claim: str) -> bool:
    return claim.startswith("contact:")


async def close_accepted(journal: Journal, entry: Entry, ids: Mapping[str, int]) -> None:
    """Close a batch of which these items are known to be accepted. Raises StateUnavailable."""
    route = Route(entry.route)
    accepted = [(item, ids[item.request_id]) for item in entry.items if item.request_id in ids]
    facts = [fact for item, id_ in accepted for fact in with_id(item.facts, id_)]
    if route in NOTES:
        facts += [_noted_fact(route, item, id_) for item, id_ in accepted]
    if route is Route.UPDATE_CONTACTS:
        facts.append((LATEST, "contacts", entry.id))
    listed = listed_of(route)
    await journal.close(entry, facts, (listed, max(ids.values())) if ids and listed else None)


def _noted_fact(route: Route, item: JournalItem, id_: int) -> Fact:
    """That a note is ours, so that it is never taken for another of the same words."""
    return (wrote_hash(_kind(route), item.payload["entity_id"]), note_slot(id_), "1")


def listed_of(route: Route) -> str | None:
    """The list in which a route's new entities appear; None for routes that make none."""
    return {
        Route.CREATE_CONTACTS: "contacts",
        Route.CREATE_LEADS: "leads",
        Route.NOTE_LEADS: "leads/notes",
        Route.NOTE_CONTACTS: "contacts/notes",
    }.get(route)
