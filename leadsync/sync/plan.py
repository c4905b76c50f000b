"""Plan: from what is wanted, remembered and there now to the changes. Pure: no clock, no network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leadsync.mapping.contact_keys import email_key, phone_key
from leadsync.state.facts import NEW_ID, Fact
from leadsync.state.links import Link, link_hash, wrote_hash
from leadsync.state.people import PEOPLE
from leadsync.sync.changes import Change, FieldChange, Route, Step, contact_ref, digest, lead_ref
from leadsync.sync.compare import Current, compare, mark
from leadsync.sync.payload import put, put_multitext, request_id, split_note
from leadsync.sync.people import Member, Person
from leadsync.sync.resolve import Value, WantedContact, WantedLead

Wrote = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Planned:
    """What one part of a plan came to: at most one step, facts that hold without it, and which entity it is about.

    `entity` is an id, a reference to what a plan creates, or None when there is none; `relink` says that it took the
    place of a contact that is gone.
    """

    step: Step | None = None
    facts: tuple[Fact, ...] = ()
    entity: int | str | None = None
    relink: bool = False


def people_facts(keys: Iterable[str], contact_id: int | str) -> list[Fact]:
    """These contact keys belong to this contact."""
    return [(PEOPLE, key, str(contact_id)) for key in keys]


def _member_facts(member: Member, contact_id: int | str) -> list[Fact]:
    name = link_hash(member.key)
    return [(name, "contact", str(contact_id)), (name, "said_contact", member.wanted.said)]


def _wrote_facts(entity: str, entity_id: int | str, values: Iterable[Value], key: str) -> list[Fact]:
    return [(wrote_hash(entity, entity_id), one.slot, mark(one, key)) for one in values]


def _made_fact(entity: str, key: str) -> Fact:
    """An entity of ours is never empty in our memory: a recovery must not take it for a stranger's."""
    return (wrote_hash(entity, NEW_ID), "made", digest(key))


def _tag_facts(entity: str, entity_id: int | str, tags: Iterable[str]) -> list[Fact]:
    return [(wrote_hash(entity, entity_id), f"tag:{one}", "1") for one in tags]


def _created(values: Sequence[Value], **lists: Sequence[str]) -> tuple[FieldChange, ...]:
    shown = [FieldChange(one.label, None, one.shown) for one in values]
    return tuple(shown + [FieldChange(name, None, ", ".join(texts)) for name, texts in lists.items() if texts])


def merged_wish(members: Sequence[Member]) -> tuple[WantedContact, dict[str, str]]:
    """What several records of one person want together, and which record each value comes from (by slot).

    Phones, e-mails and tags add up; of everything else the first record that says something wins.
    """
    values: dict[str, Value] = {}
    owners: dict[str, str] = {}
    for member in members:
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
    ), owners


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
    facts = [*people_facts(wish.keys, NEW_ID), _made_fact("contact", key)]
    facts += _tag_facts("contact", NEW_ID, wish.tags)
    for value in wish.values:
        facts += _wrote_facts("contact", NEW_ID, [value], owners[value.slot])
    for member in person.members:
        facts += _member_facts(member, NEW_ID)
    fields = _created(wish.values, phone=wish.phones, email=wish.emails, tags=wish.tags)
    change = Change(key, "contact", "create", None, "new person", fields, payload)
    return Planned(Step(change, Route.CREATE_CONTACTS, tuple(facts)), (), contact_ref(key))


def plan_known_contact(person: Person, current: Current, wrote: Wrote, country: str) -> Planned:
    """A contact that exists: phones and e-mails are added, empty values filled, our own values follow the record."""
    contact_id = int(current.body["id"])
    wish, owners = merged_wish([one for one in person.members if one.wanted.said != one.link.said_contact])
    payload: dict[str, Any] = {"id": contact_id, "request_id": request_id("contact", person.members[0].key)}
    compared = _Comparison("contact", contact_id, current, wrote)
    put(payload, [one for one in wish.values if compared.sets(one, owners[one.slot])])
    phones, emails = (_own(person, "phone", wish.phones), _own(person, "email", wish.emails))
    for code, name, added in (
        ("PHONE", "phone", _missing(phones, current, "PHONE", country)),
        ("EMAIL", "email", _missing(emails, current, "EMAIL", country)),
    ):
        put_multitext(payload, code, current.values(code), added)
        compared.added(name, [str(one["value"]) for one in current.values(code)], added)
    compared.tags(payload, wish.tags)
    facts = compared.facts + people_facts([key for key in wish.keys if key not in person.foreign], contact_id)
    for member in person.members:
        facts += _member_facts(member, contact_id)
    return compared.planned(payload, facts, Route.UPDATE_CONTACTS, person.members[0].key)


def _own(person: Person, kind: str, texts: Sequence[str]) -> list[str]:
    """Phones or e-mails that are not somebody else's."""
    return [one for one in texts if f"{kind}:{one}" not in person.foreign]


def _missing(wanted: Iterable[str], current: Current, code: str, country: str) -> list[str]:
    texts = [str(one["value"]) for one in current.values(code)]
    there = {phone_key(one, country) if code == "PHONE" else email_key(one) for one in texts}
    return [one for one in wanted if one not in there]


