"""Every kind of mistake in the two files: what a person sees, to the letter. `mistakes.txt` holds them, readable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from leadsync.config.loader import load_project
from leadsync.errors import ConfigurationError, Problem

BOOK = Path(__file__).with_name("mistakes.txt")


class Mistake(NamedTuple):
    """One line of a valid file replaced by others, and the problems that are to be told."""

    file: str
    line: int
    replacement: str
    told: str


def mistakes() -> list[Mistake]:
    found = []
    for chapter in ("\n" + BOOK.read_text()).split("\n=== line ")[1:]:
        head, rest = chapter.split("\n", 1)
        line, file = head.split(" of ")
        replacement, told = rest.split("\n=>\n")
        found.append(Mistake(file, int(line), replacement, told.strip("\n")))
    return found


@pytest.mark.parametrize("mistake", mistakes(), ids=lambda one: f"{one.file}:{one.line} {json.dumps(one.replacement)}")
def test_a_mistake_is_told_with_its_place_its_lines_and_the_nearest_name(
    mistake: Mistake, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each mistake gives exactly the problems of the book: place, sentence, lines, caret and next step."""
    monkeypatch.setenv("REGION", "Moscow")
    monkeypatch.setenv("RATE", "fast")
    spoil(folder / mistake.file, mistake.line, mistake.replacement)
    with pytest.raises(ConfigurationError) as caught:
        load_project()
    assert "\n".join(map(str, caught.value.problems)) == mistake.told
    assert caught.value.exit_code == 78


def test_the_book_is_thick_enough() -> None:
    """Dropping a kind of mistake from the book is noticed."""
    assert len(mistakes()) >= 110
    assert {mistake.file for mistake in mistakes()} == {"leadsync.yaml", "mapping.yaml"}


def test_all_mistakes_of_all_files_are_told_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One load tells what is wrong in .env, in the environment, in leadsync.yaml and in every mapping."""
    monkeypatch.setenv("AMOCRM_BASE_URL", "http://example.com")
    (folder / ".env").write_text("AMOCRM_CLIENT_ID=1\n= nothing\n")
    spoil(folder / "leadsync.yaml", 21, "    mapping: {a: mapping.yaml, b: second.yaml, c: third.yaml}\n    limit: 0")
    spoil(folder / "leadsync.yaml", 12, "  timezone: Mars/Olympus")
    spoil(folder / "leadsync.yaml", 3, "  subdomain: ${WHERE}\n  subdomain: x\n  colour: red")
    spoil(folder / "mapping.yaml", 10, "  nmae: Talk")
    (folder / "second.yaml").write_text("key: {{ id }}\nlead: {price: [1]}\n")
    assert places() == [
        ".env:2",
        "the environment",
        "leadsync.yaml:3:14",
        "leadsync.yaml:4:3",
        "leadsync.yaml:5:3",
        "leadsync.yaml:14:13",
        "leadsync.yaml:23:51",
        "leadsync.yaml:24:12",
        "mapping.yaml:10:3",
        "second.yaml:1:6",
        "second.yaml:2:15",
    ]


def test_a_mapping_is_told_about_even_when_leadsync_yaml_is_no_project(folder: Path) -> None:
    """A missing section hides nothing: the mappings that can be found are read all the same."""
    (folder / "leadsync.yaml").write_text("sources:\n  talks:\n    mapping: mapping.yaml\n")
    spoil(folder / "mapping.yaml", 1, "")
    assert places() == ["leadsync.yaml:1:1", "leadsync.yaml:1:1", "leadsync.yaml:2:3", "mapping.yaml:2:1"]


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "- a\n", "text", "5", "sources: []", "sources:\n"])
def test_a_file_that_is_no_mapping_of_keys_is_told_about(folder: Path, text: str) -> None:
    """An empty file, a list or a bare word in the place of leadsync.yaml is a problem, not a crash."""
    (folder / "leadsync.yaml").write_text(text)
    assert {place.split(":")[0] for place in places()} == {"leadsync.yaml"}


def test_an_empty_file_is_called_empty(folder: Path) -> None:
    """Nothing but comments: the message says so instead of naming types."""
    (folder / "leadsync.yaml").write_text("# nothing yet\n")
    assert [problem.what for problem in problems()] == ["the file is empty"]


def test_a_mapping_that_makes_nothing_is_told_about(folder: Path) -> None:
    """Neither lead nor contact, and no mapper of its own: nothing could ever be written."""
    (folder / "mapping.yaml").write_text("key: x\nnote: y\nlead:\n")
    assert [problem.what for problem in problems()] == ["this mapping makes nothing: it has neither lead nor contact"]


@pytest.mark.parametrize("mapper", ["origami", "my_package:MyMapper"])
def test_a_mapping_with_a_mapper_of_its_own_needs_no_lead(folder: Path, mapper: str) -> None:
    """A plugin decides what it makes; it is named as installed, or as package:Class."""
    (folder / "mapping.yaml").write_text(f"key: x\nmapper: {mapper}\n")
    mapping = load_project().sources["talks"].mappings[None]
    assert mapping.file.mapper == mapper


def test_a_name_out_of_a_variable_is_not_repeated(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin or mapper that a variable names wrongly is told about without what the variable holds."""
    monkeypatch.setenv("KIND", "shelv")
    spoil(folder / "leadsync.yaml", 19, "    type: ${KIND}")
    spoil(folder / "mapping.yaml", 18, "mapper: ${KIND}")
    assert "shelv" not in told()
    assert [problem.do for problem in problems() if problem.do] != []
    assert all("installed are: " in str(problem.do) for problem in problems())


