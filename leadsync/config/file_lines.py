"""The lines of a file a person edits: shown beside a problem, with what looks like a secret covered."""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import chain

from leadsync.errors import Place, Problem

WIDTH = 120
"""Characters of a line that are shown; a longer one is cut to the part around the problem."""

_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")  # what YAML 1.1 calls a line break, and its parser counts
_SECRETS = (
    re.compile(r"""(?i)(?:secret|token|password|passwd|api_?key)[\w-]*["']?\s*[:=]\s*(?P<hidden>[^\s$].*)"""),
    re.compile(r"://(?P<hidden>[^@\s/$]+)@"),
    re.compile(r"(?P<hidden>\b(?:eyJ|def50)[\w.+/=-]{12,})"),
)


class FileLines:
    """A file's text with its places. `file` is the name that is shown; lines and columns count from 1."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self._starts = [0, *(found.end() for found in _BREAK.finditer(text))]

    def at(self, line: int, column: int = 1) -> Place:
        """The place of a line and column."""
        return Place(self.file, line, column)

    def at_offset(self, offset: int) -> Place:
        """The place of a character of the text, counted from 0."""
        line = bisect_right(self._starts, offset)
        return self.at(line, offset - self._starts[line - 1] + 1)

    def line(self, number: int) -> str:
        """A line without its break; empty when the file has no such line."""
        if not 1 <= number <= len(self._starts):
            return ""
        end = self._starts[number] if number < len(self._starts) else len(self.text)
        return _BREAK.sub("", self.text[self._starts[number - 1] : end])

    def around(self, place: Place) -> tuple[str, ...]:
        """Two lines of the file and a caret under the column: the line above, the line, the caret. None for line 0."""
        if not place.line:
            return ()
        shown = _covered(self.line(place.line))
        start = max(0, place.column - 1 - WIDTH // 2) if len(shown) > WIDTH else 0
        shown = shown[start : start + WIDTH]
        before = shown[: max(0, place.column - 1 - start)]
        caret = "".join("\t" if character == "\t" else " " for character in before) + "^"
        above, below = _covered(self.line(place.line - 1))[:WIDTH], _covered(self.line(place.line + 1))[:WIDTH]
        if above.strip() or not below.strip():
            return (above, shown, caret) if above.strip() else (shown, caret)
        return (shown, caret, below)

    def problem(self, what: str, place: Place, do: str | None = None) -> Problem:
        """A mistake at a place of this file, with its lines."""
        return Problem(what, place, self.around(place), do)

    def twice(self, what: str, first: Place, second: Place, do: str | None = None) -> Problem:
        """A mistake made of two places: its lines are those two."""
        shown = (_covered(self.line(first.line))[:WIDTH], _covered(self.line(second.line))[:WIDTH])
        return Problem(what, second, shown, do)


def _covered(line: str) -> str:
    """The line with secrets starred, one star a character so that columns stay, and nothing a terminal would obey."""
    spans = chain.from_iterable((found.span("hidden") for found in pattern.finditer(line)) for pattern in _SECRETS)
    for start, end in list(spans):
        line = line[:start] + "*" * (end - start) + line[end:]
    return "".join(character if character.isprintable() or character == "\t" else "\ufffd" for character in line)
