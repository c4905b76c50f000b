"""Leads, contacts, companies and notes as the account keeps them, and as the API shows them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .fields import FieldBook

KINDS = ("leads", "contacts", "companies")
SINGULAR = {"leads": "Lead", "contacts": "Contact", "companies": "Company"}

_PERSON = ("responsible_user_id", "group_id")
_TIMES = ("created_by", "updated_by", "created_at", "updated_at")
SHOWN: dict[str, tuple[str, ...]] = {
    "leads": (
        *("id", "name", "price", *_PERSON, "status_id", "pipeline_id", "loss_reason_id", *_TIMES, "closed_at"),
        *("closest_task_at", "is_deleted", "custom_fields_values", "score", "account_id", "labor_cost"),
    ),
    "contacts": (
        *("id", "name", "first_name", "last_name", *_PERSON, *_TIMES, "closest_task_at", "is_deleted"),
        *("is_unsorted", "custom_fields_values", "account_id"),
    ),
    "companies": (
        *("id", "name", *_PERSON, *_TIMES, "closest_task_at", "is_deleted", "custom_fields_values", "account_id"),
    ),
}

_NOT_DIGIT = re.compile(r"\D+")


@dataclass(slots=True)
class Entity:
    """One lead, contact or company.

    `facts` are the plain attributes, `values` the filled custom fields as they read back (field id → values), `tags`
    tag ids, `born` the clock's time of creation; `words` and `digits` are prepared for the search.
    """

    kind: str
    id: int
    facts: dict[str, Any]
    values: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    tags: list[int] = field(default_factory=list)
    born: float = 0.0
    words: str = ""
    digits: str = ""

    def prepare(self, fields: FieldBook) -> None:
        """Prepares the text the search looks into: names and filled values; digits of phones on their own."""
        texts = [str(self.facts.get(key) or "") for key in ("name", "first_name", "last_name")]
        phones: list[str] = []
        for field_id, values in self.values.items():
            texts.extend(str(value.get("value")) for value in values)
            definition = fields.get(field_id)
            if definition is not None and definition.code == "PHONE":
                phones.extend(_NOT_DIGIT.sub("", value["value"]) for value in values)
        self.words = "\n".join(texts).casefold()
        self.digits = "\n".join(phones)

    def stored(self) -> dict[str, Any]:
        """What is kept in the content file."""
        values = {str(field_id): value for field_id, value in self.values.items()}
        return {"facts": self.facts, "values": values, "tags": self.tags, "born": self.born}

    @classmethod
    def restored(cls, kind: str, id: int, stored: Mapping[str, Any]) -> Entity:
        """The entity that `stored` wrote down, not yet prepared for the search."""
        values = {int(field_id): value for field_id, value in stored["values"].items()}
        return cls(kind, id, stored["facts"], values, stored["tags"], stored["born"])

    def shown_values(self, fields: FieldBook) -> list[dict[str, Any]] | None:
        """`custom_fields_values` as read: filled fields only, None when there is none."""
        known = [(definition, values) for id, values in self.values.items() if (definition := fields.get(id))]
        known.sort(key=lambda pair: pair[0].sort)
        return [
            {
                "field_id": definition.id,
                "field_name": definition.name,
                "field_code": definition.code,
                "field_type": definition.type,
                "values": values,
            }
            for definition, values in known
        ] or None

    def shown(self, fields: FieldBook, account_id: int) -> dict[str, Any]:
        """The entity as read, but for `_links` and `_embedded`."""
        facts = self.facts
        body = {key: facts.get(key) for key in SHOWN[self.kind]}
        body["id"] = self.id
        body["account_id"] = account_id
        body["custom_fields_values"] = self.shown_values(fields)
        return body


@dataclass(slots=True)
class Note:
    """A note of one entity; `facts` hold created_by, updated_by, created_at, updated_at, note_type and params."""

    kind: str
    id: int
    entity_id: int
    facts: dict[str, Any]

    def stored(self) -> dict[str, Any]:
        """What is kept in the content file."""
        return {"kind": self.kind, "entity_id": self.entity_id, "facts": self.facts}

    def shown(self, account_id: int) -> dict[str, Any]:
        """The note as read, but for `_links`."""
        keys = ("created_by", "updated_by", "created_at", "updated_at", "responsible_user_id", "group_id")
        body: dict[str, Any] = {"id": self.id, "entity_id": self.entity_id}
        body.update((key, self.facts.get(key)) for key in keys)
        body.update(note_type=self.facts["note_type"], params=self.facts["params"], account_id=account_id)
        body["is_pinned"] = bool(self.facts.get("is_pinned"))
        return body


def digits_of(text: str) -> str:
    """Only the digits of a text."""
    return _NOT_DIGIT.sub("", text)


def phone_values(entity: Entity, fields: FieldBook, code: str) -> Iterable[str]:
    """The values of the field with that code (`PHONE`, `EMAIL`) of one entity."""
    definition = fields.coded(code)
    return [value["value"] for value in entity.values.get(definition.id, [])] if definition else []
