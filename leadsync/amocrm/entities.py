"""Wire models of what is written: JSON exactly as amoCRM takes it, nothing sent that is not set.

`_embedded` needs an alias: pydantic takes a leading underscore for a private attribute and would never send it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

EntityType = Literal["leads", "contacts", "companies"]

WORK = "WORK"
"""Enum code of a phone or e-mail; codes are the same in every account, enum ids are not (amocrm-api.md §4)."""

LONGEST_NOTE = 20_000
"""Characters of a note's text (tested live by one integrator, amocrm-api.md §2)."""


class WireModel(BaseModel):
    """An object of a request; `wire()` gives its JSON form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def wire(self) -> dict[str, Any]:
        """The object as a dict for JSON, with the CRM's names and without what is not set."""
        return self.model_dump(by_alias=True, exclude_none=True)


class CustomFieldValue(WireModel):
    """A custom field and all its values (writing replaces every one). Addressed by `field_id` or by `field_code`."""

    field_id: int | None = None
    field_code: str | None = None
    values: list[dict[str, Any]]

    @classmethod
    def phone(cls, *numbers: str) -> CustomFieldValue:
        """Phones, each marked WORK."""
        return cls(field_code="PHONE", values=_work(numbers))

    @classmethod
    def email(cls, *addresses: str) -> CustomFieldValue:
        """E-mails, each marked WORK."""
        return cls(field_code="EMAIL", values=_work(addresses))


class Tag(WireModel):
    """A tag by name; never send name and id together, that makes a double (amocrm-api-php issue 257)."""

    name: str


class EntityRef(WireModel):
    """An existing contact or company inside a lead."""

    id: int
    is_main: bool | None = None


class LeadEmbedded(WireModel):
    """What a new lead brings along: tags, contacts and companies that exist."""

    tags: list[Tag] | None = None
    contacts: list[EntityRef] | None = None
    companies: list[EntityRef] | None = None


class ContactEmbedded(WireModel):
    """What a new contact brings along."""

    tags: list[Tag] | None = None


class Lead(WireModel):
    """A lead to create or, with `id`, to change. `price` is whole; times are Unix seconds.

    In a change always send `pipeline_id` and `status_id` together: the pipeline alone is ignored (amocrm-api.md §3.2).
    """

    id: int | None = None
    name: str | None = None
    price: int | None = None
    pipeline_id: int | None = None
    status_id: int | None = None
    responsible_user_id: int | None = None
    created_at: int | None = None
    custom_fields_values: list[CustomFieldValue] | None = None
    tags_to_add: list[Tag] | None = None
    request_id: str | None = None
    embedded: LeadEmbedded | None = Field(None, serialization_alias="_embedded")


class Contact(WireModel):
    """A contact to create or, with `id`, to change."""

    id: int | None = None
    name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    responsible_user_id: int | None = None
    created_at: int | None = None
    custom_fields_values: list[CustomFieldValue] | None = None
    tags_to_add: list[Tag] | None = None
    request_id: str | None = None
    embedded: ContactEmbedded | None = Field(None, serialization_alias="_embedded")


class NoteParams(WireModel):
    """The content of a `common` note."""

    text: str = Field(max_length=LONGEST_NOTE)


class Note(WireModel):
    """A note of an entity, up to 20 000 characters."""

    entity_id: int
    note_type: Literal["common"] = "common"
    params: NoteParams
    created_at: int | None = None
    request_id: str | None = None


class LinkMetadata(WireModel):
    """How a contact is linked; written as `is_main`, read back as `main_contact`."""

    is_main: bool | None = None


class Link(WireModel):
    """A tie to make between two existing entities. List the links first: repeating one was answered with 500."""

    entity_id: int
    to_entity_id: int
    to_entity_type: EntityType
    metadata: LinkMetadata | None = None


Item = WireModel | Mapping[str, Any]
"""One object of a request: a model of this module, or a mapping that is sent as it is."""


def wire_of(item: Item) -> dict[str, Any]:
    """The JSON form of an item, always a new dict."""
    return item.wire() if isinstance(item, WireModel) else dict(item)


def tags_of(names: Iterable[str]) -> list[Tag] | None:
    """Tags by name without repeats, None when there are none."""
    return [Tag(name=name) for name in dict.fromkeys(names)] or None


def _work(texts: Iterable[str]) -> list[dict[str, Any]]:
    return [{"value": text, "enum_code": WORK} for text in texts]
