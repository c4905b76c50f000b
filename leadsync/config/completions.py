"""What an account has, as completions in a mapping's schema: an editor offers them, and nothing else is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from leadsync.amocrm.catalogue import Catalogue, CustomField

_SHOWN_OPTIONS = 40
_CHOICES = ("select", "radiobutton", "multiselect")


def complete(schema: dict[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    """Put the account's names into the schema of a mapping, in place: fields by name, code and id, and examples."""
    sections = schema["$defs"]
    for title, entity in (("ContactSection", "contacts"), ("LeadSection", "leads")):
        section = sections[title]["properties"]
        fields = [one for one in catalogue.fields if one.entity == entity]
        section["fields"]["properties"] = dict(_properties(fields, section["fields"]["additionalProperties"]))
        people = [one for one in catalogue.users if one.is_active]
        section["responsible"]["examples"] = _unique(text for one in people for text in (one.email, one.name))
    lead = sections["LeadSection"]["properties"]
    living = [one for one in catalogue.pipelines if not one.is_archive]
    lead["pipeline"]["examples"] = _unique(one.name for one in living)
    lead["status"]["examples"] = _unique(status.name for one in living for status in one.statuses if not status.type)
    texts = (one.name for one in catalogue.fields if one.entity == "leads" and one.type == "text")
    schema["properties"]["key_field"]["examples"] = _unique(texts)
    return schema


def _properties(fields: list[CustomField], value: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each field under its name and code, where they are its alone, and under its id."""
    names = Counter(name for one in fields for name in _names(one))
    for one in fields:
        for name in (*_names(one), str(one.id)):
            if names[name] <= 1:
                yield name, {**value, **_about(one)}


def _names(field: CustomField) -> list[str]:
    return _unique((field.name.strip(), field.code))


def _about(field: CustomField) -> dict[str, Any]:
    told = ", ".join((field.type, field.entity, f"id {field.id}", *([f"code {field.code}"] if field.code else [])))
    options = [one.value for one in field.enums] if field.type in _CHOICES else []
    shown = options[:_SHOWN_OPTIONS]
    more = f" and {len(options) - len(shown)} more" if len(options) > len(shown) else ""
    listed = f": {', '.join(shown)}{more}" if shown else ""
    about: dict[str, Any] = {"title": field.name, "description": told + listed}
    return about | ({"examples": shown} if shown else {})


def _unique(texts: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text))
