"""jsonl: files with one record a line, read line by line."""

from __future__ import annotations

import asyncio
import glob
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, ClassVar
from zoneinfo import ZoneInfo

from pydantic import Field

from leadsync.errors import ConfigurationError, UnreadableRecord
from leadsync.records import Record
from leadsync.sources.base import RawRecord, Source, SourceOptions
from leadsync.sources.decoding import decode_json, fingerprint, placed, record_of

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes of a line; a longer one is a refused record, and only that much of it is held in memory."""

_BATCH_BYTES = 1024 * 1024
_BOM = b"\xef\xbb\xbf"


class JsonLinesOptions(SourceOptions):
    """What leadsync.yaml may say about files with a record a line."""

    path: str | tuple[str, ...] = Field(description="a file or a glob, or a list of them; from the project's folder")
    source: str | None = Field(None, min_length=1, description="the `source` of records that name none")


class JsonLines(Source):
    """Every line that is not blank is one record.

    A record without a source gets the option `source`, or the name this source has in leadsync.yaml: not the file's
    name, because a file may be renamed, and the source is a part of who a record is. A glob may match nothing as long
    as its folder is there; a plain path must exist.
    """

    Options: ClassVar[type[SourceOptions]] = JsonLinesOptions
    options: JsonLinesOptions

    async def raw_records(self) -> AsyncIterator[RawRecord]:
        """Every line of every file, in order. Raises ConfigurationError for a file that is not there or readable."""
        for path in self._files():
            shown = self._shown(path)
            with closing(_lines(path, shown)) as lines:
                while batch := await asyncio.to_thread(_next_batch, lines):
                    for number, line in batch:
                        yield Line(f"{shown}:{number}", line, self.context.zone, self.options.source or self.name)

    def _files(self) -> list[Path]:
        patterns = (self.options.path,) if isinstance(self.options.path, str) else self.options.path
        return list(dict.fromkeys(path for pattern in patterns for path in self._matching(pattern)))

    def _matching(self, pattern: str) -> list[Path]:
        folder = self.context.folder
        if not glob.has_magic(pattern):
            return [folder / pattern] if (folder / pattern).is_file() else self._missing(pattern, "file")
        fixed = self.context.folder / _fixed_part(pattern)
        begin = glob.escape(str(self.context.folder))
        found = glob.glob(str(Path(begin, pattern)), recursive=True)
        if not found and not fixed.is_dir():
            return self._missing(pattern, "folder")
        return sorted(path for path in map(Path, found) if path.is_file())

    def _missing(self, path: str, kind: str) -> list[Path]:
        raise ConfigurationError(
            f"the {kind} of {path} is not there",
            where=f"sources.{self.name}.path",
            do=f"correct the path (it begins at {self.context.folder}), or make the {kind}",
        )

    def _shown(self, path: Path) -> str:
        return str(path.relative_to(self.context.folder) if path.is_relative_to(self.context.folder) else path)


class Line(RawRecord):
    """A line of a file, not parsed; None for one that is too long to be held."""

    __slots__ = ("_line", "_source", "_zone")

    def __init__(self, place: str, line: bytes | None, zone: ZoneInfo, source: str) -> None:
        super().__init__(place)
        self._line = line
        self._zone = zone
        self._source = source

    def fingerprint(self) -> bytes:
        """Of the line without the white space around it."""
        return fingerprint(self._line or b"")

    def as_found(self) -> str | None:
        """The line; bytes that are no text are shown as escapes."""
        return None if self._line is None else self._line.decode(errors="backslashreplace")

    def read(self) -> Record:
        """Parse it. Raises UnreadableRecord with file, line and reason."""
        try:
            return record_of(self._data(), self._zone, self._source, self.place)
        except UnreadableRecord as error:
            failure = error if error.where else placed(error, self.place)
        raise failure

    def _data(self) -> Any:
        if self._line is None:
            do = "write one record a line; is this a file of another kind?"
            raise UnreadableRecord(f"the line is longer than {LONGEST_LINE:_} bytes", do=do)
        return decode_json(self._line)


def _fixed_part(pattern: str) -> Path:
    """The folders of a glob before its first wildcard."""
    parts = Path(pattern).parts
    fixed = next(at for at, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:fixed])


def _lines(path: Path, shown: str) -> Generator[tuple[int, bytes | None]]:
    """The lines that are not blank, with their numbers from 1. Raises ConfigurationError."""
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(LONGEST_LINE):
                number += 1
                if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                    _skip_line(file)
                    yield number, None
                elif bare := line.removeprefix(_BOM if number == 1 else b"").strip():
                    yield number, bare
    except OSError as error:
        raise ConfigurationError(
            f"the file {shown} cannot be read: {error.strerror}",
            where=shown,
            do="allow reading it, or correct the path",
        ) from error


def _skip_line(file: BinaryIO) -> None:
    while (rest := file.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
        pass


def _next_batch(lines: Iterator[tuple[int, bytes | None]]) -> list[tuple[int, bytes | None]]:
    """About a megabyte of lines, so that reading leaves the event loop alone without holding a whole file."""
    batch, size = [], 0
    for number, line in lines:
        batch.append((number, line))
        size += len(line or b"") + 64
        if size >= _BATCH_BYTES:
            break
    return batch
