"""Excerpts: what is wrong in a file, as a terminal takes it.

Sentences are wrapped between words; lines of the file are cut around the mistake, so that the caret stays under it.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence

from leadsync.errors import ConfigurationError, LeadsyncError, Problem

_CARET = "^"
_ELLIPSIS = "…"
_QUOTED = re.compile("`[^`\n]{1,30}`")
"""A command or a name that stays in one line."""
_GLUE = "\x1f"
"""Stands for a space at which no line is broken; YAML holds no such character."""


def error_lines(error: LeadsyncError, columns: int) -> Iterator[str]:
    """What is said of an error that ends a command, in lines of at most so many columns."""
    problems = error.problems if isinstance(error, ConfigurationError) else ()
    yield from _sentences(f"leadsync: {LeadsyncError.__str__(error)}", columns)
    for problem in problems:
        yield from problem_lines(problem, columns)


def problem_lines(problem: Problem, columns: int, indent: str = "") -> Iterator[str]:
    """A mistake, and the lines of its file, in lines of at most so many columns; a place is never cut."""
    yield from _sentences(f"{indent}{problem.place}: {problem.what}", columns)
    for line in _cut(problem.lines, columns - len(indent) - 4):
        yield f"{indent}    {line}"
    if problem.do:
        yield from _sentences(f"{indent}  what to do: {problem.do}", columns)


def _sentences(text: str, columns: int) -> Iterator[str]:
    for line in _QUOTED.sub(lambda found: found[0].replace(" ", _GLUE), text).splitlines():
        hanging = " " * (len(line) - len(line.lstrip(" ")) + 2)
        wrapped = textwrap.wrap(
            line, columns, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False
        )
        yield from (part.replace(_GLUE, " ") for part in wrapped)


def _cut(lines: Sequence[str], columns: int) -> list[str]:
    """The lines from the same column on, so that the caret and what it points at are to be seen."""
    caret = max((len(line) for line in lines if line.strip() == _CARET), default=0)
    start = max(0, caret - columns * 2 // 3) if max(map(len, lines), default=0) > columns else 0
    return [_windowed(line, start, columns) for line in lines]


def _windowed(line: str, start: int, columns: int) -> str:
    if line.strip() == _CARET:
        return line[start:]
    shown = line if not start else _ELLIPSIS + line[start + 1 :] if len(line) > start else ""
    return shown if len(shown) <= columns else shown[: columns - 1] + _ELLIPSIS