def plan_new_lead(key: str, wanted: WantedLead, contact: int | str | None) -> Planned:
    """A lead for a key that has none; `contact` is an id or a reference, None for a lead that stands alone."""
    payload: dict[str, Any] = {"request_id": request_id("lead", key)}
    put(payload, wanted.values)
    embedded: dict[str, Any] = {}
    if wanted.tags:
        embedded["tags"] = [{"name": one} for one in wanted.tags]
    if contact is not None:
        embedded["contacts"] = [{"id": contact, "is_main": True}]
    if embedded:
        payload["_embedded"] = embedded
    name = link_hash(key)
    facts: list[Fact] = [(name, "lead", NEW_ID), (name, "said_lead", wanted.said), _made_fact("lead", key)]
    if contact is not None:
        facts.append((name, "linked", str(contact)))
    facts += _wrote_facts("lead", NEW_ID, wanted.values, key) + _tag_facts("lead", NEW_ID, wanted.tags)
    change = Change(key, "lead", "create", None, "new talk", _created(wanted.values, tags=wanted.tags), payload)
    return Planned(Step(change, Route.CREATE_LEADS, tuple(facts)), (), lead_ref(key))


def plan_known_lead(key: str, wanted: WantedLead, current: Current, wrote: Wrote) -> Planned:
    """A lead that exists: our own values follow the record, what a person changed stays."""
    lead_id = int(current.body["id"])
    payload: dict[str, Any] = {"id": lead_id, "request_id": request_id("lead", key)}
    compared = _Comparison("lead", lead_id, current, wrote)
    put(payload, [one for one in wanted.values if compared.sets(one, key)])
    compared.tags(payload, wanted.tags)
    facts = [*compared.facts, (link_hash(key), "said_lead", wanted.said)]
    return compared.planned(payload, facts, Route.UPDATE_LEADS, key)


def plan_link(key: str, link: Link, person: Planned) -> Planned:
    """A contact that appeared after its lead: linked by a call of its own, since PATCH ignores embedded contacts.

    A lead that has our contact keeps it; one whose contact is gone (deleted, or merged) gets the one in its place.
    """
    contact = person.entity
    if link.lead_id is None or contact is None or (link.linked is not None and not person.relink):
        return Planned()
    payload = {
        "request_id": request_id("link", key),
        "entity_id": link.lead_id,
        "to_entity_id": contact,
        "to_entity_type": "contacts",
        "metadata": {"is_main": True},
    }
    change = Change(key, "link", "create", None, "the talk's contact appeared", (), payload)
    return Planned(Step(change, Route.LINK_LEADS, ((link_hash(key), "linked", str(contact)),)))


def plan_note(key: str, link: Link, text: str, noted: str, entity: int | str, *, on_lead: bool) -> list[Step]:
    """The note with what is new in the talk, in as many parts as its length needs, without those already accepted."""
    whole = digest(f"{noted}\n{text}")  # the same words said again later are another note
    parts = split_note(text)
    steps = []
    for number, part in enumerate(parts, 1):
        last = number == len(parts)
        if not last and link.parts.get(number) == whole:
            continue
        payload = {
            "request_id": request_id("note", key, number if len(parts) > 1 else 0),
            "entity_id": entity,
            "note_type": "common",
            "params": {"text": part},
        }
        fact = (link_hash(key), "noted", noted) if last else (link_hash(key), f"part{number}", whole)
        reason = "new messages" if link.noted else "the talk"
        change = Change(key, "note", "create", None, reason, (FieldChange("text", None, part),), payload)
        steps.append(Step(change, Route.NOTE_LEADS if on_lead else Route.NOTE_CONTACTS, (fact,)))
    return steps


class _Comparison:
    """Collects what an update of one entity sets, keeps and remembers."""

    def __init__(self, entity: str, entity_id: int, current: Current, wrote: Wrote) -> None:
        self.entity, self.id, self.current, self.wrote = entity, entity_id, current, wrote
        self.facts: list[Fact] = []
        self.changed: list[FieldChange] = []
        self.kept: list[FieldChange] = []

    def sets(self, value: Value, key: str) -> bool:
        """Whether the value is to be written."""
        now = self.current.canonical(value.slot)
        wrote = self.wrote.get(value.slot)
        verdict = compare(value, now, wrote, key)
        row = FieldChange(value.label, self.current.shown(value.slot), value.shown)
        if verdict == "kept":
            self.kept.append(row)
        elif verdict == "set":
            self.changed.append(row)
        # What we did not make may hold the same by a person's hand: it is not ours, and never follows the record.
        if verdict == "set" or (verdict == "same" and wrote is None and "made" in self.wrote):
            self.facts += _wrote_facts(self.entity, self.id, [value], key)
        return verdict == "set"

    def added(self, name: str, before: Sequence[str], added: Sequence[str]) -> None:
        """Note phones or e-mails that are added beside those that are there."""
        if added:
            self.changed.append(FieldChange(name, ", ".join(before) or None, ", ".join([*before, *added])))

    def tags(self, payload: dict[str, Any], wanted: Sequence[str]) -> None:
        """Add tags that were never there; one that we set and a person removed stays removed."""
        new = [one for one in wanted if one not in self.current.tags and f"tag:{one}" not in self.wrote]
        if new:
            payload["tags_to_add"] = [{"name": one} for one in new]
            self.changed.append(
                FieldChange("tags", ", ".join(sorted(self.current.tags)) or None, "+ " + ", ".join(new))
            )
        self.facts += _tag_facts(self.entity, self.id, wanted)

    def planned(self, payload: dict[str, Any], facts: list[Fact], route: Route, key: str) -> Planned:
        """The step when something is to be written, else the facts alone."""
        if not self.changed:
            return Planned(None, tuple(facts), self.id)
        entity: Any = self.entity
        kept = tuple(self.kept)
        change = Change(key, entity, "update", self.id, "the record changed", tuple(self.changed), payload, kept)
        return Planned(Step(change, route, tuple(facts)), (), self.id)
