"""Mappings and records made for a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from leadsync.config.document import read_document
from leadsync.config.models import MappingFile
from leadsync.mapping.desired import Desired
from leadsync.mapping.talk import Noted, talk_since
from leadsync.mapping.yaml_mapper import MapperContext, YamlMapper
from leadsync.records import Record

MOSCOW = ZoneInfo("Europe/Moscow")
CONTEXT = MapperContext("RU", MOSCOW, {"source_names": {"telegram": "Telegram Bot", "avito": "Avito Messenger"}})


def record(**fields: Any) -> Record:
    """A record with an id and a source, and what the test names."""
    return Record.from_mapping({"id": "1", "source": "telegram", **fields}, zone=MOSCOW)


def mapper(folder: Path, text: str, context: MapperContext = CONTEXT) -> YamlMapper:
    """The mapper of a mapping file with this text."""
    path = folder / "mapping.yaml"
    path.write_text(text, encoding="utf-8")
    document = read_document(path, {})
    return YamlMapper(MappingFile.model_validate(document.data), document, context)


def desired(made: YamlMapper, one: Record, noted: Noted | None = None) -> Desired:
    """What the mapper wants for a record."""
    return made.map(one, talk_since(one, noted)[0])


def rendered(folder: Path, template: str, one: Record | None = None) -> str:
    """What one template makes of a record."""
    lines = "".join(f"    {line}\n" for line in template.split("\n"))
    made = mapper(folder, f"key: k\nlead:\n  name: |\n{lines}")
    lead = desired(made, one or record()).lead
    assert lead is not None
    return lead.values[0].text if lead.values else ""
