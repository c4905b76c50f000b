"""Plan of a contact: one person, made or brought up to date. Pure: no clock, no network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from leadsync.mapping.contact_keys import email_key, phone_key
from leadsync.mapping.desired import Origin
from leadsync.state.facts import NEW_ID, Fact
from leadsync.state.links import link_hash
from leadsync.state.people import PEOPLE
from leadsync.sync.changes import Change, Route, Step, contact_ref
from leadsync.sync.compare import Current
from leadsync.sync.comparison import Comparison, Wrote
from leadsync.sync.payload import put, put_multitext, request_id
from leadsync.sync.people import Member, Person
from leadsync.sync.planned import ListKind, Planned, created_fields, made_fact, new_list_facts, wrote_facts
from leadsync.sync.resolve import Value, WantedContact


def people_facts(keys: Iterable[str], contact_id: int | str) -> list[Fact]:
    """These contact keys belong to this contact."""
    return [(PEOPLE, key, str(contact_id)) for key in keys]


def _member_facts(person: Person, member: Member, contact_id: int | str) -> list[Fact]:
    """Whose contact was lost has a lead that is tied to nobody now, until its link call is made: a process may die
    between the two."""
    name = link_hash(member.key)
    untied = [(name, "linked", "")] if person.was_lost and member.link.linked is not None else []
    return [(name, "contact", str(contact_id)), (name, "said_contact", member.wanted.said), *untied]


def merged_wish(members: Sequence[Member]) -> tuple[WantedContact, dict[str, str]]:
    """What several records of one person want together, and which record each value, phone, e-mail and tag comes from
    (by slot).

    Phones, e-mails and tags add up; of everything else the first record that says something wins.
    """
    values: dict[str, Value] = {}
    owners: dict[str, str] = {}
    origins: dict[str, Origin] = {}
    for member in members:
        for slot in _list_slots(member.wanted):
            if owners.setdefault(slot, member.key) == member.key and slot in member.wanted.origins:
                origins.setdefault(slot, member.wanted.origins[slot])
        for value in member.wanted.values:
            if values.setdefault(value.slot, value) is value:
                owners.setdefault(value.slot, member.key)
    each = [member.wanted for member in members]
    return WantedContact(
        phones=tuple(dict.fromkeys(one for wish in each for one in wish.phones)),
        emails=tuple(dict.fromkeys(one for wish in each for one in wish.emails)),
        keys=tuple(dict.fromkeys(one for wish in each for one in wish.keys)),
        values=tuple(values.values()),
        tags=tuple(dict.fromkeys(one for wish in each for one in wish.tags)),
        origins=origins,
    ), owners


def _list_slots(wish: WantedContact) -> list[str]:
    lists = {"phone": wish.phones, "email": wish.emails, "tag": wish.tags}
    return [f"{kind}:{one}" for kind, texts in lists.items() for one in texts]


def plan_new_contact(person: Person) -> Planned:
    """The contact of somebody whom neither we nor the CRM know."""
    key = person.members[0].key
    wish, owners = merged_wish(person.members)
    payload: dict[str, Any] = {"request_id": request_id("contact", key)}
    put(payload, wish.values)
    put_multitext(payload, "PHONE", [], wish.phones)
    put_multitext(payload, "EMAIL", [], wish.emails)
    if wish.tags:
        payload["_embedded"] = {"tags": [{"name": one} for one in wish.tags]}
    facts = [*people_facts(wish.keys, NEW_ID), made_fact("contact", key)]
    facts += new_list_facts("contact", wish)
    for value in wish.values:
        facts += wrote_facts("contact", NEW_ID, [value], owners[value.slot])
    for member in person.members:
        facts += _member_facts(person, member, NEW_ID)
    change = Change(key, "contact", "create", None, "new person", created_fields(wish), payload)
    return Planned(Step(change, Route.CREATE_CONTACTS, tuple(facts)), (), contact_ref(key))


def plan_known_contact(person: Person, current: Current, wrote: Wrote, country: str) -> Planned:
    """A contact that exists: phones and e-mails are added, empty values filled, our own values follow the record.

    A phone or an e-mail that we wrote and a person removed is not added again.
    """
    contact_id = int(current.body["id"])
    wish, owners = merged_wish([one for one in person.members if one.wanted.said != one.link.said_contact])
    payload: dict[str, Any] = {"id": contact_id, "request_id": request_id("contact", person.members[0].key)}
    compared = Comparison("contact", contact_id, current, wrote)
    changed = [one for one in wish.values if compared.sets(one, owners[one.slot])]
    put(payload, changed + _name_beside(changed, wish.values, current))
    lists: dict[ListKind, tuple[str, ...]] = {"phone": wish.phones, "email": wish.emails}
    for kind, texts in lists.items():
        values = current.values(kind.upper())
        shown = [str(one["value"]) for one in values]
        keys = (phone_key(one, country) if kind == "phone" else email_key(one) for one in shown)
        there = {key for key in keys if key is not None}
        added = compared.adds(kind, _own(person, kind, texts), there, shown, wish.origins, owners)
        put_multitext(payload, kind.upper(), values, added)
    compared.tags(payload, wish.tags, wish.origins, owners)
    facts = compared.facts + people_facts([key for key in wish.keys if key not in person.foreign], contact_id)
    for member in person.members:
        facts += _member_facts(person, member, contact_id)
    return compared.planned(payload, facts, Route.UPDATE_CONTACTS, person.members[0].key)


def _name_beside(changed: Sequence[Value], wanted: Sequence[Value], current: Current) -> list[Value]:
    """The whole name once more when a part of it changes: amoCRM puts the parts together where no name is sent."""
    if not any(one.slot in {"first_name", "last_name"} for one in changed):
        return []
    return [one for one in wanted if one.slot == "name" and one.canonical == (current.canonical("name") or "")]


def _own(person: Person, kind: str, texts: Sequence[str]) -> list[str]:
    """Phones or e-mails that are not somebody else's."""
    return [one for one in texts if f"{kind}:{one}" not in person.foreign]
