"""Moved: what is not any more as a saved plan saw it, said of one record. Pure: what is known is handed in.

A record has not moved when everything that would be sent for it now stands in the plan, too. It may be less: what was
sent already, before a process was killed, is not sent again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from leadsync.report.plan_json import sent
from leadsync.saved_plan.document import SavedChange, SavedField, SavedRecord
from leadsync.state.links import NO_LINK, Link
from leadsync.sync.changes import Change, Kept

REFERENCES = ("id", "entity_id", "to_entity_id")
"""Keys of an item that may hold a reference in place of an id."""


@dataclass(frozen=True, slots=True)
class Now:
    """A record as it would be handled now: `changes` are what would be sent, `talk` the digest of what it says."""

    key: str
    talk: str
    changes: Sequence[Change] = ()
    kept: Sequence[Kept] = ()
    reason: str = ""
    refused: bool = False
    link: Link = NO_LINK


def moved(saved: SavedRecord | None, now: Now | None, ids: Mapping[str, int]) -> list[str]:
    """What moved, each in a few words without a value. `ids` are those of references that exist by now.

    `saved` is None for a record that the plan does not speak of, `now` for one that the source does not hold.
    """
    if now is None:
        return [f"{saved.key} is gone from the source"] if saved is not None else []
    if saved is None:
        return _not_planned(now)
    if saved.talk != now.talk:
        return [f"the talk {now.key} changed"]
    if now.refused:
        return [f"{now.key} cannot go on any more"] if saved.changes else []
    if now.reason and not saved.reason:
        return [f"the lead {now.link.lead_id} was deleted"]
    return list(dict.fromkeys([*_changes(saved, now, ids), *_kept(saved, now)]))


def _not_planned(now: Now) -> list[str]:
    if not (now.changes or now.kept or now.reason):
        return []
    return [f"the talk {now.key} is new" if now.link.lead_id is None else f"the talk {now.key} changed"]


def _changes(saved: SavedRecord, now: Now, ids: Mapping[str, int]) -> Iterator[str]:
    planned = [(one, with_ids(one.payload, ids)) for one in saved.changes]
    for change in now.changes:
        payload = orjson.loads(orjson.dumps(sent(change)))
        fields = _fields(change)
        if not any(_same(change, one) and item == payload and _fits(fields, one) for one, item in planned):
            yield from _said(change, now, next((one for one, _ in planned if _same(change, one)), None))


def _same(change: Change, saved: SavedChange) -> bool:
    return (change.entity, change.action, change.id) == (saved.entity, saved.action, saved.id)


def _fits(fields: list[SavedField], saved: SavedChange) -> bool:
    """Whether the values to be replaced are those that were seen; of what is created nothing was there."""
    return saved.action == "create" or fields == saved.fields


def _fields(change: Change) -> list[SavedField]:
    return [SavedField(name=one.name, before=one.before, after=one.after) for one in change.fields]


def _said(change: Change, now: Now, saved: SavedChange | None) -> Iterator[str]:
    """Why an item that would be sent now is not the one that was planned."""
    if change.action == "update":
        fields, before = _fields(change), saved.fields if saved is not None else []
        names = dict.fromkeys(one.name for one in [*fields, *before] if one not in fields or one not in before)
        for name in names:
            yield _other_value(change.entity, change.id, name)
        if not names:
            yield f"{change.entity} {change.id}: amoCRM holds other values now"
    elif change.entity == "contact" and now.link.contact_id is not None:
        yield f"the contact {now.link.contact_id} was deleted"
    elif saved is None:
        yield f"{now.key}: a {change.entity} would be made that the plan does not hold"
    else:
        yield f"{now.key}: the {change.entity} would be another than the plan says"


def _kept(saved: SavedRecord, now: Now) -> Iterator[str]:
    """Values that somebody has set since."""
    planned = {(one.entity, one.id, one.name, one.now, one.wanted) for one in saved.kept}
    for one in now.kept:
        if (one.entity, one.id, one.name, one.now, one.wanted) not in planned:
            yield _other_value(one.entity, one.id, one.name)


def _other_value(entity: str, entity_id: int | None, name: str) -> str:
    return f"{entity} {entity_id}, «{name}»: amoCRM holds another value now"


def with_ids(payload: Mapping[str, Any], ids: Mapping[str, int]) -> dict[str, Any]:
    """An item with ids in place of those references that exist by now."""
    item = dict(payload)
    for name in REFERENCES:
        if isinstance(item.get(name), str):
            item[name] = ids.get(item[name], item[name])
    embedded = item.get("_embedded")
    if isinstance(embedded, dict) and "contacts" in embedded:
        contacts = [{**one, "id": ids.get(one["id"], one["id"])} for one in embedded["contacts"]]
        item["_embedded"] = {**embedded, "contacts": contacts}
    return item
