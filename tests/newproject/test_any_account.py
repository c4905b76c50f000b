"""Whatever the account's people call their things, the project that is written works as it is."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from leadsync.amocrm.catalogue import Catalogue, CustomField, FieldOption, Pipeline, Status
from leadsync.config.loader import Project, load_project
from leadsync.config.schema import mapping_schema, project_schema
from leadsync.intake import account_problems, compile_mappings
from leadsync.newproject.files import MAPPING_PATH, project_texts
from leadsync.newproject.found_talks import FoundTalks
from leadsync.newproject.project_file import ProjectFacts
from leadsync.newproject.yaml_text import flat, quoted
from leadsync.sync.names import name_warnings
from tests.newproject.accounts import account, catalogues

PROJECT = jsonschema.Draft202012Validator(project_schema())
FACTS = ProjectFacts(subdomain="firm", domain="amocrm.ru", redis_url="embedded")
TALKS = st.sampled_from(
    [
        FoundTalks(),
        FoundTalks(5, "a:*", ("metadata.city",), ("telegram", "vk")),
        FoundTalks(5, "*", ("phone",), ()),
    ]
)
_COMMENTED = re.compile(r'^    # (?=(?:".*"|[A-Z][A-Z0-9_]{3,}|\d+): ")', re.MULTILINE)


def written(folder: Path, texts: dict[str, str]) -> Project:
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return load_project(folder / "leadsync.yaml")


def all_filled(texts: dict[str, str]) -> dict[str, str]:
    """The files after somebody took the # away from every field."""
    return {**texts, MAPPING_PATH: _COMMENTED.sub("    ", texts[MAPPING_PATH])}


def problems(project: Project, catalogue: Catalogue) -> list[str]:
    compile_mappings(project)
    return [str(one) for one in (*account_problems(project, catalogue), *name_warnings(project, catalogue))]


TWINS = Catalogue(
    account(),
    (
        CustomField(11, "Дубль", None, "text", "leads"),
        CustomField(12, "Дубль", None, "numeric", "leads"),
        CustomField(13, "Источник", None, "select", "leads", (FieldOption(1, "Telegram 😀"), FieldOption(2, "${X}"))),
        CustomField(14, "Бюджет: \"{{ 'x' }}\" # 😀\n", None, "numeric", "leads"),
    ),
    (Pipeline(5, "{{ x }}", True, False, (Status(51, "${HOME}", 5),)),),
    (),
)


@settings(max_examples=50)
@given(catalogue=catalogues(), talks=TALKS, domain=st.sampled_from(["amocrm.ru", "kommo.com"]))
@example(catalogue=TWINS, talks=FoundTalks(), domain="amocrm.ru")
def test_any_account_gives_a_project_that_passes(catalogue: Catalogue, talks: FoundTalks, domain: str) -> None:
    """Both files load, every template can be read, and the account has every name and takes every fixed value.

    The same holds after somebody took the # away from every field, and the schemas find nothing wrong either.
    """
    facts = ProjectFacts(subdomain="firm", domain=domain, redis_url="embedded", match=talks.match or "dialog:*")
    texts = dict(project_texts(facts, catalogue, talks).texts)
    with tempfile.TemporaryDirectory() as folder:
        for made in (texts, all_filled(texts)):
            project = written(Path(folder), made)
            assert problems(project, catalogue) == []
            PROJECT.validate(project.document.data)
            (mapping,) = project.sources["redis-dialogs"].mappings.values()
            jsonschema.validate(_as_json(mapping.document.data), mapping_schema(catalogue))


def _as_json(data: dict) -> dict:
    """What an editor makes of keys that are numbers."""
    contact, lead = (
        {str(key): one for key, one in (data[part]["fields"] or {}).items()} for part in ("contact", "lead")
    )
    return {**data, "contact": {**data["contact"], "fields": contact}, "lead": {**data["lead"], "fields": lead}}


@settings(max_examples=30)
@given(catalogue=catalogues())
def test_every_field_is_there(catalogue: Catalogue) -> None:
    """Each field of leads and contacts that a text can fill is a line, filled or not; nothing of companies is."""
    texts = dict(project_texts(FACTS, catalogue, FoundTalks()).texts)
    with tempfile.TemporaryDirectory() as folder:
        project = written(Path(folder), all_filled(texts))
        (mapping,) = project.sources["redis-dialogs"].mappings.values()
        file = mapping.file
        found = {catalogue.field("leads", name).id for name in file.lead.fields}
        found |= {catalogue.field("contacts", name).id for name in file.contact.fields}
        found |= set() if file.key_field is None else {catalogue.field("leads", file.key_field).id}
    closed = {"file", "chained_list"}
    own = {"PHONE", "EMAIL"}
    assert found == {
        one.id
        for one in catalogue.fields
        if one.entity != "companies"
        and not one.is_computed
        and one.type not in closed
        and not (one.entity == "contacts" and one.code in own)
    }


@given(text=st.text() | st.text(alphabet="\"'\\\n\r\t\x00\x85\u2028\ufeff😀:#{}$ x"))
def test_quoted_text_reads_back(text: str) -> None:
    """Any text in quotes is one line, and YAML reads the same text out of it."""
    line = quoted(text)
    assert len(line.splitlines()) <= 1
    assert yaml.safe_load(line) == text


@given(text=st.text())
def test_a_comment_stays_a_comment(text: str) -> None:
    """A text in a comment is one line without control characters, and not long."""
    comment = flat(text, 40)
    assert comment.isprintable()
    assert len(comment) <= 40


@pytest.fixture(autouse=True)
def _no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a name like ${HOME} could bring must be seen."""
    monkeypatch.setitem(os.environ, "HOME", "expanded")
