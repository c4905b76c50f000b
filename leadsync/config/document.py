"""A YAML file that was read: plain data, and the place of every value and key in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leadsync.config.file_lines import FileLines
from leadsync.config.nodes import Composer, Key, Node
from leadsync.config.reading import Unreadable, read_lines, shown_path
from leadsync.errors import ConfigurationError, Place, Problem


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file. `data` is plain Python: dict (keys are text or whole numbers), list, str, int, float, bool, None.

    A path is given as keys and indices: `document.place("lead", "tags", 0)`. What a path does not find is placed at
    the nearest thing above it that exists.
    """

    path: Path
    data: Any
    root: Node
    file_lines: FileLines

    def place(self, *path: Key) -> Place:
        """Where the value begins."""
        return self.node(*path)[0].place

    def key_place(self, *path: Key) -> Place:
        """Where the key of the value begins; the value itself for an item of a list and for the whole file."""
        node, found = self.node(*path)
        parent, _ = self.node(*found[:-1])
        return parent.key_places.get(found[-1], node.place) if found else node.place

    def text_place(self, *path: Key) -> Place:
        """Where a text's first character stands: after its quote, or in the line below its `|` or `>`."""
        return self.node(*path)[0].text_place

    def lines(self, place: Place) -> tuple[str, ...]:
        """The lines around a place and a caret under its column; secrets are starred out."""
        return self.file_lines.around(place)

    def problem(self, what: str, place: Place, do: str | None = None) -> Problem:
        """A mistake at a place of this file."""
        return self.file_lines.problem(what, place, do)

    def node(self, *path: Key) -> tuple[Node, tuple[Key, ...]]:
        """The node a path leads to, and the part of the path that exists; a step that leads nowhere is left out."""
        node, found = self.root, list[Key]()
        for step in path:
            key = next((key for key in (step, _number(step)) if key in node.children), None)
            if key is not None:
                node = node.children[key]
                found.append(key)
        return node, tuple(found)

    def is_broken(self, *path: Key) -> bool:
        """Whether a problem was told about the value or something it stands in."""
        node = self.root
        broken = node.broken
        for step in self.node(*path)[1]:
            node = node.children[step]
            broken = broken or node.broken
        return broken


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of reading a file: a document as far as there is one, and everything wrong with it as YAML."""

    document: Document | None
    problems: tuple[Problem, ...]


def scan_document(path: Path, variables: Mapping[str, str]) -> Reading:
    """Read a file and collect what is wrong with it instead of raising; values told about are marked broken."""
    try:
        lines = read_lines(path)
    except Unreadable as error:
        return Reading(None, (error.problem,))
    composer = Composer(lines, variables)
    root = composer.compose()
    document = None if root is None else Document(path, root.value, root, lines)
    return Reading(document, tuple(composer.problems))


def read_document(path: Path, variables: Mapping[str, str]) -> Document:
    """Read a file, `${NAME}` replaced from `variables`. Raises ConfigurationError with every problem found."""
    reading = scan_document(path, variables)
    if reading.document is None or reading.problems:
        raise ConfigurationError(f"{shown_path(path)} cannot be read", problems=reading.problems)
    return reading.document


def _number(step: Key) -> Key:
    """A key the models made a text of: `1` for "1"."""
    return int(step) if isinstance(step, str) and step.isascii() and step.isdigit() and len(step) < 100 else step
