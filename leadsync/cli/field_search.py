"""Field search: the part of a catalogue that is asked for, as tables, as data, and as lines to copy into a mapping."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

from leadsync.amocrm.catalogue import LOST, WON, Catalogue, CustomField, Pipeline, Status, User
from leadsync.amocrm.entities import EntityType
from leadsync.amocrm.field_values import encode
from leadsync.cli.tables import Listing
from leadsync.errors import ValueRefused
from leadsync.newproject.references import (
    Reference,
    field_reference,
    option_text,
    pipeline_reference,
    status_reference,
    user_reference,
)
from leadsync.newproject.yaml_text import flat, quoted

FEW = 5
"""Hits up to which the lines to copy are shown."""

UNDER: dict[EntityType, str] = {"leads": "lead", "contacts": "contact"}
"""The section of a mapping that fills an entity; companies have none."""

CANNOT = "cannot be filled"

TAKES = {
    **dict.fromkeys(("numeric", "monetary", "price"), ("a number", "150000")),
    **dict.fromkeys(("date", "birthday"), ("a date", "31.12.2025")),
    "date_time": ("a date and time", "31.12.2025 18:30"),
    "checkbox": ("yes or no", "yes"),
}
"""What a field of such a type takes, in words and as an example; the others take any text."""

OWN_KEYS = {"PHONE": "phone", "EMAIL": "email"}
"""Codes of the contact's fields that have keys of their own in a mapping."""

STAGES = {WON: "won", LOST: "lost"}

FIELD_COLUMNS = ("in a mapping", "code", "id", "type", "takes")


