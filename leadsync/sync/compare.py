"""Compare, value by value: what the record wants, what we wrote last, what the CRM holds now.

A person's edit wins: a value that is not what we wrote stays, unless the mapping says `overwrite`. A value belongs to
the record that wrote it; other records of the same contact only fill what is empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from zoneinfo import ZoneInfo

from leadsync.amocrm.catalogue import Catalogue
from leadsync.amocrm.field_values import canonical
from leadsync.sync.changes import digest
from leadsync.sync.resolve import Value

Verdict = Literal["same", "set", "kept", "left"]
"""`same`: nothing to do; `set`: write it; `kept`: somebody else's value stays; `left`: only written at creation."""


def mark(value: Value, key: str) -> str:
    """What we remember of a written value: its digest and whose it is."""
    return f"{digest(value.canonical)}:{digest(key)}"


def compare(value: Value, current: str | None, wrote: str | None, key: str) -> Verdict:
    """Decide about one value of an entity that exists; `current` and `wrote` are None when there is nothing."""
    if current == value.canonical:
        return "same"
    if value.write == "overwrite":
        return "set"
    if value.write == "create":
        return "left"
    if wrote is None:
        return "set" if current is None else "kept"
    written, _, owner = wrote.partition(":")
    ours = owner == digest(key) and current is not None and digest(current) == written
    return "set" if ours else "kept"


class Current:
    """An entity as amoCRM shows it, asked by slot."""

    def __init__(
        self, body: Mapping[str, Any], entity: Literal["contacts", "leads"], catalogue: Catalogue, zone: ZoneInfo
    ):
        self.body = body
        self._zone = zone
        self._catalogue = catalogue
        self._entity = entity
        self._fields = {one["field_id"]: one["values"] for one in body.get("custom_fields_values") or []}

    def canonical(self, slot: str) -> str | None:
        """The comparable meaning of what stands in a slot now; None when it is empty."""
        if slot.startswith("cf:"):
            field = self._catalogue.field(self._entity, int(slot[3:]))
            return canonical(field, self._fields.get(field.id), zone=self._zone) or None
        if slot == "stage":
            return f"{self.body['pipeline_id']}:{self.body['status_id']}"
        if slot == "price":
            return str(self.body["price"]) if self.body.get("price") else None
        if slot == "responsible":
            return str(self.body["responsible_user_id"]) if self.body.get("responsible_user_id") else None
        return self.body.get(slot) or None

    def shown(self, slot: str) -> str | None:
        """The same for people: labels instead of ids."""
        if slot.startswith("cf:"):
            values = self._fields.get(int(slot[3:]))
            return ", ".join(str(one.get("value")) for one in values) if values else None
        if slot == "stage":
            return self._stage_name(self.body["pipeline_id"], self.body["status_id"])
        if slot == "responsible":
            return self._user_name(self.body.get("responsible_user_id"))
        return self.canonical(slot)

    def _stage_name(self, pipeline_id: int, status_id: int) -> str:
        for pipeline in self._catalogue.pipelines:
            for status in pipeline.statuses:
                if (pipeline.id, status.id) == (pipeline_id, status_id):
                    return f"{pipeline.name} / {status.name}"
        return f"{pipeline_id} / {status_id}"

    def _user_name(self, user_id: int | None) -> str | None:
        names = (user.name for user in self._catalogue.users if user.id == user_id)
        return next(names, str(user_id)) if user_id else None

    @property
    def tags(self) -> set[str]:
        """The names of its tags."""
        return {one["name"] for one in (self.body.get("_embedded") or {}).get("tags") or []}

    def values(self, field_code: str) -> list[dict[str, Any]]:
        """The raw values of a field named by its code (PHONE, EMAIL)."""
        for one in self.body.get("custom_fields_values") or []:
            if one.get("field_code") == field_code:
                return list(one["values"])
        return []
