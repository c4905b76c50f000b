"""Payloads: the items as amoCRM takes them, built from typed values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson

from leadsync.sync.changes import digest
from leadsync.sync.resolve import Value

NOTE_LIMIT = 20_000
"""Characters of one note; the 20 001st is refused with TooLong (amocrm-api: notes, one integrator's live test)."""

PART_MARK_ROOM = 20

_digest = lru_cache(maxsize=1024)(digest)
"""A record's items are named one after the other."""


def request_id(entity: str, key: str, part: int = 0) -> str:
    """The name of an item inside its batch: the same in every run, and without personal data."""
    return f"{entity}-{_digest(key)}" + (f"-{part}" if part else "")


def request_of(payload: Mapping[str, Any]) -> str:
    """The call that carries an item, for people: `POST /api/v4/leads`."""
    kind = str(payload["request_id"]).partition("-")[0]
    path = {"contact": "contacts", "lead": "leads", "note": "leads/notes", "link": "leads/link"}[kind]
    return f"{'PATCH' if 'id' in payload else 'POST'} /api/v4/{path}"


def content(payload: Mapping[str, Any]) -> str:
    """A digest of what amoCRM keeps of an item: everything but its request_id."""
    return digest(orjson.dumps({**payload, "request_id": None}, option=orjson.OPT_SORT_KEYS).decode())


def put(payload: dict[str, Any], values: Iterable[Value]) -> None:
    """Write typed values into an item."""
    for value in values:
        if value.slot.startswith("cf:"):
            field = {"field_id": int(value.slot[3:]), "values": value.wire}
            payload.setdefault("custom_fields_values", []).append(field)
        else:
            payload.update(value.wire)


def put_multitext(payload: dict[str, Any], code: str, kept: Sequence[dict[str, Any]], added: Sequence[str]) -> None:
    """Add phones or e-mails beside those that are there: a field that is sent loses all values it had.

    What was read is sent back without empty keys: `enum_code: null` is refused (Krukov/amocrm_api #112).
    """
    if not added:
        return
    before = [{"value": one["value"]} | _enum(one) for one in kept]
    after = [{"value": one, "enum_code": "WORK"} for one in added]
    payload.setdefault("custom_fields_values", []).append({"field_code": code, "values": before + after})


def _enum(value: dict[str, Any]) -> dict[str, Any]:
    if value.get("enum_code"):
        return {"enum_code": value["enum_code"]}
    return {"enum_id": value["enum_id"]} if value.get("enum_id") else {}


def split_note(text: str, limit: int = NOTE_LIMIT) -> list[str]:
    """A text as one or more notes: cut at line ends where possible, numbered `(1/3)`, nothing lost."""
    if len(text) <= limit:
        return [text]
    room = limit - PART_MARK_ROOM
    parts = []
    while text:
        if len(text) <= room:
            parts.append(text)
            break
        cut = text.rfind("\n", 0, room) + 1 or room
        parts.append(text[:cut])
        text = text[cut:]
    return [f"({number}/{len(parts)})\n{part}" for number, part in enumerate(parts, 1)]
