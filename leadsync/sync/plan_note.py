"""Plan of a note: what is new in a talk, in as many parts as its length needs. Pure: no clock, no network."""

from __future__ import annotations

from leadsync.mapping.desired import Origin
from leadsync.state.links import Link, link_hash
from leadsync.sync.changes import Change, FieldChange, Route, Step, digest
from leadsync.sync.payload import request_id, split_note
from leadsync.sync.reasons import NEW, why_noted


def plan_note(
    key: str,
    link: Link,
    text: str,
    noted: str,
    entity: int | str,
    *,
    on_lead: bool,
    news: int | None = None,
    origin: Origin | None = None,
) -> list[Step]:
    """The note with what is new in the talk, in as many parts as its length needs, without those already accepted.

    `news` is how many messages are new in it, where that is known; `origin` what in the mapping it is made of.
    """
    whole = digest(f"{noted}\n{text}")  # the same words said again later are another note
    parts = split_note(text)
    reason = why_noted(news, continued=bool(link.noted))
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
        fields = (FieldChange("text", None, part, NEW, origin),)
        change = Change(key, "note", "create", None, reason, fields, payload)
        steps.append(Step(change, Route.NOTE_LEADS if on_lead else Route.NOTE_CONTACTS, (fact,)))
    return steps
