"""Notes of leads, contacts and companies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.responses import Response

from .account import Account
from .answers import embedded, hal, listed, note_shown, nothing, self_link
from .batches import check_all, cut_at_emoji, items_of, object_of
from .calls import Call
from .drafts import NoteDraft
from .entities import Note
from .note_rules import NoteChecker
from .refusals import Refused, problem
from .replica import Replica
from .selection import Condition, conditions, order_of, paged
from .shelf import ORDERS as SHELF_ORDERS

ORDERS = ("id", "updated_at")


def list_notes(replica: Replica, call: Call) -> Response:
    """`GET /api/v4/{kind}/notes` and `GET /api/v4/{kind}/{id}/notes`."""
    account = replica.account
    page = paged(_chosen(account, call), call)
    return listed(call, "notes", page, lambda note: note_shown(account, call, note))


def _chosen(account: Account, call: Call) -> Iterable[Note]:
    kind, entity_id = call.parts["kind"], call.parts.get("id")
    by, descending = order_of(call, ORDERS)
    notes: Iterable[Note]
    if entity_id is None:
        notes = account.notes[kind].ordered(by, descending)
    else:
        notes = sorted(account.notes_of(kind, entity_id), key=lambda note: _rank(note, by), reverse=descending)
    wanted = [] if call.ignore_filters else _wanted(call)
    return (note for note in notes if all(condition.holds(_value(note, name)) for name, condition in wanted))


def _rank(note: Note, by: str) -> tuple[int, int]:
    return (SHELF_ORDERS[by](note) if by in SHELF_ORDERS else 0, note.id)


def _wanted(call: Call) -> list[tuple[str, Condition]]:
    known = ("id", "entity_id", "note_type", "updated_at")
    return [(name, places[""]) for name, places in conditions(call).items() if name in known and "" in places]


def _value(note: Note, name: str) -> Any:
    return getattr(note, name) if name in ("id", "entity_id") else note.facts[name]


def read_note(replica: Replica, call: Call) -> Response:
    """`GET /api/v4/{kind}/notes/{note_id}`, with or without the entity in the address; 204 when there is none."""
    note = replica.account.notes[call.parts["kind"]].get(call.parts["note_id"])
    return nothing() if note is None else hal(note_shown(replica.account, call, note))


def create_notes(replica: Replica, call: Call) -> Response:
    """`POST …/notes`: all of them or, if one is bad, none."""
    account, kind = replica.account, call.parts["kind"]
    drafts = check_all(_prepared(replica, items_of(call.body)), NoteChecker(account, kind, call.parts.get("id")))
    made = [(draft, _create(account, kind, draft, call.user_id)) for draft in drafts]
    return embedded(
        call,
        "notes",
        [
            {
                "id": note.id,
                "entity_id": note.entity_id,
                "request_id": draft.request_id,
                "_links": self_link(_href(call, note)),
            }
            for draft, note in made
        ],
    )


def _create(account: Account, kind: str, draft: NoteDraft, by: int) -> Note:
    now = account.now()
    facts = {"created_by": by, "updated_by": by, "created_at": now, "updated_at": now, "group_id": 0}
    facts["responsible_user_id"] = account.shelves[kind][draft.entity_id].facts["responsible_user_id"]
    note = Note(kind, account.next_id("notes"), draft.entity_id, {**facts, **draft.facts})
    account.put_note(note)
    return note


def change_notes(replica: Replica, call: Call) -> Response:
    """`PATCH …/notes`: unknown ids answer 400, but the good items are applied."""
    account, kind = replica.account, call.parts["kind"]
    items = _prepared(replica, items_of(call.body))
    drafts = check_all(items, NoteChecker(account, kind, call.parts.get("id"), new=False))
    unknown = {str(draft.id): "Note not found" for draft in drafts if draft.id not in account.notes[kind]}
    changed = [_change(account, kind, draft, call.user_id) for draft in drafts if str(draft.id) not in unknown]
    if unknown:
        raise Refused(400, {"errors": unknown})
    return embedded(call, "notes", [_changed(call, note) for note in changed])


def change_note(replica: Replica, call: Call) -> Response:
    """`PATCH …/notes/{note_id}`: a flat answer, 404 when there is none."""
    account, kind = replica.account, call.parts["kind"]
    item = {**object_of(call.body), "id": call.parts["note_id"]}
    drafts = check_all(_prepared(replica, [item]), NoteChecker(account, kind, call.parts.get("id"), new=False))
    if drafts[0].id not in account.notes[kind]:
        raise problem(404, "Note not found")
    return hal(_changed(call, _change(account, kind, drafts[0], call.user_id)))


def _change(account: Account, kind: str, draft: NoteDraft, by: int) -> Note:
    note = account.notes[kind][draft.id or 0]
    note.facts.update({"updated_at": account.now(), "updated_by": by, **draft.facts})
    account.put_note(note)
    return note


def _changed(call: Call, note: Note) -> dict[str, Any]:
    body = {"id": note.id, "entity_id": note.entity_id, "updated_at": note.facts["updated_at"]}
    return {**body, "_links": self_link(_href(call, note))}


def pin_note(replica: Replica, call: Call) -> Response:
    """`POST …/notes/{note_id}/pin` and `/unpin`: 204."""
    note = replica.account.notes[call.parts["kind"]].get(call.parts["note_id"])
    if note is None:
        raise problem(404, "Note not found")
    note.facts["is_pinned"] = call.path.endswith("/pin")
    replica.account.put_note(note)
    return nothing()


def _href(call: Call, note: Note) -> str:
    return f"{call.base}/api/v4/{note.kind}/{note.entity_id}/notes/{note.id}"


def _prepared(replica: Replica, items: list[Any]) -> list[Any]:
    return cut_at_emoji(items) if replica.switches.cut_at_emoji else items
