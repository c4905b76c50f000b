"""Checked drafts become entities: creation, change, tags, links, and the merging of `leads/complex`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .account import Account
from .drafts import Draft, TagRef
from .entities import Entity, digits_of, phone_values
from .settings import LOST, WON

_CLOSED = (WON, LOST)
_MOST_HITS = 3


def create(account: Account, draft: Draft, by: int) -> Entity:
    """A new entity, with the defaults amoCRM fills in; `by` is the acting user's id."""
    id, now = account.next_id(draft.kind), account.now()
    facts: dict[str, Any] = {
        "name": f"Сделка #{id}" if draft.kind == "leads" else _full_name(draft),
        "responsible_user_id": by,
        "group_id": 0,
        "created_by": by,
        "updated_by": by,
        "created_at": now,
        "updated_at": now,
        "closest_task_at": None,
        "is_deleted": False,
    }
    if draft.kind == "leads":
        facts.update(price=0, loss_reason_id=None, closed_at=None, score=None, labor_cost=None)
    if draft.kind == "contacts":
        facts.update(first_name="", last_name="", is_unsorted=draft.is_unsorted)
    facts.update((key, value) for key, value in draft.facts.items() if key != "name" or value)
    if facts.get("status_id") in _CLOSED and facts["closed_at"] is None:
        facts["closed_at"] = now
    values = {id: list(sent) for id, sent in draft.values.items() if sent}
    entity = Entity(draft.kind, id, facts, values, born=account.clock())
    _retag(account, entity, draft)
    account.put(entity)
    _link_all(account, entity, draft)
    return entity


def change(account: Account, entity: Entity, draft: Draft, by: int) -> Entity:
    """An existing entity with what was sent: a custom field that was sent has all its values replaced."""
    facts, now = entity.facts, account.now()
    was = facts.get("status_id")
    facts.update(draft.facts)
    if entity.kind == "contacts" and "name" not in draft.facts and draft.facts.keys() & {"first_name", "last_name"}:
        facts["name"] = f"{facts['first_name']} {facts['last_name']}".strip()
    if facts.get("status_id") != was and "closed_at" not in draft.facts:
        facts["closed_at"] = now if facts["status_id"] in _CLOSED else None
    if facts.get("status_id") != LOST and entity.kind == "leads":
        facts["loss_reason_id"] = None
    facts["updated_at"] = draft.facts.get("updated_at", now)
    facts["updated_by"] = draft.facts.get("updated_by", by)
    for field_id, sent in draft.values.items():
        entity.values.pop(field_id, None)
        if sent:
            entity.values[field_id] = list(sent)
    _retag(account, entity, draft)
    account.put(entity)
    return entity


def _full_name(draft: Draft) -> str:
    return f"{draft.facts.get('first_name', '')} {draft.facts.get('last_name', '')}".strip()


def _retag(account: Account, entity: Entity, draft: Draft) -> None:
    """`_embedded.tags` replaces the set, and an empty list clears it; the other two add and take away."""
    if draft.tags is not None:
        entity.tags = []
    for ref in [*(draft.tags or ()), *draft.tags_to_add]:
        id = ref.id if ref.id is not None else account.tag(entity.kind, ref.name or "").id
        if id not in entity.tags:
            entity.tags.append(id)
    gone = {_tag_id(account, entity.kind, ref) for ref in draft.tags_to_delete}
    entity.tags = [id for id in entity.tags if id not in gone]


def _tag_id(account: Account, kind: str, ref: TagRef) -> int | None:
    if ref.id is not None:
        return ref.id
    tag = account.tag_named(kind, ref.name or "")
    return tag.id if tag else None


def _link_all(account: Account, entity: Entity, draft: Draft) -> None:
    end = (entity.kind, entity.id)
    for id, is_main in draft.contacts:
        account.link(end, ("contacts", id), is_main)
    for id in draft.companies:
        account.link(end, ("companies", id))


