"""The file of a saved plan: what it holds, and the checksum over what it means.

    kind             "leadsync plan"
    format_version   1
    leadsync         the version that made it
    created_at       when, in UTC
    account, source  whom it is for, and where the records come from
    selection        {"limit", "record"} as they were given
    files            {FILE: digest}: leadsync.yaml and the mappings, as far as they shape a plan
    records          by key, those with something to do or to say:
      key            the record's key; its place, when it could not be read
      talk           a digest of the record, null when it could not be read
      changes, kept  as in `dry-run --format json`
      refused        [{"field", "reason"}]
      reason         why nothing is done for its lead
    checksum         over all of that but `leadsync`, `created_at`, and words for people (`why`, `reason`, `origin`, …)

The same records, mappings and account give the same checksum, in whatever order and at whatever time they are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from os.path import relpath
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict

from leadsync.config.loader import Project
from leadsync.intake import keepable
from leadsync.records import Record
from leadsync.sync.changes import Action, Entity, digest

KIND = "leadsync plan"
FORMAT = 1


class _Part(BaseModel):
    """What counts of a part of the file; anything else in it is for people."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class SavedField(_Part):
    """A value as people read it."""

    name: str
    before: str | None
    after: str | None


class SavedChange(_Part):
    """An item that is sent; ids that did not exist then are references (`@contact:KEY`, `@lead:KEY`)."""

    entity: Entity
    action: Action
    id: int | None
    fields: list[SavedField]
    payload: dict[str, Any]


class SavedKept(_Part):
    """A value that stays."""

    entity: Entity
    id: int
    name: str
    now: str | None
    wanted: str


class SavedRefusal(_Part):
    """Why a record cannot go on."""

    field: str | None
    reason: str


class SavedRecord(_Part):
    """One record with something to do or to say."""

    key: str
    talk: str | None
    changes: list[SavedChange]
    kept: list[SavedKept]
    refused: list[SavedRefusal]
    reason: str


class SavedSelection(_Part):
    """Which records were asked for."""

    limit: int | None
    record: str | None


class SavedPlan(_Part):
    """The whole file."""

    kind: str
    format_version: int
    leadsync: str
    created_at: str
    account: str
    source: str
    selection: SavedSelection
    files: dict[str, str]
    records: list[SavedRecord]

    @property
    def checksum(self) -> str:
        """The same for the same meaning: order and time do not count, nor does the leadsync that wrote it."""
        meaning = self.model_dump(exclude={"leadsync", "created_at"})
        meaning["records"] = sorted(meaning["records"], key=lambda one: str(one["key"]))
        return f"sha256:{sha256(orjson.dumps(meaning, option=orjson.OPT_SORT_KEYS)).hexdigest()}"

    @property
    def changes(self) -> int:
        """How many items it holds."""
        return sum(len(one.changes) for one in self.records)


def talk_digest(record: Record) -> str:
    """A fingerprint of everything a record holds."""
    return _fingerprint(keepable(record) or ascii(record))


def file_digests(project: Project, source: str) -> dict[str, str]:
    """Fingerprints of what the files say about a source's plan, with their variables filled in.

    Comments, limits of speed and `tests:` do not count: they change nothing that is sent.
    """
    file = project.file
    shared: Mapping[str, Any] = {
        "defaults": file.defaults.model_dump(),
        "tables": file.tables,
        "emoji": file.amocrm.four_byte_characters,
        "source": file.sources[source].model_dump(),
    }
    digests = {_shown(project, project.path): _fingerprint(shared)}
    for mapping in project.sources[source].mappings.values():
        digests[_shown(project, mapping.path)] = _fingerprint(mapping.file.model_dump(exclude={"tests"}))
    return digests


def _shown(project: Project, path: Path) -> str:
    return Path(relpath(path, project.folder)).as_posix()


def _fingerprint(data: Any) -> str:
    options = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
    return digest(orjson.dumps(data, default=str, option=options).decode())
