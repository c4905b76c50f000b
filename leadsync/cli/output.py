"""Output: results on stdout, progress and warnings on stderr; colour and bars only on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Self

import orjson
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from leadsync.cli.streams import RESULTS, takes_unicode
from leadsync.events import Event, RecordsDone, RequestFinished, RequestRetried
from leadsync.report.line import Line

_HANGING = 2
"""Columns by which a wrapped line goes on to the right of its beginning."""

_PIECE = 1 << 16
"""Characters written at a time: an unbuffered stdout (PYTHONUNBUFFERED) drops the rest of a write cut short."""


class _Console(Console):
    """rich, without its own end for a closed pipe."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console() -> Console:
    """The console for results; its lines are broken by `print_lines` alone, and on a terminal only."""
    return _Console(file=sys.stdout, highlight=False, markup=False, soft_wrap=True)


def error_console() -> Console:
    """The console for everything that is no result."""
    return _Console(file=sys.stderr, highlight=False, markup=False, soft_wrap=True)


def print_lines(lines: Iterable[Line | Text | str]) -> None:
    """Print a result line by line; on a terminal long lines are wrapped between words, under their own beginning."""
    out = console()
    for line in lines:
        text = Text(line) if isinstance(line, str) else line.styled() if isinstance(line, Line) else line
        for part in _wrapped(text, out) if sys.stdout.isatty() else (text,):
            out.print(part)


def _wrapped(text: Text, out: Console) -> Iterator[Text]:
    for line in text.split("\n", allow_blank=True):
        if line.cell_len <= out.width:
            yield line
            continue
        indent = min(len(line.plain) - len(line.plain.lstrip(" ")), out.width // 2)
        first, *others = line[indent:].wrap(out, out.width - indent - _HANGING)
        yield Text(" " * indent).append_text(first)
        for other in others:
            yield Text(" " * (indent + _HANGING)).append_text(other)


def print_json(document: Any) -> None:
    """Print one JSON document; where stdout has no Unicode, with escapes, so that no character is lost."""
    text = orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
    if not takes_unicode():
        text = json.dumps(orjson.loads(text), indent=2)
    _write([text, "\n"])


def print_document(parts: Iterable[str]) -> None:
    """Print a document as it is, without wrapping or colour; where stdout has no Unicode, with HTML's escapes."""
    _write(parts if takes_unicode() else (one.encode("ascii", "xmlcharrefreplace").decode() for one in parts))


def _write(parts: Iterable[str]) -> None:
    RESULTS.begun = True
    for part in parts:
        for start in range(0, len(part), _PIECE):
            sys.stdout.write(part[start : start + _PIECE])
    sys.stdout.flush()


class ProgressBar:
    """A listener that draws how far a run is, on a terminal only.

    It counts the records that are done, and names no total: nobody knows it before the source is read to its end.
    """

    def __init__(self, what: str) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[done]}"),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=error_console(),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._progress.add_task(what, total=None, done="", note="")
        self._requests = 0
        self.begin(what)

    def begin(self, what: str) -> None:
        """Count from nothing again, for the next thing that is done."""
        self._done = 0
        self._progress.update(self._task, description=what, done="reading…")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        if isinstance(event, RecordsDone) and event.count:
            self._done += event.count
            self._progress.update(self._task, done=f"{self._done} record{'' if self._done == 1 else 's'}")
        elif isinstance(event, RequestFinished):
            self._requests += 1
            self._progress.update(self._task, note=f"{self._requests} request{'' if self._requests == 1 else 's'}")
        elif isinstance(event, RequestRetried):
            self._progress.update(self._task, note=f"waiting {event.wait:.0f} s: {event.reason}")
