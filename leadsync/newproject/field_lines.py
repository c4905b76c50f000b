"""The `fields:` of a new mapping: what is surely meant is filled, everything else stands there as a comment."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from leadsync.amocrm.catalogue import Catalogue, CustomField
from leadsync.amocrm.entities import EntityType
from leadsync.amocrm.field_values import encode
from leadsync.errors import ValueRefused
from leadsync.newproject.references import field_reference, option_text
from leadsync.newproject.yaml_text import COLUMN, flat, listed, quoted, remarked

_UTC = ZoneInfo("UTC")
_OWN_KEYS = frozenset({"PHONE", "EMAIL"})
"""Codes of the contact's fields that `phone:` and `email:` fill."""

_RIGHTMOST = 72
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,39}")
_TYPES_SAID = {"monetary": "money", "date_time": "date and time", "birthday": "date"}


@dataclass(frozen=True, slots=True)
class FieldLines:
    """The fields of one entity as lines; `key_field` holds the record's key and is not listed."""

    catalogue: Catalogue
    entity: EntityType
    templates: Mapping[int, str]
    key_field: CustomField | None = None

    def lines(self) -> Iterator[str]:
        """`fields:` with what is filled, then what could be, then what no text can fill."""
        fields = [one for one in self.catalogue.fields if one.entity == self.entity and not self._is_elsewhere(one)]
        filled = [one for one in fields if one.id in self.templates]
        others = [one for one in fields if one.id not in self.templates and _is_fillable(one)]
        closed = [one for one in fields if not _is_fillable(one)]
        others.sort(key=lambda one: one.type == "tracking_data")
        yield remarked("  fields:", "by name, code or id" if filled else "none yet: take the # away where you want one")
        yield from _aligned([self._line(one, self.templates[one.id]) for one in filled])
        if filled and others:
            yield "    # To fill one of these, take its # away and say what goes in:"
        yield from _aligned([self._line(one, _example(one), "# ") for one in others])
        if closed:
            yield f"    # not from a talk: {listed(f'{one.name} ({one.type})' for one in closed)}"

    def _is_elsewhere(self, field: CustomField) -> bool:
        return field == self.key_field or (self.entity == "contacts" and field.code in _OWN_KEYS)

    def _line(self, field: CustomField, template: str, before: str = "") -> tuple[str, str]:
        """A line and its remark."""
        reference = field_reference(self.catalogue, field)
        remark = ", ".join(part for part in (_said(field), reference.remark) if part)
        return f"    {before}{reference.written}: {quoted(template)}", remark


def _aligned(lines: list[tuple[str, str]]) -> Iterator[str]:
    """The lines with their remarks in one column, as far to the right as most of them need."""
    longest = max((len(line) for line, _ in lines if len(line) < _RIGHTMOST), default=0)
    yield from (remarked(line, remark, max(COLUMN, longest + 2)) for line, remark in lines)


def _is_fillable(field: CustomField) -> bool:
    try:
        encode(field, "", zone=_UTC)
    except ValueRefused:
        return False
    return True


def _example(field: CustomField) -> str:
    """What would go in if somebody only took the # away: an option, or a key of `metadata` that is not there."""
    if field.enums and field.type in ("select", "radiobutton", "multiselect"):
        return option_text(field, field.enums[0])
    code = (field.code or "").lower().strip("_")
    return "{{ metadata.%s }}" % (code if _IDENTIFIER.fullmatch(code) else "name_it")


def _said(field: CustomField) -> str:
    kind = _TYPES_SAID.get(field.type, field.type)
    if not field.enums or field.type == "multitext":
        return flat(kind)
    return f"{flat(kind)}: {listed(one.value for one in field.enums)}"
