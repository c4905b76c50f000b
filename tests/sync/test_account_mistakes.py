"""What the account does not have, or does not take: what a person sees, to the letter, in `account_mistakes.txt`."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from leadsync.amocrm import AmoCRMClient, LongLivedToken
from leadsync.amocrm.catalogue import Catalogue, CustomField, Pipeline, load
from leadsync.config.loader import load_project
from leadsync.intake import account_problems
from leadsync.sandbox import Sandbox
from leadsync.sync.names import name_warnings

BOOK = Path(__file__).with_name("account_mistakes.txt")

PROJECT = """\
version: 1
amocrm: {subdomain: example}
tables:
  source_names:
    telegram: Telegram Bot
    avito: Avito Messenger
  stages: {telegram: Переговоры, avito: Первичный контакт}
  prices: {start: "1000", growth: 2000}
sources:
  talks: {type: jsonl, path: talks.jsonl, mapping: mapping.yaml}
"""

MAPPING = """\
key: "{{ id }}"
key_field: ID диалога
contact:
  phone: "{{ phone }}"
  responsible: Анна
  fields:
    Telegram: "@bot"
lead:
  name: Заявка
  price: 100
  pipeline: Воронка
  status: Переговоры
  responsible: anna@example.com
  fields:
    Источник: "{{ source | lookup('source_names') }}"
    Бюджет: 150 000 руб.
    Город: {value: Москва, write: create}
