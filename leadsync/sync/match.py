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
from leadsync.state.links import Link
from leadsync.state.namespace import Namespace
from leadsync.state.people import load_people
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


@dataclass(slots=True)
class Matcher:
    """Finds the contacts of many records at once.

    `promises` is filled by a plan that is not applied: which record would create the contact of a contact key.
    """

    client: AmoCRMClient | None
    redis: Redis
    names: Namespace
    country: str
    promises: dict[str, str] | None = None
    searches: int = 0
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(8))

    async def people(self, members: Sequence[Member]) -> list[Person]:
        """Group records by person and say which contact each is. Raises AmoCRMAPIError, StateUnavailable."""
        people = group(members)
        known = await load_people(self.redis, self.names, [key for one in people for key in one.keys])
        strangers = []
        for person in people:
            person.contact_id = self._remembered(person, known)
            if person.contact_id is None:
                strangers.append(person)
        if self.client is not None:
            await asyncio.gather(*map(self._search, strangers))
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

    async def _search(self, person: Person) -> None:
        for key in person.keys:
            async with self._turn:
                found = await self._find(key)
            if found is not None:
                person.contact_id, person.body, person.found_by = int(found["id"]), found, key
                return

    async def _find(self, key: str) -> dict[str, Any] | None:
        assert self.client is not None
        self.searches += 1
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
