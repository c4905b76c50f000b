"""Match: who is it? One person becomes one contact, in any spelling of phone or e-mail.

First what we remember about the record, then what we know about its phones and e-mails, then the index of the
account's contacts, then its search. The index may be stale and the search is full-text over every field, so a hit
counts only when the contact really holds the phone or e-mail (amocrm-api-php #515: the first hit, unchecked, overwrote
a stranger). Of several contacts with one phone the oldest wins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
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
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(8))

    async def people(self, members: Sequence[Member]) -> list[Person]:
        """Group records by person, say which contact each is, and read it. Raises AmoCRMAPIError, StateUnavailable."""
        people = await self._held(members)
        lost = await self._read(people)
        if not lost:
            return people
        for person in lost:
            person.lose()
        await self._find(lost)
        for person in lost:
            self._promise(person)
        people = merge_same(people)
        await self._hold(people)
        await self._read(people)
        return people

    async def _held(self, members: Sequence[Member]) -> list[Person]:
        """People with the contacts we take them for, held so that nobody else changes them meanwhile."""
        before = await latest_change(self.redis, self.names)
        found = await self._known(members)
        if self.claims is not None:
            await self._hold(found)
            if await latest_change(self.redis, self.names) != before:
                for person in found:
                    person.body = None  # perhaps another process has changed it since the search: it is read again
        return found

    async def _hold(self, people: Sequence[Person]) -> None:
        if self.claims is not None:
            await self.claims.wait_for([f"contact:{one.contact_id}" for one in people if one.contact_id is not None])

    async def _read(self, people: Sequence[Person]) -> list[Person]:
        """Read the contacts not read yet; those that are no longer in the CRM come back (deleted, or merged there)."""
        unread = [one for one in people if one.contact_id is not None and one.body is None]
        if not unread or self.client is None:
            return []
        ids = [one.contact_id for one in unread if one.contact_id is not None]
        bodies = await self.client.get_many("contacts", ids, filters=self.filters)
        for person in unread:
            person.body = bodies.get(person.contact_id or 0)
        return [one for one in unread if one.body is None]

    async def _known(self, members: Sequence[Member]) -> list[Person]:
        keys = list(dict.fromkeys(key for one in members for key in one.wanted.keys))
        people = group(members, await load_people(self.redis, self.names, keys))
        strangers = [one for one in people if one.contact_id is None]
        await self._find(strangers)
        for person in strangers:
            self._promise(person)
        return merge_same(people)

    def _promise(self, person: Person) -> None:
        if person.contact_id is not None or self.promises is None:
            return
        promised = next((self.promises[key] for key in person.keys if key in self.promises), None)
        person.promised_by = promised
        for key in person.keys:
            self.promises.setdefault(key, promised or person.members[0].key)

    async def _find(self, strangers: Sequence[Person]) -> None:
        """Find strangers in the account: by the index of its contacts, or by searching."""
        if self.client is None or self.contacts is None:
            return
        keys = list(dict.fromkeys(key for person in strangers for key in person.keys))
        is_whole = bool(keys) and await self.contacts.ready(len(keys))
        doubtful = await self._by_index(strangers, await self.contacts.index.find(keys))
        await self._search_all(
            [one for one in strangers if one.contact_id is None and (not is_whole or one in doubtful)]
        )

    async def _by_index(self, strangers: Sequence[Person], hits: Mapping[str, Sequence[int]]) -> list[Person]:
        """Give strangers the contacts that the index names, once read and verified; those it misleads come back."""
        assert self.client is not None
        assert self.contacts is not None
        if not hits:
            return []
        ids = {one for found in hits.values() for one in found}
        bodies = await self.client.get_many("contacts", ids, filters=self.filters)
        holders = {key: [one for one in ids if self._holds(bodies.get(one), key)] for key, ids in hits.items()}
        await self.contacts.index.correct((key, one) for key in hits for one in hits[key] if one not in holders[key])
        misled = []
        for person in strangers:
            asked = [key for key in person.keys if key in hits]
            found = next((holders[key] for key in asked if holders[key]), None)
            if found:
                person.take(bodies[found[0]])
                self._tell_twins(found)
            elif asked:
                misled.append(person)
        return misled

    def _holds(self, body: dict[str, Any] | None, key: str) -> bool:
        return body is not None and not body.get("is_deleted") and key in contact_keys_of(body, self.country)

    def _tell_twins(self, ids: Sequence[int]) -> None:
        if len(ids) > 1 and len(self.twins) < MOST_TWINS:
            self.twins[ids[0]] = tuple(ids)

    async def _search_all(self, strangers: Sequence[Person]) -> None:
        """Search for each; the first error stops the others, so that a ban is not met with more requests."""
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
