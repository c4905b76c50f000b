"""Output: results on stdout, progress and warnings on stderr; colour and bars only on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any, Self

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from leadsync.cli.streams import takes_unicode
from leadsync.events import Event, RecordsDone, RecordsRead, RequestFinished, RequestRetried


_PIECE = 1 << 16
"""Characters written at a time: an unbuffered stdout (PYTHONUNBUFFERED) drops the rest of a write cut short."""


class _Console(Console):
    """rich, without its own end for a closed pipe."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console() -> Console:
    """The console for results; lines are never broken by us, so that they can be piped."""
    return _Console(file=sys.stdout, highlight=False, markup=False, soft_wrap=True)


def error_console() -> Console:
    """The console for everything that is no result."""
    return _Console(file=sys.stderr, highlight=False, markup=False, soft_wrap=True)


def print_lines(lines: Iterable[Text | str]) -> None:
    """Print a result line by line."""
    out = console()
    for line in lines:
        out.print(line)


def print_json(document: Any) -> None:
    """Print one JSON document; where stdout has no Unicode, with escapes, so that no character is lost."""
    text = orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
    if not takes_unicode():
        text = json.dumps(orjson.loads(text), indent=2)
    for start in range(0, len(text), _PIECE):
        sys.stdout.write(text[start : start + _PIECE])
    sys.stdout.write("\n")
    sys.stdout.flush()


class ProgressBar:
    """A listener that draws how far a run is, on a terminal only."""

    def __init__(self, what: str) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=error_console(),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._progress.add_task(what, total=None, note="")
        self._read = 0
        self._requests = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        if isinstance(event, RecordsRead):
            self._read += event.count
            self._progress.update(self._task, total=self._read)
        elif isinstance(event, RecordsDone):
            self._progress.advance(self._task, event.count)
        elif isinstance(event, RequestFinished):
            self._requests += 1
            self._progress.update(self._task, note=f"{self._requests} requests")
        elif isinstance(event, RequestRetried):
            self._progress.update(self._task, note=f"waiting {event.wait:.0f} s: {event.reason}")
