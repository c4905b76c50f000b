"""Compare, value by value: what the record wants, what we wrote last, what the CRM holds now.

A person's edit wins: a value that is not what we wrote stays, unless the mapping says `overwrite`. A value belongs to
the record that wrote it; other records of the same contact only fill what is empty.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal
from zoneinfo import ZoneInfo

from leadsync.amocrm.catalogue import Catalogue
from leadsync.amocrm.field_values import canonical
from leadsync.amocrm.plain_values import number_of, number_text
from leadsync.sync.changes import digest
from leadsync.sync.recognise import plain
from leadsync.sync.resolve import Value
from leadsync.sync.shown import shown_values

Verdict = Literal["same", "set", "kept", "left"]
"""`same`: nothing to do; `set`: write it; `kept`: somebody else's value stays; `left`: only written at creation."""


def mark(value: Value, key: str) -> str:
    """What we remember of a written value: its digest and whose it is, and the digest of what amoCRM may have cut."""
    both = f"{digest(value.canonical)}:{digest(key)}"
    return both if value.cut is None else f"{both}:{digest(value.cut)}"


def written_by(wrote: str) -> str:
    """The digest of the key whose record wrote a value."""
    return wrote.split(":")[1]


def is_as_written(current: str, wrote: str) -> bool:
    """Whether a value is the one that was written last."""
    whole, _, *cut = wrote.split(":")
    return digest(current) in (whole, *cut)


def compare(value: Value, current: str | None, wrote: str | None, key: str) -> Verdict:
    """Decide about one value of an entity that exists; `current` and `wrote` are None when there is nothing."""
    now = current or ""
    if now == value.canonical or (wrote is not None and now == value.cut):
        return "same"
    if value.write == "overwrite":
        return "set"
    if value.write == "create":
        return "left"
    if wrote is None:
        return "kept" if now else "set"
    return "set" if written_by(wrote) == digest(key) and is_as_written(now, wrote) else "kept"


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
            return _price(self.body.get("price"))
        if slot == "responsible":
            return str(self.body["responsible_user_id"]) if self.body.get("responsible_user_id") else None
        if slot == "name":
            return self._name() or None
        return plain(self.body.get(slot)) or None

    def _name(self) -> str:
        """The name, in our order: an account shows the parts of its contacts' names in an order of its own
        (`contact_name_display_order`, amoCRM docs: crm_platform/account-info)."""
        name = plain(self.body.get("name"))
        parts = [part for key in ("first_name", "last_name") if (part := plain(self.body.get(key)))]
        joined = " ".join(parts)
        return joined if len(parts) == 2 and sorted(joined.split()) == sorted(name.split()) else name

    def shown(self, slot: str) -> str | None:
        """The same for people: labels instead of ids."""
        if slot.startswith("cf:"):
            field = self._catalogue.field(self._entity, int(slot[3:]))
            return shown_values(field, self._fields.get(field.id), self._zone)
        if slot == "stage":
            return self._stage_name(self.body["pipeline_id"], self.body["status_id"])
        if slot == "responsible":
            return self._user_name(self.body.get("responsible_user_id"))
        if slot == "price":
            return _price(self.body.get("price"))
        return str(self.body.get(slot) or "") or None

    def is_default(self, slot: str) -> bool:
        """Whether a slot holds what amoCRM puts there when nobody says anything: the name `Сделка #31205`, the first
        stage of the main pipeline, the user of the integration (amoCRM docs: crm_platform/leads-api)."""
        if slot == "name":
            return bool(re.fullmatch(rf"\S+ #{self.body['id']}", str(self.body.get("name"))))
        if slot == "stage":
            first = next((one for one in self._catalogue.main_pipeline().statuses if one.type == 0), None)
            return first is not None and self.canonical("stage") == f"{first.pipeline_id}:{first.id}"
        return slot == "responsible" and self.body.get(slot + "_user_id") == self._catalogue.account.current_user_id

    @property
    def changed_by(self) -> tuple[str, float | None] | None:
        """Which person changed the entity last, and when (unix seconds); None when it was a robot or this integration,
        or when nobody can tell."""
        user_id, own = self.body.get("updated_by"), self._catalogue.account.current_user_id
        if not user_id or own is None or user_id == own:
            return None
        return self._user_name(user_id) or "", self.body.get("updated_at")

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

    @property
    def tag_keys(self) -> set[str]:
        """Its tags as they are compared."""
        return set(map(tag_key, self.tags))

    def values(self, field_code: str) -> list[dict[str, Any]]:
        """The raw values of a field named by its code (PHONE, EMAIL)."""
        for one in self.body.get("custom_fields_values") or []:
            if one.get("field_code") == field_code:
                return list(one["values"])
        return []


def tag_key(name: str) -> str:
    """A tag for comparing: `VIP` and `vip ` are one."""
    return plain(name).casefold()


def _price(raw: Any) -> str | None:
    """A price as a text; 0 is none."""
    number = number_of(str(raw or ""))
    return number_text(number) if number else None
