"""Plan of a lead: made, brought up to date, or tied to its contact. Pure: no clock, no network."""

from __future__ import annotations

from typing import Any

from leadsync.state.facts import NEW_ID, Fact
from leadsync.state.links import Link, link_hash
from leadsync.sync.changes import Change, Route, Step, lead_ref
from leadsync.sync.compare import Current
from leadsync.sync.comparison import Comparison, Wrote
from leadsync.sync.payload import put, request_id
from leadsync.sync.planned import Planned, created_fields, made_fact, new_list_facts, wrote_facts
from leadsync.sync.resolve import WantedLead


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
    facts: list[Fact] = [(name, "lead", NEW_ID), (name, "said_lead", wanted.said), made_fact("lead", key)]
    if contact is not None:
        facts.append((name, "linked", str(contact)))
    facts += wrote_facts("lead", NEW_ID, wanted.values, key) + new_list_facts("lead", wanted)
    change = Change(key, "lead", "create", None, "new talk", created_fields(wanted), payload)
    return Planned(Step(change, Route.CREATE_LEADS, tuple(facts)), (), lead_ref(key))


def plan_known_lead(key: str, wanted: WantedLead, current: Current, wrote: Wrote) -> Planned:
    """A lead that exists: our own values follow the record, what a person changed stays."""
    lead_id = int(current.body["id"])
    payload: dict[str, Any] = {"id": lead_id, "request_id": request_id("lead", key)}
    compared = Comparison("lead", lead_id, current, wrote)
    put(payload, [one for one in wanted.values if compared.sets(one, key)])
    compared.tags(payload, wanted.tags, wanted.origins, key)
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
