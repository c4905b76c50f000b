"""People: which records are one person. Pure: what is known of phones and e-mails is handed in.

Two contacts that we know apart stay apart, even when one record holds the phone of one and the e-mail of the other: the
record belongs to whom it names first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from leadsync.state.links import Link
from leadsync.sync.resolve import WantedContact


@dataclass(frozen=True, slots=True)
class Member:
    """One record's wish for a contact."""

    key: str
    wanted: WantedContact
    link: Link


@dataclass(slots=True)
class Person:
    """Records of one person, and the contact they are: an id, or the key of the record whose plan creates it.

    `body` is the contact as amoCRM shows it, where it was read. `foreign` are contact keys of its records that belong
    to somebody else; `was_lost` says that the contact we remembered is gone.
    """

    members: list[Member]
    contact_id: int | None = None
    promised_by: str | None = None
    body: dict[str, Any] | None = None
    foreign: set[str] = field(default_factory=set)
    was_lost: bool = False

    @property
    def keys(self) -> list[str]:
        """Every contact key of every member, each once, in their order."""
        return list(dict.fromkeys(key for member in self.members for key in member.wanted.keys))

    def take(self, body: dict[str, Any]) -> None:
        """Be the contact that was found."""
        self.contact_id, self.body = int(body["id"]), body

    def lose(self) -> None:
        """Be nobody again: the contact is no longer in the CRM."""
        self.contact_id, self.was_lost = None, True


def group(members: Sequence[Member], known: Mapping[str, int]) -> list[Person]:
    """People among the records: by remembered contact, by what `known` says of contact keys, then by shared keys."""
    by_id: dict[int, Person] = {}
    strangers: list[Member] = []
    for member in members:
        contact_id = member.link.contact_id or next((known[key] for key in member.wanted.keys if key in known), None)
        if contact_id is None:
            strangers.append(member)
        else:
            by_id.setdefault(contact_id, Person([], contact_id)).members.append(member)
    owners: dict[str, Person] = {}
    for person in by_id.values():
        person.foreign = {key for key in person.keys if known.get(key, person.contact_id) != person.contact_id}
        for key in person.keys:
            if key not in person.foreign:
                owners.setdefault(key, person)
    people = list(by_id.values())
    for member in strangers:
        _join(member, owners, people)
    return people


def _join(member: Member, owners: dict[str, Person], people: list[Person]) -> None:
    """Put a record of somebody unknown with whoever shares a key; people not known yet become one through it."""
    touched = list({id(owners[key]): owners[key] for key in member.wanted.keys if key in owners}.values())
    person = next((one for one in touched if one.contact_id is not None), touched[0] if touched else None)
    if person is None:
        person = Person([])
        people.append(person)
    for other in touched:
        if other is not person and other.contact_id is None:
            person.members += other.members
            people.remove(other)
            owners.update(dict.fromkeys(other.keys, person))
    person.members.append(member)
    for key in member.wanted.keys:
        owners.setdefault(key, person)
    person.foreign |= {key for key in member.wanted.keys if owners[key] is not person}


def merge_same(people: Sequence[Person]) -> list[Person]:
    """Join people who turned out to be one contact, so that it is compared and written once."""
    merged: dict[object, Person] = {}
    for person in people:
        same = merged.setdefault(person.contact_id or id(person), person)
        if same is not person:
            same.members += person.members
            same.body = same.body or person.body
            same.foreign |= person.foreign
            same.was_lost = same.was_lost or person.was_lost
    return list(merged.values())
