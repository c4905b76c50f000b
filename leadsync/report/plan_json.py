"""A plan as one JSON document: `dry-run --format json`.

format_version  1
source          the source's name
summary         {"records", "create", "update", "unchanged", "skipped", "failed"}: records by what becomes of them
changes         every item that a run would send, in the order of the records:
  key           the record's key
  entity        "contact" | "lead" | "note" | "link" (a contact tied to a lead that exists)
  action        "create" | "update"
  id            of the contact or lead that is updated, null for what is created
  reason        why, in a few words
  fields        [{"name", "before", "after", "why", "origin"}]: the values as people read them; `before` is null
                where nothing stood; `origin` is {"expression", "file", "line", "message"} or null, and `message`
                the number (from 1, in the whole talk) of the message that gave the value, or null
  payload       exactly the item that is sent, but that ids which do not exist yet are references: "@contact:KEY",
                "@lead:KEY" stand for what the record KEY creates
kept            values that stay though the record wants others: {"key", "entity", "id", "name", "now", "wanted",
                "why", "by", "at", "origin"}; `by` and `at` (unix seconds) are the last change of the entity
joined          records that go into a lead which is there: {"key", "lead", "reason"}; `lead` is an id or "@lead:KEY"
reasons         {KEY: why nothing is done for a record where one might expect it}
refused         {"key", "place", "field", "reason", "do", "where"}: records that cannot go on
warnings        sentences
missing         {"metadata.city": 5}: in how many records a key of the data was missing that their mapping reads
cost            {"requests", "seconds", "reads", "writes", "lookups"}: what a run would ask of amoCRM; `lookups` is how
                people were found: {"pages", "searches"}, pages of the account's contacts and searches of it
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from leadsync.mapping.desired import Origin
from leadsync.sync.changes import Change, FieldChange, Kept, Outcome
from leadsync.sync.results import Plan

COUNTED: tuple[Outcome, ...] = ("create", "update", "unchanged", "skipped", "failed")


def plan_json(plan: Plan, *, requests_per_second: float) -> dict[str, Any]:
    """The plan as plain data; its shape is told at the top of this file."""
    return {
        "format_version": 1,
        "source": plan.source,
        "summary": {"records": plan.records, **{name: plan.outcomes[name] for name in COUNTED}},
        "changes": [change_json(one) for one in plan.changes],
        "kept": [kept_json(one) for one in plan.kept],
        "joined": [asdict(one) for one in plan.joined],
        "reasons": plan.reasons,
        "refused": [asdict(one) for one in plan.refused],
        "warnings": plan.warnings,
        "missing": plan.missing,
        "cost": {
            "requests": plan.requests,
            "seconds": round(plan.requests / requests_per_second, 1),
            "reads": plan.reads,
            "writes": plan.writes,
            "lookups": asdict(plan.lookups),
        },
    }


def change_json(change: Change) -> dict[str, Any]:
    """One change; `payload` is the item that is sent."""
    return {
        "key": change.key,
        "entity": change.entity,
        "action": change.action,
        "id": change.id,
        "reason": change.reason,
        "fields": [field_json(one) for one in change.fields],
        "payload": sent(change),
    }


def sent(change: Change) -> dict[str, Any]:
    """The item as it goes over the wire: a link has no request_id there."""
    return {name: value for name, value in change.payload.items() if change.entity != "link" or name != "request_id"}


def field_json(field: FieldChange) -> dict[str, Any]:
    """One value of a change."""
    return {
        "name": field.name,
        "before": field.before,
        "after": field.after,
        "why": field.why,
        "origin": origin_json(field.origin),
    }


def kept_json(kept: Kept) -> dict[str, Any]:
    """A value that stays."""
    return asdict(kept) | {"origin": origin_json(kept.origin)}


def origin_json(origin: Origin | None) -> dict[str, Any] | None:
    """Where a value comes from."""
    if origin is None:
        return None
    place = origin.place
    return {"expression": origin.expression, "file": place.file, "line": place.line, "message": origin.message}
