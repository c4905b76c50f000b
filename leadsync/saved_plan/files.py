"""Saved plans on disk: written whole or not at all, readable by their owner only, read back unchanged or refused."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp
from typing import Any

import orjson
from pydantic import ValidationError

from leadsync.config.reading import shown_path
from leadsync.errors import ConfigurationError, StartRefused
from leadsync.saved_plan.document import FORMAT, KIND, SavedPlan

HEAD = 200
"""Bytes at the beginning of a file that tell whether it is a saved plan."""

_KIND = re.compile(rb'^\s*\{\s*"kind"\s*:\s*"' + KIND.encode() + b'"')

MAKE = "make one: leadsync dry-run --out plan.json"


def check_target(path: Path) -> None:
    """Raise ConfigurationError unless a saved plan may be written there; to be asked before the work begins."""
    shown = shown_path(path)
    if str(path) == "-":
        raise ConfigurationError(
            "a saved plan needs a file of its own", where="--out -", do="name one: --out plan.json; it is private"
        )
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise ConfigurationError("no file can be made in that folder", where=shown, do="choose another folder")
    if os.path.lexists(path) and not _is_plan(path):
        raise ConfigurationError(
            "there is something else of that name: it is not overwritten", where=shown, do="choose another name"
        )


def write_plan(path: Path, document: Mapping[str, Any]) -> SavedPlan:
    """Write a saved plan with its checksum, in place of an older one. Raises OSError.

    It holds what is sent, with names and phones: nobody but its owner may read it.
    """
    saved = SavedPlan.model_validate(orjson.loads(orjson.dumps(document)))
    text = orjson.dumps({**document, "checksum": saved.checksum}, option=orjson.OPT_INDENT_2)
    descriptor, temporary = mkstemp(dir=path.parent, prefix=f".{path.name}.")  # with mode 0600
    try:
        with open(descriptor, "wb") as file:
            file.write(text + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    return saved


def read_plan(path: Path) -> SavedPlan:
    """Read a saved plan. Raises ConfigurationError for what is none, StartRefused for one that was changed."""
    raw, shown = _bytes_of(path), shown_path(path)
    if not _KIND.match(raw[:HEAD]):
        raise ConfigurationError("this is no saved plan", where=shown, do=MAKE)
    try:
        data = orjson.loads(raw)
        version = data["format_version"]
        if type(version) is int and version > FORMAT:
            raise StartRefused(
                f"this plan has format {version}; this leadsync reads {FORMAT}",
                where=shown,
                do=f"upgrade leadsync, or {MAKE}",
            )
        saved = SavedPlan.model_validate(data)
        whole = data["checksum"] == saved.checksum
    except (orjson.JSONDecodeError, ValidationError, KeyError):
        whole = False
    if not whole:
        raise StartRefused(
            "this plan was changed after it was made: its checksum does not fit",
            where=shown,
            do=f"leave it as it was, or {MAKE}",
        )
    return saved


def _is_plan(path: Path) -> bool:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            return False
        with path.open("rb") as file:
            return _KIND.match(file.read(HEAD)) is not None
    except OSError:
        return False


def _bytes_of(path: Path) -> bytes:
    shown = shown_path(path)
    try:
        if not path.exists():
            raise ConfigurationError("there is no such plan", where=shown, do=f"check the path, or {MAKE}")
        if not path.is_file():
            raise ConfigurationError("this is no file", where=shown, do=MAKE)
        return path.read_bytes()
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        raise ConfigurationError(f"the plan cannot be read: {reason}", where=shown, do="see who may read it") from None