"""


class Mistake(NamedTuple):
    """One line of a file that fits the account replaced by others, and the problems that are to be told."""

    file: str
    line: int
    replacement: str
    told: str


def mistakes() -> list[Mistake]:
    found = []
    for chapter in ("\n" + BOOK.read_text(encoding="utf-8")).split("\n=== line ")[1:]:
        head, rest = chapter.split("\n", 1)
        line, file = head.split(" of ")
        replacement, _, told = rest.partition("\n=>\n")
        found.append(Mistake(file, int(line), replacement, told.strip("\n")))
    return found


async def _read() -> bytes:
    async with (
        Sandbox(rate=0) as sandbox,
        AmoCRMClient(sandbox.url, LongLivedToken(sandbox.long_lived_token())) as amocrm,
    ):
        return (await load(amocrm)).to_json()


@pytest.fixture(scope="module")
def starter() -> bytes:
    """The catalogue of the account a sandbox starts with."""
    return asyncio.run(_read())


@pytest.fixture
def catalogue(starter: bytes) -> Catalogue:
    """That catalogue with some difficult things: a name twice, a computed field, a pipeline in the archive."""
    read = Catalogue.from_json(starter)
    computed = CustomField(1, "LTV", None, "numeric", "leads", is_computed=True)
    twice = [CustomField(number, "Отдел", None, type, "leads") for number, type in ((2, "text"), (3, "select"))]
    by_robots = CustomField(4, "Метка робота", None, "text", "leads", is_api_only=True)
    archived = Pipeline(5, "Старая", False, True, read.pipelines[1].statuses)
    return Catalogue(read.account, (*read.fields, computed, *twice, by_robots), (*read.pipelines, archived), read.users)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that fits the account, and the current folder."""
    (tmp_path / "leadsync.yaml").write_text(PROJECT, encoding="utf-8")
    (tmp_path / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def spoil(file: Path, line: int, replacement: str) -> None:
    lines = file.read_text(encoding="utf-8").split("\n")
    lines[line - 1] = replacement
    file.write_text("\n".join(lines), encoding="utf-8")


def told(catalogue: Catalogue) -> str:
    return "\n".join(map(str, account_problems(load_project(), catalogue)))


@pytest.mark.parametrize("mistake", mistakes(), ids=lambda one: f"{one.file}:{one.line} {json.dumps(one.replacement)}")
def test_a_mistake_is_told_with_its_place_and_what_to_do(mistake: Mistake, folder: Path, catalogue: Catalogue) -> None:
    """Each chapter gives exactly its problems: place, sentence, lines, caret and next step; or none at all."""
    spoil(folder / mistake.file, mistake.line, mistake.replacement.replace("LONG", "д" * 257))
    assert told(catalogue) == mistake.told


def test_the_project_of_the_book_fits(folder: Path, catalogue: Catalogue) -> None:
    """Without a mistake nothing is told."""
    assert told(catalogue) == ""


def test_a_status_is_looked_for_in_every_pipeline_the_record_may_choose(folder: Path, catalogue: Catalogue) -> None:
    """Where only a record tells the pipeline, a status that no pipeline has is told, and one of any passes."""
    spoil(folder / "mapping.yaml", 11, '  pipeline: "{{ metadata.pipeline }}"')
    spoil(folder / "mapping.yaml", 12, "  status: Ждём оплату")
    assert told(catalogue) == ""
    spoil(folder / "mapping.yaml", 12, "  status: Продано")
    assert told(catalogue).startswith("mapping.yaml:12:11: no pipeline of the account has a status «Продано»\n")
    spoil(folder / "mapping.yaml", 11, "  pipeline: \"{{ 'Воронка' if budget else 'Повторные продажи' }}\"")
    assert told(catalogue).startswith("mapping.yaml:12:11: no pipeline of the account has a status «Продано»\n")


def test_a_pipeline_in_the_archive_is_a_doubt_by_its_id(folder: Path, catalogue: Catalogue) -> None:
    """Its name is refused; its id was looked up by somebody, so it is warned about and goes through."""
    spoil(folder / "mapping.yaml", 11, "  pipeline: 5")
    spoil(folder / "mapping.yaml", 12, "  status: Новое обращение")
    (warning,) = name_warnings(load_project(), catalogue)
    assert told(catalogue) == ""
    assert str(warning).startswith("mapping.yaml:11:13: this pipeline is archived: nobody looks at its leads\n")
    assert warning.do == "name a living one"


def test_users_that_are_not_shown_are_named_by_id(folder: Path, catalogue: Catalogue) -> None:
    """A token of no administrator cannot check a name, says so, and takes any id."""
    catalogue.become(replace_users(catalogue))
    assert [str(one.place) for one in account_problems(load_project(), catalogue)] == [
        "mapping.yaml:5:16",
        "mapping.yaml:13:16",
    ]
    assert "give the user's id: only an administrator's token may list the users" in told(catalogue)
    spoil(folder / "mapping.yaml", 5, "  responsible: 10450722")
    spoil(folder / "mapping.yaml", 13, "  responsible: 10450722")
    assert told(catalogue) == ""


def replace_users(catalogue: Catalogue) -> Catalogue:
    return Catalogue(catalogue.account, catalogue.fields, catalogue.pipelines, ())


def test_without_a_main_pipeline_a_status_alone_means_nothing(folder: Path, catalogue: Catalogue) -> None:
    """An account that shows no main pipeline: the mapping has to name one, unless it names no status either."""
    pipelines = tuple(replace(one, is_main=False) for one in catalogue.pipelines)
    catalogue.become(Catalogue(catalogue.account, catalogue.fields, pipelines, catalogue.users))
    spoil(folder / "mapping.yaml", 11, "")
    assert told(catalogue).startswith("mapping.yaml:9:3: the account shows no main pipeline\n")
    spoil(folder / "mapping.yaml", 12, "")
    assert told(catalogue) == ""


def test_a_row_that_two_mappings_use_is_told_once(folder: Path, catalogue: Catalogue) -> None:
    """A wrong row of a table is one mistake, however many mappings read it; it stands before the mappings' own."""
    spoil(folder / "leadsync.yaml", 6, "    avito: Авито")
    spoil(folder / "leadsync.yaml", 10, "  talks: {type: jsonl, path: x, mapping: {a: mapping.yaml, b: second.yaml}}")
    (folder / "second.yaml").write_text(MAPPING, encoding="utf-8")
    spoil(folder / "mapping.yaml", 13, "  responsible: Вера")
    places = [str(one.place) for one in account_problems(load_project(), catalogue)]
    assert places == ["leadsync.yaml:6:12", "mapping.yaml:13:16"]


def test_the_book_is_thick_enough() -> None:
    """Dropping a kind of mistake from the book is noticed."""
    assert len(mistakes()) >= 70
    assert len([one for one in mistakes() if one.told]) >= 50