def test_a_problem_found_twice_is_told_once_and_a_missing_file_wherever_it_is_named(folder: Path) -> None:
    """Two sources with one spoilt mapping: its mistake once; with one missing mapping: both places."""
    again = "  more:\n    type: shelf\n    path: more\n    mapping: {a: mapping.yaml, b: none.yaml}\n"
    spoil(folder / "leadsync.yaml", 21, "    mapping: {a: mapping.yaml, b: none.yaml}\n" + again)
    spoil(folder / "mapping.yaml", 6, "  nmae: x")
    assert places() == ["leadsync.yaml:21:35", "leadsync.yaml:25:35", "mapping.yaml:6:3"]


SECRET = "qX7-do-not-show-4Zt"


@pytest.mark.parametrize(
    ("line", "replacement"),
    [
        (3, "  subdomain: ${SECRET}!"),
        (3, f"  subdomain: example\n  client_secret: {SECRET}"),
        (3, f"  subdomain: example\n  access-token: '{SECRET}'"),
        (3, f"  subdomain: example\n  password: [{SECRET}"),
        (4, "  domain: ${SECRET}"),
        (4, "  domain: ${NONE:?see ${SECRET}}"),
        (5, "  requests_per_second: ${SECRET}"),
        (5, "  requests_per_second: [${SECRET}]"),
        (9, f"  ulr: redis://:{SECRET}@redis:6379/0"),
        (9, f"  url: http://user:{SECRET}@redis:6379/0"),
        (9, "  url: ${SECRET}"),
        (11, "  country: ${SECRET}"),
        (12, "  timezone: ${SECRET}"),
        (19, "    type: ${SECRET}"),
        (20, "    path: ${SECRET}\n    limit: 13"),
        (20, "    path: talks\n    limit: ${SECRET}"),
        (20, "    path: talks\n    start: ${SECRET}"),
        (21, "    mapping: ${SECRET}"),
    ],
)
def test_no_secret_stands_in_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, line: int, replacement: str
) -> None:
    """What a variable holds, and what is written beside a secret's name or in a login, is never shown."""
    monkeypatch.setenv("SECRET", SECRET)
    spoil(folder / "leadsync.yaml", line, replacement)
    assert SECRET not in told()


def test_a_token_pasted_anywhere_is_starred(folder: Path) -> None:
    """amoCRM's tokens are known by how they begin, wherever somebody puts them."""
    spoil(folder / "leadsync.yaml", 4, "  domain: eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJhdWQiOiIx.c2ln")
    assert "eyJ0" not in told()
    assert "  domain: *****" in told()


def spoil(file: Path, line: int, replacement: str) -> None:
    lines = file.read_text().split("\n")
    lines[line - 1] = replacement
    file.write_text("\n".join(lines))


def problems() -> tuple[Problem, ...]:
    with pytest.raises(ConfigurationError) as caught:
        load_project()
    return caught.value.problems


def places() -> list[str]:
    return [str(problem.place) for problem in problems()]


def told() -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_project()
    return str(caught.value) + repr(caught.value) + repr(caught.value.problems)
