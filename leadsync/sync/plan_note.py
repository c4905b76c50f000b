"""Plan of a note: what is new in a talk, in as many parts as its length needs. Pure: no clock, no network."""

from __future__ import annotations

from leadsync.state.links import Link, link_hash
from leadsync.sync.changes import Change, FieldChange, Route, Step, digest
from leadsync.sync.payload import request_id, split_note


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
