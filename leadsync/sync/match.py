"""Match: who is it? One person becomes one contact, in any spelling of phone or e-mail.

First what we remember about the record, then what we know about its phones and e-mails, then the index of the
account's contacts, then its search. The index may be stale and the search is full-text over every field, so a hit
counts only when the contact really holds the phone or e-mail (amocrm-api-php #515: the first hit, unchecked, overwrote
a stranger). Of several contacts with one phone the oldest wins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from leadsync.amocrm import AmoCRMClient
from leadsync.mapping.contact_keys import last_digits
from leadsync.state.claims import Claims
from leadsync.state.namespace import Namespace
from leadsync.state.people import latest_change, load_people
from leadsync.sync.contact_list import ContactList
from leadsync.sync.people import Member, Person, group, merge_same
from leadsync.sync.resolve import contact_keys_of

MOST_TWINS = 100
"""People of whom it is told that they stand in several contacts."""


@dataclass(slots=True)
class Matcher:
    """Finds the contacts of many records at once.

    `promises` is filled by a plan that is not applied: which record would create the contact of a contact key. `claims`
    is given where plans are applied: a contact that was found is then this process's until it gives everything back, so
    that nobody else adds a phone to what we have read. `filters`: the account has amoCRM's paid filters. `contacts` is
    given wherever `client` is. `twins` tells, by the contact that was taken, of all that hold the same phone or e-mail;
    `searches` counts.
    """

    client: AmoCRMClient | None
    redis: Redis
    names: Namespace
    country: str
    filters: bool = False
    promises: dict[str, str] | None = None
    claims: Claims | None = None
    contacts: ContactList | None = None
    twins: dict[int, tuple[int, ...]] = field(default_factory=dict)
    searches: int = 0
    _searched_at: str = ""
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(8))

    async def people(self, members: Sequence[Member]) -> list[Person]:
        """Group records by person, say which contact each is, and read it. Raises AmoCRMAPIError, StateUnavailable."""
        keys = list(dict.fromkeys(key for one in members for key in one.wanted.keys))
        people = group(members, await load_people(self.redis, self.names, keys))
        await self._find([one for one in people if one.contact_id is None], [one for one in people if one.contact_id])
        lost = [one for one in people if one.contact_id is not None and one.body is None and self.client is not None]
        for person in lost:
            person.lose()
        if lost:
            await self._find(lost, [])
        for person in people:
            self._promise(person)
        return merge_same(people)

    def _promise(self, person: Person) -> None:
        if person.contact_id is not None or self.promises is None:
            return
        promised = next((self.promises[key] for key in person.keys if key in self.promises), None)
        person.promised_by = promised
        for key in person.keys:
            self.promises.setdefault(key, promised or person.members[0].key)

    async def _find(self, strangers: Sequence[Person], known: Sequence[Person]) -> None:
        """Read the contacts of people who are known, and find strangers: by the index, else by searching.

        A contact is read while it is held, so that nobody else changes what was read. One that is no longer in the CRM
        (deleted, or merged there) leaves its person without a body.
        """
        if self.client is None or self.contacts is None:
            return
        keys = list(dict.fromkeys(key for person in strangers for key in person.keys))
        is_whole = bool(keys) and await self.contacts.ready(len(keys))
        hits = await self.contacts.index.find(keys)
        bodies = await self._read(
            {one.contact_id or 0 for one in known} | {one for ids in hits.values() for one in ids}
        )
        for person in known:
            person.body = bodies.get(person.contact_id or 0)
        misled = await self._by_index(strangers, hits, bodies)
        unknown = [one for one in strangers if one.contact_id is None and (not is_whole or id(one) in misled)]
        await self._search_all(unknown)
        await self._read_held([one for one in unknown if one.contact_id is not None])

    async def _read(self, ids: Iterable[int]) -> dict[int, dict[str, Any]]:
        """Hold contacts and read those that are in the CRM."""
        assert self.client is not None
        wanted = sorted(ids)
        if self.claims is not None:
            await self.claims.wait_for([f"contact:{one}" for one in wanted])
        return await self.client.get_many("contacts", wanted, filters=self.filters) if wanted else {}

    async def _read_held(self, found: Sequence[Person]) -> None:
        """Hold contacts that a search brought; where one of us has changed any meanwhile, they are read again."""
        if self.claims is None or not found:
            return
        ids = [one.contact_id for one in found if one.contact_id is not None]
        before = await latest_change(self.redis, self.names)
        await self.claims.wait_for([f"contact:{one}" for one in ids])
        if before == self._searched_at == await latest_change(self.redis, self.names):
            return
        bodies = await self._read(ids)
        for person in found:
            person.body = bodies.get(person.contact_id or 0)

    async def _by_index(
        self, strangers: Sequence[Person], hits: Mapping[str, Sequence[int]], bodies: Mapping[int, dict[str, Any]]
    ) -> set[int]:
        """Give strangers the contacts that the index names, once verified; `id()` of those whom it misleads."""
        assert self.contacts is not None
        holders = {key: [one for one in ids if self._holds(bodies.get(one), key)] for key, ids in hits.items()}
        await self.contacts.index.correct((key, one) for key in hits for one in hits[key] if one not in holders[key])
        misled = set()
        for person in strangers:
            asked = [key for key in person.keys if key in hits]
            found = next((holders[key] for key in asked if holders[key]), None)
            if found:
                person.take(bodies[found[0]])
                self._tell_twins(found)
            elif asked:
                misled.add(id(person))
        return misled

    def _holds(self, body: dict[str, Any] | None, key: str) -> bool:
        return body is not None and not body.get("is_deleted") and key in contact_keys_of(body, self.country)

    def _tell_twins(self, ids: Sequence[int]) -> None:
        if len(ids) > 1 and len(self.twins) < MOST_TWINS:
            self.twins[ids[0]] = tuple(ids)

    async def _search_all(self, strangers: Sequence[Person]) -> None:
        """Search for each; the first error stops the others, so that a ban is not met with more requests."""
        if not strangers:
            return
        self._searched_at = await latest_change(self.redis, self.names)
        try:
            async with asyncio.TaskGroup() as tasks:
                for person in strangers:
                    tasks.create_task(self._search(person))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _search(self, person: Person) -> None:
        for key in person.keys:
            async with self._turn:
                found = await self._searched(key)
            if found is not None:
                person.take(found)
                return

    async def _searched(self, key: str) -> dict[str, Any] | None:
        assert self.client is not None
        assert self.contacts is not None
        self.searches += 1
        await self.contacts.index.searched(1)
        kind, _, value = key.partition(":")
        hits = await self.client.search("contacts", last_digits(value) if kind == "phone" else value)
        verified = sorted((one for one in hits if self._holds(one, key)), key=lambda one: int(one["id"]))
        self._tell_twins([int(one["id"]) for one in verified])
        return verified[0] if verified else None
