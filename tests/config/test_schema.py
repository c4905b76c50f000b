"""The JSON Schemas say what the loader accepts, to an editor."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leadsync.config.document import read_document
from leadsync.config.models import MappingFile, ProjectFile
from leadsync.config.schema import DIALECT, mapping_schema, project_schema

REPOSITORY = Path(__file__).parents[2]


def parts(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {schema["title"]: schema, **schema["$defs"]}


@pytest.mark.parametrize("make", [project_schema, mapping_schema])
def test_a_schema_is_json_of_the_2020_12_dialect(make: Callable[[], dict[str, Any]]) -> None:
    """It survives JSON, names its dialect, and each reference in it leads somewhere."""
    schema = make()
    assert json.loads(json.dumps(schema)) == schema
    assert schema["$schema"] == DIALECT
    for reference in references(schema):
        assert reference.removeprefix("#/$defs/") in schema["$defs"]


@pytest.mark.parametrize("make", [project_schema, mapping_schema])
def test_every_key_is_described(make: Callable[[], dict[str, Any]]) -> None:
    """An editor shows a sentence for whatever somebody types."""
    schema = make()
    bare = [
        f"{title}.{name}"
        for title, part in parts(schema).items()
        for name, key in part.get("properties", {}).items()
        if not key.get("description")
    ]
    assert bare == []


def test_every_key_of_the_models_is_in_the_schema() -> None:
    """Top level keys and those of the sections, and no other is allowed."""
    for schema, model in ((project_schema(), ProjectFile), (mapping_schema(), MappingFile)):
        assert set(schema["properties"]) == set(model.model_fields)
        closed = [part for title, part in parts(schema).items() if title != "SourceSection"]
        assert all(part["additionalProperties"] is False for part in closed)


def test_a_sources_keys_go_by_its_type() -> None:
    """A plugin's keys are offered, its required ones demanded and others refused for its type only."""
    section = project_schema()["$defs"]["SourceSection"]
    rules = {rule["if"]["properties"]["type"]["const"]: rule["then"] for rule in section["allOf"]}
    assert {"shelf"} <= set(rules)
    assert not {"bare", "torn"} & set(rules)
    assert {"type", "mapping", "path", "limit", "at"} <= set(rules["shelf"]["properties"])
    assert rules["shelf"]["required"] == ["path"]
    assert rules["shelf"]["additionalProperties"] is False
    assert "shelf" in section["properties"]["type"]["examples"]


def test_a_variable_may_stand_where_a_number_or_a_choice_is_expected() -> None:
    """An editor does not underline `batch_size: ${SIZE}`."""
    amocrm = project_schema()["$defs"]["AmoCRMSection"]["properties"]
    for key in ("batch_size", "requests_per_second", "domain"):
        assert accepts(amocrm[key], "${SIZE}", {})
    assert accepts(amocrm["batch_size"], 50, {})
    assert not accepts(amocrm["batch_size"], "fifty", {})
    assert not accepts(amocrm["domain"], "example.com", {})


def test_the_sample_files_satisfy_the_schemas() -> None:
    """What stands in the repository is fine in an editor."""
    project = read_document(REPOSITORY / "leadsync.yaml", {}).data
    assert accepts(project_schema(), project, project_schema()["$defs"])
    for file in (REPOSITORY / "mappings").glob("*.yaml"):
        data = read_document(file, {}).data
        if file.name.endswith(".tests.yaml"):
            data = {"key": "a mapping that holds these cases itself", **data}
        assert accepts(mapping_schema(), data, mapping_schema()["$defs"])
        assert not accepts(mapping_schema(), {**data, "nmae": "x"}, mapping_schema()["$defs"])
        assert not accepts(mapping_schema(), {**data, "lead": {"tags": "x"}}, mapping_schema()["$defs"])


def references(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [found for item in schema for found in references(item)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"]] if isinstance(schema.get("$ref"), str) else []
    return own + [found for value in schema.values() for found in references(value)]


TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def accepts(schema: Any, value: Any, definitions: dict[str, Any]) -> bool:
    """The part of JSON Schema that ours use: enough to see that a document passes."""

    def inner(part: Any, of: Any) -> bool:
        return accepts(part, of, definitions)

    if isinstance(schema, bool):
        return schema
    kinds = schema.get("type", list(TYPES))
    rules = [
        any(isinstance(value, TYPES[kind]) for kind in ([kinds] if isinstance(kinds, str) else kinds)),
        "$ref" not in schema or inner(definitions[schema["$ref"].removeprefix("#/$defs/")], value),
        value in schema.get("enum", [value]),
        value == schema.get("const", value),
        "pattern" not in schema or (isinstance(value, str) and "${" in value),
        "anyOf" not in schema or any(inner(part, value) for part in schema["anyOf"]),
        "oneOf" not in schema or sum(inner(part, value) for part in schema["oneOf"]) == 1,
        all(not inner(rule["if"], value) or inner(rule["then"], value) for rule in schema.get("allOf", [])),
    ]
    if isinstance(value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        rules += [inner(known.get(str(key), others), item) for key, item in value.items()]
        rules += [key in value for key in schema.get("required", [])]
    if isinstance(value, list):
        rules += [inner(schema.get("items", True), item) for item in value]
    return all(rules)
