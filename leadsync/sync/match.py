"""Match: who is it? One person becomes one contact, in any spelling of phone or e-mail.

First what we remember about the record, then what we know about its phones and e-mails, then the account's search. The
search is full-text over every field, so a hit counts only when the contact really holds the phone or e-mail
(amocrm-api-php #515: the first hit, unchecked, overwrote a stranger).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from leadsync.amocrm import AmoCRMClient
from leadsync.mapping.contact_keys import last_digits
from leadsync.state.claims import Claims
from leadsync.state.namespace import Namespace
from leadsync.state.people import latest_change, load_people
from leadsync.sync.people import Member, Person, group, merge_same
from leadsync.sync.resolve import contact_keys_of

PAGES_PER_SEARCH = 4
"""One page of the contact list is read for so many people who would have to be searched."""


@dataclass(slots=True)
class Matcher:
    """Finds the contacts of many records at once.

    `promises` is filled by a plan that is not applied: which record would create the contact of a contact key. `claims`
    is given where plans are applied: a contact that was found is then this process's until it gives everything back, so
    that nobody else adds a phone to what we have read. `filters`: the account has amoCRM's paid filters.
    """

    client: AmoCRMClient | None
    redis: Redis
    names: Namespace
    country: str
    filters: bool = False
    promises: dict[str, str] | None = None
    claims: Claims | None = None
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
        """Find strangers in the account: by reading its contacts where they are few, else by searching."""
        if self.client is None:
            return
        keys = {key for person in strangers for key in person.keys}
        listed, whole = await self._listed(keys)
        for person in strangers:
            found = next((key for key in person.keys if key in listed), None)
            if found is not None:
                person.take(listed[found])
        if not whole:
            await self._search_all([one for one in strangers if one.contact_id is None])

    async def _search_all(self, strangers: Sequence[Person]) -> None:
        """Search for each; the first error stops the others, so that a ban is not met with more requests."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for person in strangers:
                    tasks.create_task(self._search(person))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _listed(self, keys: set[str]) -> tuple[dict[str, dict[str, Any]], bool]:
        """The oldest contact of each key among the account's contacts, and whether all contacts were read.

        A page of 250 costs what one search costs, so a quarter of the searches is spent on reading first: a small
        account is then known whole.
        """
        assert self.client is not None
        found: dict[str, dict[str, Any]] = {}
        left = len(keys) // PAGES_PER_SEARCH
        if not left:
            return found, not keys
        async for page in self.client.pages("contacts"):
            for body in page:
                for key in keys & contact_keys_of(body, self.country):
                    if not body.get("is_deleted"):
                        found.setdefault(key, body)
            if not left:
                return found, False
            left -= 1
        return found, True

    async def _search(self, person: Person) -> None:
        for key in person.keys:
            async with self._turn:
                found = await self._searched(key)
            if found is not None:
                person.take(found)
                return

    async def _searched(self, key: str) -> dict[str, Any] | None:
        assert self.client is not None
        kind, _, value = key.partition(":")
        hits = await self.client.search("contacts", last_digits(value) if kind == "phone" else value)
        verified = [one for one in hits if not one.get("is_deleted") and key in contact_keys_of(one, self.country)]
        return min(verified, key=lambda one: int(one["id"]), default=None)