@dataclass(slots=True)
class Compound:
    """One row of complex's answer; several request_ids when several items ended in the same lead."""

    lead_id: int
    contact_id: int | None
    company_id: int | None
    request_ids: list[str] = field(default_factory=list)
    merged: bool = False


def create_complex(account: Account, drafts: list[Draft], by: int, *, merge: bool) -> list[Compound]:
    """Leads with their contacts and companies; with `merge` a lead goes into the open one of the same person.

    Items are compared with what the account held before the request, never with each other (amoCRM docs: leads-api).
    """
    into = [_open_lead_of_same_person(account, draft) if merge else None for draft in drafts]
    rows: dict[int, Compound] = {}
    for draft, found in zip(drafts, into, strict=True):
        made = _merge(account, draft, found, by) if found else _create_compound(account, draft, by)
        row = rows.setdefault(made.lead_id, made)
        row.request_ids.append(draft.request_id)
    return list(rows.values())


def _create_compound(account: Account, draft: Draft, by: int) -> Compound:
    if draft.is_unsorted:
        pipeline = account.pipelines[draft.facts["pipeline_id"]]
        draft.facts["status_id"] = pipeline.unsorted.id
    contact_id, company_id = _create_parts(account, draft, by)
    draft.contacts = [(contact_id, True)] if contact_id else []
    draft.companies = [company_id] if company_id else []
    lead = create(account, draft, by)
    return Compound(lead.id, contact_id, company_id)


def _create_parts(account: Account, draft: Draft, by: int) -> tuple[int | None, int | None]:
    contact_id = draft.contacts[0][0] if draft.contacts else None
    company_id = draft.companies[0] if draft.companies else None
    if draft.contact is not None:
        draft.contact.is_unsorted = draft.is_unsorted
        contact_id = create(account, draft.contact, by).id
    if draft.company is not None:
        company_id = create(account, draft.company, by).id
    if contact_id and company_id and (draft.contact or draft.company):
        account.link(("contacts", contact_id), ("companies", company_id))
    return contact_id, company_id


def _open_lead_of_same_person(account: Account, draft: Draft) -> Entity | None:
    """Duplicate control: the open lead in the same pipeline whose main contact shares a phone or an e-mail."""
    if draft.contact is None:
        return None
    marks = _marks(account, Entity("contacts", 0, {}, draft.contact.values))
    hits = [contact for contact in account.contacts if marks & _marks(account, contact)] if marks else []
    if not 0 < len(hits) <= _MOST_HITS:
        return None
    for contact in hits:
        for (_, lead_id), link in account.links.of(("contacts", contact.id), "leads"):
            lead = account.leads[lead_id]
            same = lead.facts["pipeline_id"] == draft.facts["pipeline_id"]
            if link.is_main and same and lead.facts["status_id"] not in _CLOSED:
                return lead
    return None


def _marks(account: Account, contact: Entity) -> set[str]:
    fields = account.fields["contacts"]
    phones = {digits_of(value)[-10:] for value in phone_values(contact, fields, "PHONE")}
    return (phones | {value.lower() for value in phone_values(contact, fields, "EMAIL")}) - {""}


def _merge(account: Account, draft: Draft, lead: Entity, by: int) -> Compound:
    """The found lead is changed; phones and e-mails are appended to its main contact's."""
    for key in ("pipeline_id", "status_id"):
        draft.facts.pop(key, None)
    change(account, lead, draft, by)
    contacts = account.links.of(("leads", lead.id), "contacts")
    contact = account.contacts[next(id for (_, id), link in contacts if link.is_main)]
    assert draft.contact is not None
    fields = account.fields["contacts"]
    for code in ("PHONE", "EMAIL"):
        definition = fields.coded(code)
        if definition and (sent := draft.contact.values.pop(definition.id, None)):
            old = contact.values.get(definition.id, [])
            known = {value["value"] for value in old}
            draft.contact.values[definition.id] = old + [value for value in sent if value["value"] not in known]
    change(account, contact, draft.contact, by)
    companies = account.links.of(("leads", lead.id), "companies")
    return Compound(lead.id, contact.id, companies[0][0][1] if companies else None, merged=True)