class FieldSearch:
    """The things of a catalogue that have a text in their name, code or id."""

    def __init__(
        self, catalogue: Catalogue, entities: Iterable[EntityType], search: str, *, fields_only: bool = False
    ) -> None:
        self._catalogue = catalogue
        self._entities = tuple(dict.fromkeys(entities))
        self._search = " ".join(search.split()).casefold()
        self._fields_only = fields_only

    def fields(self, entity: EntityType) -> list[CustomField]:
        """The fields of an entity type, in the account's order."""
        known = (one for one in self._catalogue.fields if one.entity == entity)
        return [one for one in known if self._has(one.name, one.code, one.id)]

    def stages(self) -> Iterator[tuple[Pipeline, list[Status]]]:
        """The pipelines with their statuses: all of them when the pipeline itself is meant."""
        for pipeline in () if self._fields_only else self._catalogue.pipelines:
            whole = self._has(pipeline.name, pipeline.id)
            statuses = [one for one in pipeline.statuses if whole or self._has(one.name, one.id)]
            if whole or statuses:
                yield pipeline, statuses

    def users(self) -> list[User]:
        """The users."""
        known = () if self._fields_only else self._catalogue.users
        return [one for one in known if self._has(one.name, one.email, one.id)]

    def _has(self, *names: str | int | None) -> bool:
        return any(self._search in str(name).casefold() for name in names if name is not None)

    # For people

    def listings(self) -> Iterator[Listing]:
        """Tables."""
        for entity in self._entities:
            under = f"under {UNDER[entity]}.fields" if entity in UNDER else "a mapping does not fill them"
            rows = [self._field_row(one) for one in self.fields(entity)]
            yield Listing(f"Custom fields of {entity} ({under})", FIELD_COLUMNS, rows)
        rows = [row for one in self.stages() for row in self._stage_rows(*one)]
        yield Listing("Pipelines and statuses (lead.pipeline, lead.status)", ("pipeline", "status", "id", ""), rows)
        people = [
            (one.name, one.email, str(one.id), "" if one.is_active else "not active: cannot be responsible")
            for one in self.users()
        ]
        yield Listing("Users (responsible)", ("name", "e-mail", "id", ""), people)

    def _field_row(self, field: CustomField) -> tuple[str, ...]:
        kind = field.type + (", computed" if field.is_computed else "") + (", API only" if field.is_api_only else "")
        reference = field_reference(self._catalogue, field)
        if reference.written == field.code and field.name.casefold() != field.code.casefold():
            reference = Reference(reference.written, flat(field.name, 60))
        return _told(reference), field.code or "", str(field.id), kind, _takes(field)

    def _stage_rows(self, pipeline: Pipeline, statuses: Iterable[Status]) -> Iterator[tuple[str, ...]]:
        mark = "main" if pipeline.is_main else "archived" if pipeline.is_archive else ""
        yield _told(pipeline_reference(self._catalogue, pipeline)), "", str(pipeline.id), mark
        for status in statuses:
            yield "", _told(status_reference(self._catalogue, pipeline, status)), str(status.id), _stage(status)

    def lines_to_copy(self) -> Iterator[str]:
        """What was found as lines of a mapping, with an example of each value; nothing when that is much."""
        entities = [one for one in self._entities if one in UNDER]
        fields = {entity: [one for one in self.fields(entity) if is_fillable(one)] for entity in entities}
        stages = list(self.stages())
        number = (
            sum(map(len, fields.values())) + sum(max(1, len(statuses)) for _, statuses in stages) + len(self.users())
        )
        if not 0 < number <= FEW:
            return
        lead = [*self._stage_lines(stages), *self._user_lines(), *self._field_lines(fields.get("leads", []))]
        contact = list(self._field_lines(fields.get("contacts", [])))
        yield ""
        yield "To copy into a mapping"
        for name, lines in (("contact", contact), ("lead", lead)):
            yield from [f"{name}:", *lines] if lines else []

    def _field_lines(self, fields: Iterable[CustomField]) -> Iterator[str]:
        fields = list(fields)
        yield from (f'  {key}: "{{{{ {key} }}}}"' for one in fields if (key := _own_key(one)))
        lines = [_field_line(field_reference(self._catalogue, one), one) for one in fields if not _own_key(one)]
        yield from ["  fields:", *lines] if lines else []

    def _stage_lines(self, stages: Iterable[tuple[Pipeline, list[Status]]]) -> Iterator[str]:
        for number, (pipeline, statuses) in enumerate(stages):
            before = "  # or" if number else " "
            yield f"{before} pipeline: {_told(pipeline_reference(self._catalogue, pipeline))}"
            for place, status in enumerate(statuses):
                before = "  # or" if number or place else " "
                yield f"{before} status: {_told(status_reference(self._catalogue, pipeline, status))}"

    def _user_lines(self) -> Iterator[str]:
        for number, user in enumerate(one for one in self.users() if one.is_active):
            before = "  # or" if number else " "
            yield f"{before} responsible: {_told(user_reference(self._catalogue, user))}"

    # For programs

    def as_json(self) -> dict[str, Any]:
        """One document; `write_as` is YAML for a mapping."""
        account = self._catalogue.account
        return {
            "format_version": 1,
            "account": {"id": account.id, "name": account.name, "subdomain": account.subdomain},
            "fields": {entity: [self._field_json(one) for one in self.fields(entity)] for entity in self._entities},
            "pipelines": [self._pipeline_json(*one) for one in self.stages()],
            "users": [
                {
                    "id": one.id,
                    "name": one.name,
                    "email": one.email,
                    "active": one.is_active,
                    "write_as": user_reference(self._catalogue, one).written,
                }
                for one in self.users()
            ],
        }

    def _field_json(self, field: CustomField) -> dict[str, Any]:
        return {
            "id": field.id,
            "name": field.name,
            "code": field.code,
            "type": field.type,
            "options": [{"id": one.id, "value": one.value, "code": one.code} for one in field.enums],
            "api_only": field.is_api_only,
            "computed": field.is_computed,
            "write_as": field_reference(self._catalogue, field).written,
        }

    def _pipeline_json(self, pipeline: Pipeline, statuses: Iterable[Status]) -> dict[str, Any]:
        return {
            "id": pipeline.id,
            "name": pipeline.name,
            "main": pipeline.is_main,
            "archived": pipeline.is_archive,
            "write_as": pipeline_reference(self._catalogue, pipeline).written,
            "statuses": [
                {
                    "id": one.id,
                    "name": one.name,
                    "write_as": status_reference(self._catalogue, pipeline, one).written,
                }
                for one in statuses
            ],
        }


def is_fillable(field: CustomField) -> bool:
    """Whether a text can fill a field at all."""
    try:
        encode(field, "", zone=ZoneInfo("UTC"))
    except ValueRefused:
        return False
    return True


def _stage(status: Status) -> str:
    return "unsorted" if status.type else STAGES.get(status.id, "")


def _own_key(field: CustomField) -> str | None:
    return OWN_KEYS.get(field.code or "") if field.entity == "contacts" else None


def _takes(field: CustomField) -> str:
    if not is_fillable(field):
        return CANNOT
    if key := _own_key(field):
        return f"contact.{key} fills it"
    if field.enums and field.type != "multitext":
        return ", ".join(one.value for one in field.enums)
    return TAKES[field.type][0] if field.type in TAKES else ""


def _told(reference: Reference) -> str:
    return f"{reference.written}  # {reference.remark}" if reference.remark else reference.written


def _field_line(reference: Reference, field: CustomField) -> str:
    """A field with an example of its value."""
    example = TAKES.get(field.type, ("", "text"))[1]
    remark = field.type
    if field.enums and field.type != "multitext":
        first, *others = (option_text(field, one) for one in field.enums)
        example = first
        remark += f", or {', '.join(others)}" if others else ""
    parts = ", ".join(part for part in (reference.remark, remark) if part)
    return f"    {reference.written}: {quoted(example)}  # {parts}"
