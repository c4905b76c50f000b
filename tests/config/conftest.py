"""A project folder to spoil, and a source plugin of the tests' own, installed as any plugin is: by an entry point."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from leadsync import plugins

PROJECT = """\
version: 1
amocrm:
  subdomain: example
  domain: amocrm.ru
  requests_per_second: 6.5
  batch_size: 50
  four_byte_characters: strip
redis:
  url: embedded
defaults:
  country: RU
  timezone: Europe/Moscow
tables:
  names: {telegram: Bot}
safety:
  max_new_leads: 10
sources:
  talks:
    type: shelf
    path: talks
    mapping: mapping.yaml
"""

MAPPING = """\
key: "{{ id }}"
when: "{{ phone }}"
key_field: Key
contact:
  match: [phone, email]
  name: "{{ user_name }}"
  fields:
    CITY: "{{ metadata.city }}"
lead:
  name: Talk
  match: none
  tags: [a, b]
  fields:
    612345: "{{ budget }}"
    Budget: {value: "{{ budget }}", write: overwrite}
note: |
  {{ conversation_history }}
tests: []
"""

PLUGIN = """
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Corner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    width: int = Field(1, description="in columns")


class Shelf:
    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid")

        path: str
        limit: int = Field(10, ge=1, le=99)
        start: int | bool = 0
        corner: Corner | None = None
        labels: dict[str, str] = {}
        names: list[str] = Field([], max_length=2)
        address: str = Field("", alias="at")

        @field_validator("path")
        @classmethod
        def readable(cls, path):
            if path.startswith("locked"):
                raise ValueError(f"{path} is locked")
            return path

        @model_validator(mode="after")
        def check(self):
            if self.limit == 13:
                raise ValueError(f"13 is no limit for {self.path}")
            return self


class Bare:
    pass
"""

ENTRY_POINTS = """
[leadsync.sources]
shelf = test_shelf:Shelf
bare = test_shelf:Bare
torn = test_shelf_torn:Torn

[leadsync.mappers]
origami = test_shelf:Bare
"""


@pytest.fixture(autouse=True)
def shelf_plugin(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The source types `shelf`, `bare` (without Options) and `torn` (cannot be imported), the mapper `origami`."""
    site = tmp_path_factory.mktemp("site")
    (site / "test_shelf.py").write_text(PLUGIN)
    (site / "shelf-1.dist-info").mkdir()
    (site / "shelf-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: shelf\nVersion: 1\n")
    (site / "shelf-1.dist-info" / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    importlib.invalidate_caches()
    plugins.installed.cache_clear()
    yield
    sys.modules.pop("test_shelf", None)
    plugins.installed.cache_clear()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the person who runs the tests reaches them."""
    for name in os.environ:
        if name.upper().startswith(("AMOCRM_", "REDIS_", "LEADSYNC_")):
            monkeypatch.delenv(name)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A valid project, and the current folder."""
    (tmp_path / "leadsync.yaml").write_text(PROJECT)
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    monkeypatch.chdir(tmp_path)
    return tmp_path
