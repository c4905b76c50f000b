"""`leadsync schema`: what an editor completes and checks both files by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from leadsync.config.models import MappingFile, ProjectFile
from leadsync.config.schema import mapping_schema, project_schema
from tests.cli.terminal import Ended, run
from tests.cli.test_init import settings, token
from tests.world import REPOSITORY

DRAFT = jsonschema.Draft202012Validator


def printed(ended: Ended) -> Any:
    assert ended.code == 0
    return json.loads(ended.out)


def section(schema: dict[str, Any], title: str) -> dict[str, Any]:
    found: dict[str, Any] = schema["$defs"][title]["properties"]
    return found


def data(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


async def test_one_document_or_one_schema(world):
    """Without a word both stand in one document, with one that schema alone; each is valid in its dialect."""
    both = printed(await run(world.folder, "schema"))
    assert set(both) == {"project", "mapping"}
    for which, schema in both.items():
        DRAFT.check_schema(schema)
        assert printed(await run(world.folder, "schema", which)) == schema


async def test_the_accounts_names_are_offered(world):
    """Fields stand there by name, code and id with their type and options, and stages and people as examples."""
    mapping = printed(await run(world.folder, "schema", "mapping"))
    lead, contact = section(mapping, "LeadSection"), section(mapping, "ContactSection")
    fields = lead["fields"]["properties"]
    source = next(one for one in world.sandbox.account.fields["leads"] if one.name == "Источник")
    assert fields["Источник"] == fields[str(source.id)]
    assert fields["Источник"]["description"].startswith(f"select, leads, id {source.id}: Telegram Bot, ")
    assert fields["Источник"]["examples"] == ["Telegram Bot", "Avito Messenger", "Веб-чат"]
    assert fields["UTM_SOURCE"]["title"] == "utm_source"
    assert "Telegram" in contact["fields"]["properties"]
    assert "Telegram" not in fields
    assert lead["pipeline"]["examples"] == ["Воронка", "Повторные продажи"]
    assert "Первичный контакт" in lead["status"]["examples"]
    assert "vera@example.com" not in contact["responsible"]["examples"]
    assert "ID диалога" in mapping["properties"]["key_field"]["examples"]


async def test_nothing_is_refused_because_of_them(world):
    """A field the account does not have is left to `validate`; a wrong shape under a known name is underlined."""
    check = DRAFT(printed(await run(world.folder, "schema", "mapping")))
    good = {"key": "x", "lead": {"fields": {"Неизвестное": "x", "Бюджет": {"value": "1", "write": "create"}}}}
    assert check.is_valid(good)
    assert not check.is_valid({"key": "x", "lead": {"fields": {"Бюджет": {"vlaue": "1"}}}})
    assert not check.is_valid({"key": "x", "lead": {"fields": {"Бюджет": ["1"]}}})


async def test_shared_names_are_not_offered(world):
    """Of two fields with one name only the ids are completions, as in a mapping."""
    fields = world.sandbox.account.fields["leads"]
    city, product = fields.named("Город"), fields.named("Продукт")
    city.name = product.name
    offered = section(printed(await run(world.folder, "schema", "mapping")), "LeadSection")["fields"]["properties"]
    assert "Продукт" not in offered
    assert {str(city.id), str(product.id)} <= set(offered)


async def test_offline_asks_nobody(world):
    """With `--offline` there is the plain schema, no request, and no word about it."""
    ended = await run(world.folder, "schema", "mapping", "--offline")
    assert (printed(ended), ended.err) == (mapping_schema(), "")
    assert world.requests() == []


async def test_an_account_that_is_not_reached_is_no_failure(world):
    """The plain schema stands on stdout, the reason on stderr, and the exit code is 0."""
    (world.folder / ".env").write_text("AMOCRM_BASE_URL=http://127.0.0.1:9\nAMOCRM_ACCESS_TOKEN=x\n")
    ended = await run(world.folder, "schema", "mapping")
    assert printed(ended) == mapping_schema()
    assert "without the account's own names" in ended.err


async def test_without_a_project_there_is_the_plain_schema(tmp_path):
    """Anywhere else both are printed all the same; writing needs a project and ends with 78."""
    ended = await run(tmp_path, "schema")
    assert printed(ended) == {"project": project_schema(), "mapping": mapping_schema()}
    assert "leadsync.yaml" in ended.err
    refused = await run(tmp_path, "schema", "--write")
    assert (refused.code, list(tmp_path.iterdir())) == (78, [])
    assert "leadsync init" in refused.err


async def test_written_where_the_files_look(world):
    """`--write` puts both where the first lines of leadsync.yaml and of a mapping lead an editor."""
    new = world.folder / "new"
    settings(new, token(world))
    assert (await run(new, "init")).code == 0
    for path in (new / ".leadsync").glob("*.json"):
        path.unlink()
    ended = await run(new, "schema", "--write")
    assert (ended.code, ended.err) == (0, "")
    for path in (new / "leadsync.yaml", new / "mappings/talks.yaml"):
        schema = json.loads(schema_of(path).read_text(encoding="utf-8"))
        assert str(schema_of(path).resolve().relative_to(new.resolve())) in ended.out
        DRAFT(schema).validate(data(path))


def schema_of(path: Path) -> Path:
    """The schema that the first line of a file names."""
    before, _, named = path.read_text(encoding="utf-8").splitlines()[0].partition("$schema=")
    assert before == "# yaml-language-server: "
    return path.parent / named


def test_the_shipped_files_are_fine() -> None:
    """The sample project and its mappings satisfy the schemas, and leadsync.yaml names its own."""
    DRAFT(project_schema()).validate(data(REPOSITORY / "leadsync.yaml"))
    assert schema_of(REPOSITORY / "leadsync.yaml") == REPOSITORY / ".leadsync/leadsync.schema.json"
    for path in (REPOSITORY / "mappings").glob("*.yaml"):
        beside = {"key": "cases as they would stand inside"} if path.name.endswith(".tests.yaml") else {}
        DRAFT(mapping_schema()).validate(data(path) | beside)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"amocrm": {"subdomain": "x", "batch_size": 251}},
        {"amocrm": {"subdomian": "x"}},
        {"sources": {}},
        {"sources": {"a": {"type": "jsonl", "mapping": "m.yaml"}}},
        {"sources": {"a": {"type": "jsonl", "mapping": "m.yaml", "path": "x", "match": "y"}}},
        {"saefty": {}},
    ],
)
def test_mistakes_in_the_project_are_underlined(change: dict[str, Any]) -> None:
    """A wrong version, number, key or missing path does not pass."""
    assert not DRAFT(project_schema()).is_valid(data(REPOSITORY / "leadsync.yaml") | change)


@pytest.mark.parametrize(
    "change",
    [
        {"contact": {"match": ["name"]}},
        {"lead": {"pirce": "1"}},
        {"lead": {"tags": "x"}},
        {"lead": {"name": {"value": "x", "write": "sometimes"}}},
        {"nmae": "x"},
        {"key": None},
    ],
)
def test_mistakes_in_a_mapping_are_underlined(change: dict[str, Any]) -> None:
    """A wrong choice, key or shape does not pass."""
    assert not DRAFT(mapping_schema()).is_valid(data(REPOSITORY / "mappings/web.yaml") | change)


def test_an_empty_section_is_no_mistake() -> None:
    """`fields:` with everything below it commented out, and what else the loader takes as empty, passes in both."""
    mapping = {"key": "x", "lead": {"name": "x", "fields": None, "tags": None}, "tests": None}
    empty = dict.fromkeys(("redis", "defaults", "tables", "safety"))
    project = data(REPOSITORY / "leadsync.yaml") | {"amocrm": {"subdomain": "x"}} | empty
    DRAFT(mapping_schema()).validate(mapping)
    DRAFT(project_schema()).validate(project)
    MappingFile.model_validate(mapping)
    ProjectFile.model_validate(project)
