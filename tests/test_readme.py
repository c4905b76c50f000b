"""The README: complete, and nothing in it that is not so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from leadsync.cli import COMMANDS
from leadsync.config import models
from leadsync.settings import Settings
from tests.cli.terminal import run

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
SECTIONS = (
    *(models.ProjectFile, models.AmoCRMSection, models.RedisSection, models.DefaultsSection, models.SafetySection),
    *(models.SourceSection, models.MappingFile, models.ContactSection, models.LeadSection, models.LongValue),
)


def keys() -> Iterator[tuple[str, str]]:
    """Every key that leadsync.yaml and a mapping may hold, with the section it belongs to."""
    for section in SECTIONS:
        fields: type[BaseModel] = section
        for name in fields.model_fields:
            yield section.__name__, name


@pytest.mark.parametrize(("section", "key"), list(keys()))
def test_every_key_is_named(section: str, key: str) -> None:
    """Whatever may stand in the two files stands in the README, too."""
    assert re.search(rf"\b{key}\b", README), f"{section}.{key}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_row(name: str) -> None:
    """The table of commands has all of them."""
    assert re.search(rf"^\| `leadsync {name}[ `]", README, re.MULTILINE)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_variable_is_named(name: str) -> None:
    """Every variable that is read from the environment is explained."""
    assert f"`{name.upper()}`" in README


async def test_the_examples_can_be_used(tmp_path: Path) -> None:
    """leadsync.yaml, the mapping and the cases of the README are a project without a mistake."""
    project, mapping, cases = BLOCKS
    (tmp_path / "mappings").mkdir()
    (tmp_path / "leadsync.yaml").write_text(project, "utf-8")
    for name in ("telegram", "avito", "web"):
        (tmp_path / f"mappings/{name}.yaml").write_text(mapping, "utf-8")
    (tmp_path / "mappings/telegram.tests.yaml").write_text(cases, "utf-8")
    ended = await run(tmp_path, "validate", "--offline")
    assert (ended.code, ended.err) == (0, "")
    assert "3 mappings" in ended.out
    assert "1 case" in ended.out
