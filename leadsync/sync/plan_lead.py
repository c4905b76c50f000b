"""Plan of a lead: made, brought up to date, or tied to its contact. Pure: no clock, no network.

Several talks may share a lead (`lead.match: open`). Of what they want together the first that says something wins, and
tags add up; a value belongs to the talk that brought it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from leadsync.errors import ValueRefused
from leadsync.mapping.desired import Origin
from leadsync.state.facts import NEW_ID, Fact
from leadsync.state.links import Link, leads_hash, link_hash
from leadsync.sync.changes import Change, Joined, Route, Step, lead_ref
from leadsync.sync.compare import Current
from leadsync.sync.comparison import Comparison, Wrote
from leadsync.sync.key_field import SEPARATOR, holds_key, with_key
from leadsync.sync.payload import put, request_id
from leadsync.sync.planned import Planned, created_fields, made_fact, new_list_facts, wrote_facts
from leadsync.sync.resolve import Resolver, Value, WantedLead

SETTLED = frozenset({"name", "stage", "responsible"})
"""What every lead has from its beginning: nobody expects a talk that joins it to say otherwise."""

JOINS = "a talk joins the lead"

NO_ROOM = (
    "a lead's field for keys has no room for one more talk that joined it: without Redis that talk is not known again; "
    "make the field a textarea, or the keys shorter and without a plus between spaces"
)


@dataclass(frozen=True, slots=True)
class LeadMember:
    """One record's wish for a lead. `contact` is an id, a reference to what a plan creates, or None.

    `joins`: its mapping says `match: open`; `joined` says which lead of others it goes into for the first time.
    """

    key: str
    wanted: WantedLead
    link: Link
    resolver: Resolver
    contact: int | str | None = None
    joins: bool = False
    joined: Joined | None = None


def merged_wish(members: Sequence[LeadMember]) -> tuple[WantedLead, dict[str, str]]:
    """What several records of one lead want together, and which record each value and tag comes from (by slot)."""
    values: dict[str, Value] = {}
    owners: dict[str, str] = {}
    origins: dict[str, Origin] = {}
    for member in members:
        for slot in (f"tag:{one}" for one in member.wanted.tags):
            if owners.setdefault(slot, member.key) == member.key and slot in member.wanted.origins:
                origins.setdefault(slot, member.wanted.origins[slot])
        for value in member.wanted.values:
            if values.setdefault(value.slot, value) is value:
                owners.setdefault(value.slot, member.key)
    tags = dict.fromkeys(one for member in members for one in member.wanted.tags)
    return WantedLead(tuple(values.values()), tuple(tags), origins), owners


def plan_new_lead(members: Sequence[LeadMember]) -> Planned:
    """The lead of a record that has none, and of those that join it at once; with the contact of the first."""
    key, contact = members[0].key, members[0].contact
    wish, owners = merged_wish(members)
    keys, warnings = _with_keys(members, lambda slot: "")
    wish = replace(wish, values=tuple(keys.get(one.slot, one) for one in wish.values))
    payload: dict[str, Any] = {"request_id": request_id("lead", key)}
    put(payload, wish.values)
    embedded: dict[str, Any] = {}
    if wish.tags:
        embedded["tags"] = [{"name": one} for one in wish.tags]
    if contact is not None:
        embedded["contacts"] = [{"id": contact, "is_main": True}]
    if embedded:
        payload["_embedded"] = embedded
    facts = _new_facts(members, wish, owners)
    change = Change(key, "lead", "create", None, "new talk", created_fields(wish), payload)
    return Planned(Step(change, Route.CREATE_LEADS, tuple(facts)), (), lead_ref(key), warnings=warnings)


def _new_facts(members: Sequence[LeadMember], wish: WantedLead, owners: Mapping[str, str]) -> list[Fact]:
    """Whose lead it is, and what of it is whose."""
    first, facts = members[0], list[Fact]()
    for member in members:
        name = link_hash(member.key)
        facts += [(name, "lead", NEW_ID), (name, "said_lead", member.wanted.said)]
        if first.contact is not None:
            facts.append((name, "linked", str(first.contact)))
    facts.append(made_fact("lead", first.key))
    for value in wish.values:
        facts += wrote_facts("lead", NEW_ID, [value], owners[value.slot])
    facts += new_list_facts("lead", wish)
    if first.joins and first.contact is not None:
        pipelines = (str(one.wire["pipeline_id"]) for one in wish.values if one.slot == "stage")
        facts.append((leads_hash(first.contact), next(pipelines, "main"), NEW_ID))
    return facts


def plan_known_lead(members: Sequence[LeadMember], current: Current, wrote: Wrote) -> Planned:
    """A lead that exists: our own values follow their records, what a person changed stays.

    The step, when there is one, is of the first record that has a value to set.
    """
    lead_id = int(current.body["id"])
    compared = Comparison("lead", lead_id, current, wrote)
    chosen = _chosen(members, current, compared)
    first = next((key for key, _ in chosen), members[0].key)
    payload: dict[str, Any] = {"id": lead_id, "request_id": request_id("lead", first)}
    put(payload, [value for _, value in chosen])
    wish, owners = merged_wish(members)
    compared.tags(payload, wish.tags, wish.origins, owners)
    silent = [one for one in members if not one.link.said_lead]  # nothing of them was ever accepted, nor their keys
    keys, warnings = _with_keys(silent, lambda slot: current.shown(slot) or "")
    for value in keys.values():
        put(payload, [value])
        compared.writes(value, JOINS, first)
    facts = compared.facts + [(link_hash(one.key), "said_lead", one.wanted.said) for one in members]
    return replace(compared.planned(payload, facts, Route.UPDATE_LEADS, first), warnings=warnings)


def _chosen(members: Sequence[LeadMember], current: Current, compared: Comparison) -> list[tuple[str, Value]]:
    """The values to be set, each slot once, with the key of the record that says so."""
    chosen: dict[str, tuple[str, Value]] = {}
    same: set[str] = set()
    for member, value in ((one, value) for one in members for value in one.wanted.values):
        now = current.canonical(value.slot)
        settled = member.joined is not None and value.slot in SETTLED and now is not None
        if value.slot in chosen or (settled and value.write != "overwrite"):
            continue
        if now == value.canonical:
            if value.slot in same:
                continue  # it is the first one's that says so
            same.add(value.slot)
        if compared.sets(value, member.key):
            chosen[value.slot] = (member.key, value)
    return list(chosen.values())


def _with_keys(
    members: Sequence[LeadMember], text_in: Callable[[str], str]
) -> tuple[dict[str, Value], tuple[str, ...]]:
    """What the fields for keys hold, by slot, once these records' keys are in them; `text_in` is what they hold now.

    A key that does not fit is left out, with a warning: the record goes on all the same.
    """
    found: dict[str, Value] = {}
    warnings: dict[str, None] = {}
    for member in members:
        field = member.resolver.key_field
        if field is None:
            continue
        slot = f"cf:{field.id}"
        text = found[slot].shown if slot in found else text_in(slot)
        if holds_key(text, member.key):
            continue
        value = _fitting(member, text, slot)
        if value is None:
            warnings[NO_ROOM] = None
        else:
            found[slot] = value
    return found, tuple(warnings)


def _fitting(member: LeadMember, text: str, slot: str) -> Value | None:
    if text and SEPARATOR in member.key:
        return None
    origin = next((one.origin for one in member.wanted.values if one.slot == slot), None)
    try:
        return member.resolver.key_value(with_key(text, member.key), origin)
    except ValueRefused:
        return None


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
