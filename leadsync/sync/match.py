"""Match: who is it? One person becomes one contact, in any spelling of phone or e-mail.

First what we remember about the record, then what we know about its phones and e-mails, then the account's search. The
search is full-text over every field, so a hit counts only when the contact really holds the phone or e-mail
(amocrm-api-php #515: the first hit, unchecked, overwrote a stranger).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from leadsync.amocrm import AmoCRMClient
from leadsync.mapping.contact_keys import last_digits
from leadsync.state.claims import Claims
from leadsync.state.links import Link
from leadsync.state.namespace import Namespace
from leadsync.state.people import latest_change, load_people
from leadsync.sync.resolve import WantedContact, contact_keys_of


@dataclass(frozen=True, slots=True)
class Member:
    """One record's wish for a contact."""

    key: str
    wanted: WantedContact
    link: Link


@dataclass(slots=True)
class Person:
    """Records of one person, and the contact they are: an id, or the key of the record whose plan creates it.

    `body` is the contact as amoCRM shows it, where it was read; `found_by` the contact key that the search verified.
    """

    members: list[Member]
    contact_id: int | None = None
    promised_by: str | None = None
    body: dict[str, Any] | None = None
    found_by: str | None = None

    @property
    def keys(self) -> list[str]:
        """Every contact key of every member, each once, in their order."""
        return list(dict.fromkeys(key for member in self.members for key in member.wanted.keys))

    def take(self, body: dict[str, Any], key: str) -> None:
        """Be the contact that was found to hold a contact key."""
        self.contact_id, self.body, self.found_by = int(body["id"]), body, key


PAGES_PER_SEARCH = 4
"""One page of the contact list is read for so many people who would have to be searched."""


@dataclass(slots=True)
class Matcher:
    """Finds the contacts of many records at once.

    `promises` is filled by a plan that is not applied: which record would create the contact of a contact key. `claims`
    is given where plans are applied: a contact that was found is then this process's until it gives everything back, so
    that nobody else adds a phone to what we have read.
    """

    client: AmoCRMClient | None
    redis: Redis
    names: Namespace
    country: str
    promises: dict[str, str] | None = None
    claims: Claims | None = None
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(8))

    async def people(self, members: Sequence[Member]) -> list[Person]:
        """Group records by person and say which contact each is. Raises AmoCRMAPIError, StateUnavailable."""
        before = await latest_change(self.redis, self.names)
        found = await self._known(members)
        if self.claims is not None:
            await self.claims.wait_for([f"contact:{one.contact_id}" for one in found if one.contact_id is not None])
            if await latest_change(self.redis, self.names) != before:
                for person in found:
                    person.body = None  # perhaps another process has changed it since the search: it is read again
        return found

    async def _known(self, members: Sequence[Member]) -> list[Person]:
        people = group(members)
        known = await load_people(self.redis, self.names, [key for one in people for key in one.keys])
        strangers = []
        for person in people:
            person.contact_id = self._remembered(person, known)
            if person.contact_id is None:
                strangers.append(person)
        if self.client is not None:
            await self._find(strangers)
        for person in strangers:
            self._promise(person)
        return merge_same(people)

    @staticmethod
    def _remembered(person: Person, known: dict[str, int]) -> int | None:
        linked = (member.link.contact_id for member in person.members)
        return next((one for one in linked if one), None) or next(
            (known[key] for key in person.keys if key in known), None
        )

    def _promise(self, person: Person) -> None:
        if person.contact_id is not None or self.promises is None:
            return
        promised = next((self.promises[key] for key in person.keys if key in self.promises), None)
        person.promised_by = promised
        for key in person.keys:
            self.promises.setdefault(key, promised or person.members[0].key)

    async def _find(self, strangers: Sequence[Person]) -> None:
        """Find strangers in the account: by reading its contacts where they are few, else by searching."""
        keys = {key for person in strangers for key in person.keys}
        listed, whole = await self._listed(keys)
        for person in strangers:
            found = next((key for key in person.keys if key in listed), None)
            if found is not None:
                person.take(listed[found], found)
        if not whole:
            await asyncio.gather(*(self._search(one) for one in strangers if one.contact_id is None))

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
                person.take(found, key)
                return

    async def _searched(self, key: str) -> dict[str, Any] | None:
        assert self.client is not None
        kind, _, value = key.partition(":")
        hits = await self.client.search("contacts", last_digits(value) if kind == "phone" else value)
        verified = [one for one in hits if not one.get("is_deleted") and key in contact_keys_of(one, self.country)]
        return min(verified, key=lambda one: int(one["id"]), default=None)


def group(members: Iterable[Member]) -> list[Person]:
    """People among the records: whoever shares a contact key, or a contact remembered, is one person."""
    people: list[Person] = []
    by_key: dict[object, Person] = {}
    for member in members:
        marks: list[object] = list(member.wanted.keys)
        if member.link.contact_id:
            marks.append(member.link.contact_id)
        touched = list({id(by_key[mark]): by_key[mark] for mark in marks if mark in by_key}.values())
        person = touched[0] if touched else Person([])
        if not touched:
            people.append(person)
        for other in touched[1:]:
            person.members += other.members
            people.remove(other)
        person.members.append(member)
        for known in person.members:
            by_key.update(dict.fromkeys(known.wanted.keys, person))
            if known.link.contact_id:
                by_key[known.link.contact_id] = person
    return people


def merge_same(people: Sequence[Person]) -> list[Person]:
    """Join people who turned out to be one contact, so that it is compared and written once."""
    merged: dict[object, Person] = {}
    for person in people:
        same = merged.setdefault(person.contact_id or id(person), person)
        if same is not person:
            same.members += person.members
            same.body = same.body or person.body
    return list(merged.values())
