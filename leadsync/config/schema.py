"""JSON Schemas of leadsync.yaml and of a mapping, for editors: completion, descriptions, mistakes while typing.

A file names its own in its first line, which yaml-language-server reads:

    # yaml-language-server: $schema=.leadsync/leadsync.schema.json

They are a little wider than the loader: where a number or a choice stands, `${NAME}` may stand too.
"""

from __future__ import annotations

from typing import Any

import orjson
from pydantic import BaseModel

from leadsync import plugins
from leadsync.amocrm.catalogue import Catalogue
from leadsync.config.completions import complete
from leadsync.config.models import MappingFile, ProjectFile, SourceSection
from leadsync.errors import ConfigurationError

DIALECT = "https://json-schema.org/draft/2020-12/schema"

PROJECT_FILE, MAPPING_FILE = ".leadsync/leadsync.schema.json", ".leadsync/mapping.schema.json"
"""Where the files name their schemas, from the project's folder."""

_VARIABLE = {"type": "string", "pattern": r"\$\{"}
_NOT_TEXT = ("integer", "number", "boolean")
_MAY_BE_EMPTY = frozenset({"fields", "tags", "tests", "tables", "redis", "defaults", "safety"})
"""Keys after which nothing may stand: the loader takes that as empty."""


def project_schema() -> dict[str, Any]:
    """The schema of leadsync.yaml, with the keys of every source plugin that is installed."""
    schema = _schema(ProjectFile, "leadsync.yaml")
    section = schema["$defs"][SourceSection.__name__]
    options = {name: model for name in sorted(plugins.installed("sources")) if (model := _options(name)) is not None}
    section["properties"]["type"]["examples"] = sorted(options)
    section["allOf"] = [_only_for(name, model, section, schema["$defs"]) for name, model in options.items()]
    return schema


def mapping_schema(catalogue: Catalogue | None = None) -> dict[str, Any]:
    """The schema of a mapping file; with a catalogue it offers what that account has."""
    schema = _schema(MappingFile, "A leadsync mapping")
    return schema if catalogue is None else complete(schema, catalogue)


def schema_files(catalogue: Catalogue | None = None) -> dict[str, str]:
    """Both schemas as the texts of their files, by path from the project's folder."""
    schemas = {PROJECT_FILE: project_schema(), MAPPING_FILE: mapping_schema(catalogue)}
    return {name: orjson.dumps(schema, option=orjson.OPT_INDENT_2).decode() + "\n" for name, schema in schemas.items()}


def _schema(model: type[BaseModel], title: str) -> dict[str, Any]:
    schema = _with_variables(model.model_json_schema())
    for part in (schema, *schema.get("$defs", {}).values()):
        _allow_nothing(part.get("properties", {}))
    return {"$schema": DIALECT, **schema, "title": title}


def _allow_nothing(properties: dict[str, Any]) -> None:
    """Let `fields:` stand alone, with what goes into it commented out."""
    for name in _MAY_BE_EMPTY & properties.keys():
        key = properties[name]
        if isinstance(key.get("type"), str):
            key["type"] = [key["type"], "null"]
        elif "$ref" in key:
            properties[name] = {"anyOf": [{"$ref": key.pop("$ref")}, {"type": "null"}], **key}


def _options(name: str) -> type[BaseModel] | None:
    """The model of a plugin's keys; None for one that cannot be imported, since a schema is no place to complain."""
    try:
        options = getattr(plugins.load("sources", name), "Options", None)
    except ConfigurationError:
        return None
    return options if isinstance(options, type) and issubclass(options, BaseModel) else None


def _only_for(name: str, model: type[BaseModel], section: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    """What holds for the sources of one type: the plugin's keys, its required ones, and no others."""
    schema = _with_variables(model.model_json_schema())
    shared.update(schema.pop("$defs", {}))
    then = {key: schema[key] for key in ("properties", "required", "additionalProperties") if key in schema}
    then["properties"] = {**dict.fromkeys(section["properties"], True), **then.get("properties", {})}
    return {"if": {"properties": {"type": {"const": name}}, "required": ["type"]}, "then": then}


def _with_variables(schema: Any) -> Any:
    """The schema with `${NAME}` allowed wherever something other than free text is expected."""
    if isinstance(schema, list):
        return [_with_variables(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {"default", "examples", "properties", "$defs"}
    inner = {key: value if key in kept else _with_variables(value) for key, value in schema.items()}
    for names in {"properties", "$defs"} & schema.keys():
        inner[names] = {name: _with_variables(value) for name, value in schema[names].items()}
    if not (inner.get("type") in _NOT_TEXT or "enum" in inner or "const" in inner):
        return inner
    about = {key: inner.pop(key) for key in ("title", "description", "default") if key in inner}
    return {**about, "anyOf": [inner, dict(_VARIABLE)]}
