"""New items: what would be sent for a talk that nobody knows yet; typed for an account, or with names in place of ids.

Nothing is looked up, so records of one person show a contact each. Pure: no clock, no network.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal

from leadsync.amocrm.field_values import strip_four_byte
from leadsync.amocrm.imagined import ImaginedCatalogue
from leadsync.amocrm.plain_values import number_of
from leadsync.mapping.contact_keys import email_key, phone_key
from leadsync.mapping.desired import Desired, DesiredContact, DesiredLead, DesiredValue, Origin
from leadsync.sync.changes import Change, FieldChange, contact_ref, lead_ref
from leadsync.sync.payload import put, put_multitext, request_id, split_note
from leadsync.sync.planned import created_fields
from leadsync.sync.reasons import NEW, why_added, why_noted
from leadsync.sync.resolve import LARGEST_PRICE, Resolver

Part = tuple[dict[str, Any], tuple[FieldChange, ...]]
"""An item without its references to others, and its values as people read them."""

WHOLE = Decimal(1)


class NewItems:
    """Makes the items of records; `resolver` says whether for a real account or for an imagined one."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._key_field = None if resolver.key_field is None else resolver.key_field.name
        self._imagined = isinstance(resolver.catalogue, ImaginedCatalogue)
        self._clean = strip_four_byte if resolver.strip_emoji else str

    def of(self, desired: Desired) -> list[Change]:
        """Contact, lead and notes of a record as if it were new. Raises ValueRefused."""
        key, changes = desired.key, list[Change]()
        contact, lead = self._parts(desired)
        if contact is not None:
            changes.append(_change(key, "contact", "new person", contact))
        if lead is not None:
            if contact is not None:
                lead[0].setdefault("_embedded", {})["contacts"] = [{"id": contact_ref(key), "is_main": True}]
            changes.append(_change(key, "lead", "new talk", lead))
        if desired.note is not None and changes:
            target = lead_ref(key) if lead is not None else contact_ref(key)
            changes += self._notes(desired, desired.note, target)
        return changes

    def _parts(self, desired: Desired) -> tuple[Part | None, Part | None]:
        contact, lead = desired.contact, desired.lead
        if self._imagined:
            named = None if contact is None else self._named_contact(contact)
            return named, None if lead is None else self._named_lead(lead, desired.key)
        typed = None if contact is None else self._typed_contact(contact)
        return typed, None if lead is None else self._typed_lead(lead, desired.key)

    def _notes(self, desired: Desired, note: DesiredValue, target: str) -> list[Change]:
        parts = split_note(self._clean(note.text))
        reason, changes = why_noted(desired.news, continued=False), list[Change]()
        for number, text in enumerate(parts, 1):
            item = {
                "request_id": request_id("note", desired.key, number if len(parts) > 1 else 0),
                "entity_id": target,
                "note_type": "common",
                "params": {"text": text},
            }
            fields = (FieldChange("text", None, text, NEW, note.origin),)
            changes.append(Change(desired.key, "note", "create", None, reason, fields, item))
        return changes

    # For an account that is known

    def _typed_contact(self, desired: DesiredContact) -> Part:
        wanted = self._resolver.contact(desired)
        body: dict[str, Any] = {}
        put(body, wanted.values)
        put_multitext(body, "PHONE", [], wanted.phones)
        put_multitext(body, "EMAIL", [], wanted.emails)
        return _tagged(body, wanted.tags), created_fields(wanted)

    def _typed_lead(self, desired: DesiredLead, key: str) -> Part:
        wanted = self._resolver.lead(desired, key)
        body: dict[str, Any] = {}
        put(body, wanted.values)
        return _tagged(body, wanted.tags), created_fields(wanted)

    # For one that is imagined: what the mapping says, as it says it

    def _named_contact(self, desired: DesiredContact) -> Part:
        body, shown, custom = self._named(desired.values, desired.fields)
        country = self._resolver.country
        phones = dict.fromkeys(phone_key(one.text, country) for one in desired.phones)
        emails = dict.fromkeys(email_key(one.text) for one in desired.emails)
        if None in phones or None in emails:
            self._resolver.contact(desired)  # raises, and says which and where
        for code, kind, keys, values in (
            ("PHONE", "phone", phones, desired.phones),
            ("EMAIL", "email", emails, desired.emails),
        ):
            texts = [one for one in keys if one is not None]
            if texts:
                custom.append({"field_code": code, "values": [{"value": one, "enum_code": "WORK"} for one in texts]})
                shown.append(_added(kind, kind, texts, values[0].origin))
        return self._finished(body, shown, custom, desired)

    def _named_lead(self, desired: DesiredLead, key: str) -> Part:
        body, shown, custom = self._named(desired.values, desired.fields)
        if "price" in body:
            body["price"] = self._price(body["price"], desired, key)
        if self._key_field is not None:
            custom.append({"field_name": self._key_field, "values": [{"value": key}]})
            shown.append(FieldChange(self._key_field, None, key, NEW, desired.key_origin))
        return self._finished(body, shown, custom, desired)

    def _named(
        self, values: Iterable[DesiredValue], fields: Iterable[DesiredValue]
    ) -> tuple[dict[str, Any], list[FieldChange], list[dict[str, Any]]]:
        """The values by their targets, and the custom fields by their names; one of nothing but emoji is not sent."""
        body: dict[str, Any] = {}
        custom: list[dict[str, Any]] = []
        shown: list[FieldChange] = []
        clean = self._clean
        for one in values:
            text = one.text
            if text := (text if text.isascii() else clean(text)).strip():
                body[one.target] = text
                shown.append(FieldChange(one.target, None, text, NEW, one.origin))
        for one in fields:
            text = one.text
            if text := (text if text.isascii() else clean(text)).strip():
                custom.append({"field_name": one.target, "values": [{"value": text}]})
                shown.append(FieldChange(one.target, None, text, NEW, one.origin))
        return body, shown, custom

    def _price(self, text: str, desired: DesiredLead, key: str) -> int:
        number = number_of(text)
        if number is None or abs(number) > LARGEST_PRICE:
            self._resolver.lead(desired, key)  # raises, and says where
            raise AssertionError("a price that is none is refused")
        return int(number.quantize(WHOLE, rounding=ROUND_HALF_UP))

    def _finished(
        self,
        body: dict[str, Any],
        shown: list[FieldChange],
        custom: list[dict[str, Any]],
        desired: DesiredContact | DesiredLead,
    ) -> Part:
        if custom:
            body["custom_fields_values"] = custom
        tags = list(dict.fromkeys(tag for one in desired.tags if (tag := self._clean(one).strip())))
        if tags:
            shown.append(_added("tag", "tags", tags, next(iter(desired.tag_origins.values()), None)))
        return _tagged(body, tags), tuple(shown)


def _added(kind: str, name: str, texts: Sequence[str], origin: Origin | None) -> FieldChange:
    return FieldChange(name, None, ", ".join(texts), why_added(kind, origin, created=True), origin)


def _tagged(body: dict[str, Any], tags: Sequence[str]) -> dict[str, Any]:
    if tags:
        body["_embedded"] = {"tags": [{"name": one} for one in tags]}
    return body


def _change(key: str, entity: Literal["contact", "lead"], reason: str, part: Part) -> Change:
    body, fields = part
    return Change(key, entity, "create", None, reason, fields, {"request_id": request_id(entity, key), **body})
