"""Recover: after a lost answer, look whether amoCRM has what was sent before anything is sent again.

Lists by newest id show new entities at once and need no paid filter. Ours are recognised by what we sent; what is
already somebody's in our memory is nobody else's. Two identical items are two: each entity found answers for one item.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from zoneinfo import ZoneInfo

from redis.asyncio import Redis

from leadsync.amocrm import AmoCRMClient
from leadsync.amocrm.catalogue import Catalogue
from leadsync.amocrm.field_values import canonical, strip_four_byte
from leadsync.errors import ConfigurationError
from leadsync.state.claims import Claims
from leadsync.state.facts import with_id
from leadsync.state.journal import Entry, Journal, JournalItem
from leadsync.state.links import load_wrote
from leadsync.state.namespace import Namespace
from leadsync.sync.changes import Route
from leadsync.sync.payload import content

EntityName = Literal["contacts", "leads"]

SETTLE = 3.0
"""Seconds after sending in which amoCRM may still be at work on a request whose answer was lost: what is not found
before that is looked for once more."""

TURN = 0.1
"""Seconds between two looks whether another process has finished."""


def _plain(text: Any) -> str:
    return " ".join(strip_four_byte(str(text or "")).split())


@dataclass(slots=True)
class Recovery:
    """Finds out what became of batches whose outcome is unknown, and remembers what was applied."""

    client: AmoCRMClient
    redis: Redis
    names: Namespace
    catalogue: Catalogue
    zone: ZoneInfo
    journal: Journal
    claims: Claims
    settle: float = SETTLE
    clock: Callable[[], float] = time.time
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def resume(self) -> int:
        """Settle the batches that dead processes, or this one, left open; how many there were.

        Raises AmoCRMAPIError when the CRM cannot be asked: then they stay open, and nothing of them is sent again.
        """
        entries = await self.journal.entries()
        living = await self.claims.living(one.owner for one in entries) - {self.claims.owner}
        left = [one for one in entries if one.owner not in living]
        for entry in left:
            (mine,) = await self.claims.take([[f"entry:{entry.id}"]])
            if mine:
                try:
                    await self.settle_entry(entry)
                finally:
                    await self.claims.release([f"entry:{entry.id}"])
        return len(left)

    async def settle_entry(self, entry: Entry) -> dict[str, int]:
        """Look for a batch's items, remember those that were applied, and close it; their ids by request_id."""
        if not await self.journal.is_open(entry):
            return {}
        found = await self._look(entry)
        await close_accepted(self.journal, entry, found)
        return found

    async def _look(self, entry: Entry) -> dict[str, int]:
        """The ids of those items that were applied, by request_id.

        Updates are never reported: sending the same values again changes nothing.
        """
        route = Route(entry.route)
        if route in (Route.UPDATE_CONTACTS, Route.UPDATE_LEADS):
            return {}
        turn = f"look:{route}"
        while not (await self.claims.take([[turn]]))[0]:
            await self.pause(TURN)
        try:
            await self.journal.looking(entry)
            found = await self._found(route, entry)
            left = entry.at + self.settle - self.clock()
            if len(found) < len(entry.items) and left > 0:
                await self.pause(left)
                found = await self._found(route, entry)
            return found
        finally:
            await self.claims.release([turn])

    async def _found(self, route: Route, entry: Entry) -> dict[str, int]:
        if route is Route.LINK_LEADS:
            return await self._links(entry.items)
        if route in (Route.NOTE_LEADS, Route.NOTE_CONTACTS):
            notes = await _all(self.client.newest_notes(route.entity, until_id=entry.mark))
            return pair(entry.items, notes, same_note)
        with_ = ("contacts",) if route is Route.CREATE_LEADS else ()
        while True:
            bodies = await _all(self.client.newest(route.entity, until_id=entry.mark, with_=with_))
            if not await self._twins_on_the_wire(entry):
                return pair(entry.items, await self._nobodys(route, bodies), self._same_entity(route.entity))
            await self.pause(TURN)

    async def _twins_on_the_wire(self, entry: Entry) -> bool:
        """Whether a living process is just sending an item that looks like one of ours: its entity would pass for ours.

        Entries that are looked for themselves do not count: what one of them finds is no longer there for the next.
        """
        others = await self.journal.on_the_wire(entry.route)
        living = await self.claims.living(one.owner for one in others)
        looks = {content(one.payload) for one in entry.items}
        return any(
            other.id != entry.id and other.owner in living and any(content(one.payload) in looks for one in other.items)
            for other in others
        )

    async def _nobodys(self, route: Route, bodies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        entity = "lead" if route is Route.CREATE_LEADS else "contact"
        wrote = await load_wrote(self.redis, self.names, entity, [int(one["id"]) for one in bodies])
        return [one for one in bodies if not wrote[int(one["id"])]]

    async def _links(self, items: Sequence[JournalItem]) -> dict[str, int]:
        links = await self.client.links("leads", [int(one.payload["entity_id"]) for one in items])
        found = {}
        for item in items:
            lead_id = int(item.payload["entity_id"])
            if any(one["to_entity_id"] == item.payload["to_entity_id"] for one in links.get(lead_id, ())):
                found[item.request_id] = lead_id
        return found

    def _same_entity(self, entity: EntityName) -> Callable[[Mapping[str, Any], Mapping[str, Any]], bool]:
        def same(sent: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
            names = (name for name in ("name", "first_name", "last_name") if name in sent)
            return (
                all(_plain(sent[name]) == _plain(body.get(name)) for name in names)
                and ("price" not in sent or sent["price"] == (body.get("price") or 0))
                and contacts_of(sent) <= contacts_of(body)
                and self._same_fields(entity, sent, body)
            )

        return same

    def _same_fields(self, entity: EntityName, sent: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
        there = {one["field_id"]: one["values"] for one in body.get("custom_fields_values") or []}
        for one in sent.get("custom_fields_values") or []:
            try:
                field = self.catalogue.field(entity, one.get("field_id") or one["field_code"])
            except ConfigurationError:
                continue  # the field was deleted in the account meanwhile: it cannot tell anything
            wanted = canonical(field, one["values"], zone=self.zone)
            if wanted and canonical(field, there.get(field.id), zone=self.zone) != wanted:
                return False
        return True


async def _all(pages: AsyncIterator[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [one async for page in pages for one in page]


async def close_accepted(journal: Journal, entry: Entry, ids: Mapping[str, int]) -> None:
    """Close a batch of which these items are known to be accepted. Raises StateUnavailable."""
    accepted = [item for item in entry.items if item.request_id in ids]
    facts = [fact for item in accepted for fact in with_id(item.facts, ids[item.request_id])]
    listed = listed_of(Route(entry.route))
    await journal.close(entry, facts, (listed, max(ids.values())) if ids and listed else None)


def listed_of(route: Route) -> str | None:
    """The list in which a route's new entities appear; None for routes that make none."""
    return {
        Route.CREATE_CONTACTS: "contacts",
        Route.CREATE_LEADS: "leads",
        Route.NOTE_LEADS: "leads/notes",
        Route.NOTE_CONTACTS: "contacts/notes",
    }.get(route)


def contacts_of(body: Mapping[str, Any]) -> set[int]:
    """The ids of the contacts a lead is linked to, as sent or as read."""
    return {int(one["id"]) for one in (body.get("_embedded") or {}).get("contacts") or []}


def same_note(sent: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Whether a note in the CRM is the one that was sent: same entity, same text but for what amoCRM drops."""
    text = (body.get("params") or {}).get("text")
    return int(sent["entity_id"]) == int(body["entity_id"]) and _plain(sent["params"]["text"]) == _plain(text)


def pair(
    items: Sequence[JournalItem],
    bodies: Sequence[dict[str, Any]],
    same: Callable[[Mapping[str, Any], Mapping[str, Any]], bool],
) -> dict[str, int]:
    """Which entity answers for which item: each at most once, the oldest first."""
    left = sorted(bodies, key=lambda one: int(one["id"]))
    found: dict[str, int] = {}
    for item in items:
        index = next((index for index, body in enumerate(left) if same(item.payload, body)), None)
        if index is not None:
            found[item.request_id] = int(left.pop(index)["id"])
    return found
