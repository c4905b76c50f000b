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

MOST_TWINS = 20
"""People of whom it is told, at a time, that they stand in several contacts; the others are counted."""

MOST_NOTICED = 1000
"""Such people that are remembered until somebody asks."""

CONTACT = "contact:"
"""What the claim of a contact begins with."""


@dataclass(slots=True)
class Matcher:
    """Finds the contacts of many records at once.

    `promises` is filled by a plan that is not applied: which record would create the contact of a contact key. `claims`
    is given where plans are applied: a contact that was found is then this process's until it gives everything back, so
    that nobody else adds a phone to what we have read. `filters`: the account has amoCRM's paid filters. `contacts` is
    given wherever `client` is. `searches` counts.
    """

    client: AmoCRMClient | None
    redis: Redis
    names: Namespace
    country: str
    filters: bool = False
    promises: dict[str, str] | None = None
    claims: Claims | None = None
    contacts: ContactList | None = None
    searches: int = 0
    _twins: dict[int, tuple[int, ...]] = field(default_factory=dict)
    _let_go: bool = False
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(8))

    async def people(self, members: Sequence[Member]) -> list[Person]:
        """Group records by person, say which contact each is, and read it. Raises AmoCRMAPIError, StateUnavailable."""
        people = await self._grouped(members)
        self._let_go = False
        unsettled = people if self.client is not None else []
        while unsettled:
            await self._find(unsettled)
            if self._let_go:
                await self._read_again(people)
            unsettled = [one for one in people if one.contact_id is not None and one.body is None]
            for person in unsettled:
                person.lose()
        for person in people:
            self._promise(person)
        return merge_same(people)

    async def look_ahead(self, members: Sequence[Member], times: float) -> None:
        """Read the contact list, where that is worth it for so many times the strangers among these records.

        Raises AmoCRMAPIError, StateUnavailable.
        """
        keys = _keys_of_strangers(await self._grouped(members))
        if keys and self.contacts is not None:
            await self.contacts.ready(round(len(keys) * times))

    async def _grouped(self, members: Sequence[Member]) -> list[Person]:
        keys = list(dict.fromkeys(key for one in members for key in one.wanted.keys))
        return group(members, await load_people(self.redis, self.names, keys))

    def taken_twins(self) -> list[str]:
        """What to say of people who stand in several contacts, each once; no phone and no e-mail is named."""
        twins, self._twins = self._twins, {}
        told = [
            f"the contacts {', '.join(map(str, ids))} hold the same phone or e-mail: the oldest of them, {first}, is "
            "taken; merge them in amoCRM"
            for first, ids in list(twins.items())[:MOST_TWINS]
        ]
        more = len(twins) - len(told)
        return told + ([f"{more} more people stand in several contacts: the oldest is taken"] if more else [])

    def _promise(self, person: Person) -> None:
        if person.contact_id is not None or self.promises is None:
            return
        promised = next((self.promises[key] for key in person.keys if key in self.promises), None)
        person.promised_by = promised
        for key in person.keys:
            self.promises.setdefault(key, promised or person.members[0].key)

    async def _find(self, people: Sequence[Person]) -> None:
        """Read the contacts of people who are known, and find strangers: by the index, else by searching.

        A contact is read while it is held, so that nobody else changes what was read. One that is no longer in the CRM
        (deleted, or merged there) leaves its person without a body.
        """
        assert self.contacts is not None
        strangers = [one for one in people if one.contact_id is None]
        known = [one for one in people if one.contact_id is not None]
        keys = _keys_of_strangers(people)
        is_whole = bool(keys) and await self.contacts.ready(len(keys))
        hits = await self.contacts.index.find(keys)
        bodies = await self._read(
            {one.contact_id or 0 for one in known} | {one for ids in hits.values() for one in ids}
        )
        for person in known:
            person.body = bodies.get(person.contact_id or 0)
        holders = {key: [one for one in ids if self._holds(bodies.get(one), key)] for key, ids in hits.items()}
        await self.contacts.index.correct((key, one) for key in hits for one in hits[key] if one not in holders[key])
        unsure = [one for one in strangers if not self._by_index(one, holders, bodies, is_whole=is_whole)]
        await self._search_all(unsure, is_whole=is_whole)

    # What is held while it is compared

    async def _read(self, ids: Iterable[int]) -> dict[int, dict[str, Any]]:
        """Hold contacts and read those that are in the CRM."""
        assert self.client is not None
        wanted = sorted(ids)
        await self._hold(wanted)
        return await self.client.get_many("contacts", wanted, filters=self.filters) if wanted else {}

    async def _hold(self, ids: Iterable[int]) -> None:
        """Hold contacts, as soon as nobody else does, beside those held already.

        Who waits for a contact must not hold another, whose next holder may wait for ours: those are let go then, and
        have to be read again.
        """
        wanted = [f"{CONTACT}{one}" for one in ids]
        if self.claims is None or not wanted or (await self.claims.take([wanted]))[0]:
            return
        held = [one for one in self.claims.held if one.startswith(CONTACT)]
        await self.claims.release(held)
        self._let_go = self._let_go or bool(held)
        await self.claims.wait_for(sorted({*held, *wanted}))

    async def _read_again(self, people: Sequence[Person]) -> None:
        """Read everybody's contact while all of them are held."""
        self._let_go = False
        bodies = await self._read({one.contact_id for one in people if one.contact_id is not None})
        for person in people:
            person.body = bodies.get(person.contact_id or 0)

    # Who is in the index

    def _by_index(
        self, person: Person, holders: Mapping[str, Sequence[int]], bodies: Mapping[int, dict[str, Any]], is_whole: bool
    ) -> bool:
        """Give a stranger the verified contact of the first contact key that has one; whether it is sure who that is.

        It is not where the index is wrong about a key, or does not know it and may have missed it.
        """
        for key in person.keys:
            found = holders.get(key)
            if found:
                person.take(bodies[found[0]])
                self._notice_twins(found)
                return True
            if found is not None or not is_whole:
                return False
        return True

    def _holds(self, body: dict[str, Any] | None, key: str) -> bool:
        return body is not None and not body.get("is_deleted") and key in contact_keys_of(body, self.country)

    def _notice_twins(self, ids: Sequence[int]) -> None:
        if len(ids) > 1 and len(self._twins) < MOST_NOTICED:
            self._twins[ids[0]] = tuple(ids)

    # Who has to be searched

    async def _search_all(self, strangers: Sequence[Person], *, is_whole: bool) -> None:
        """Search for each, and hold who was found; the first error stops the others, so that a ban is not met with
        more requests."""
        if not strangers:
            return
        assert self.contacts is not None
        at, before, found = await latest_change(self.redis, self.names), self.searches, list[tuple[str, int]]()
        try:
            async with asyncio.TaskGroup() as tasks:
                for person in strangers:
                    tasks.create_task(self._search(person, found))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        finally:
            if not is_whole:
                await self.contacts.index.searched(self.searches - before)
        await self.contacts.index.add(found)
        await self._hold_found([one for one in strangers if one.contact_id is not None], at)

    async def _search(self, person: Person, found: list[tuple[str, int]]) -> None:
        for key in person.keys:
            async with self._turn:
                holders = await self._searched(key)
            if holders:
                person.take(holders[0])
                ids = [int(one["id"]) for one in holders]
                self._notice_twins(ids)
                found += [(key, one) for one in ids]
                return

    async def _searched(self, key: str) -> list[dict[str, Any]]:
        """The contacts that hold a contact key, the oldest first."""
        assert self.client is not None
        self.searches += 1
        kind, _, value = key.partition(":")
        hits = await self.client.search("contacts", last_digits(value) if kind == "phone" else value)
        return sorted((one for one in hits if self._holds(one, key)), key=lambda one: int(one["id"]))

    async def _hold_found(self, people: Sequence[Person], at: str) -> None:
        """Hold contacts that searches brought; where one of us has changed any since `at`, they are read again."""
        ids = [one.contact_id for one in people if one.contact_id is not None]
        await self._hold(ids)
        if self.claims is None or not ids or at == await latest_change(self.redis, self.names):
            return
        bodies = await self._read(ids)
        for person in people:
            person.body = bodies.get(person.contact_id or 0)


def _keys_of_strangers(people: Iterable[Person]) -> list[str]:
    """The contact keys of people whose contact nobody knows, each once."""
    return list(dict.fromkeys(key for one in people if one.contact_id is None for key in one.keys))
