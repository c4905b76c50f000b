"""Spots: the values of a mapping file with what they are known to give, and where a mistake in them is to be mended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from leadsync.config.document import Document
from leadsync.config.loader import LoadedMapping, Project
from leadsync.config.models import LongValue, Value
from leadsync.config.nodes import shortened
from leadsync.errors import LeadsyncError, Problem
from leadsync.mapping.possible_texts import Possible, PossibleText, possible_texts

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Spot:
    """One value of a mapping file."""

    project: Project
    mapping: LoadedMapping
    path: Path
    value: Value | str | int | None

    @property
    def template(self) -> str:
        """What is written there; empty for nothing."""
        template = self.value.value if isinstance(self.value, LongValue) else self.value
        return "" if template is None else str(template)

    @property
    def possible(self) -> Possible:
        """What the value is known to give."""
        return possible_texts(self.template, self.project.file.tables)

    def problem(self, error: LeadsyncError, text: PossibleText | None = None, *, at_key: bool = False) -> Problem:
        """What is wrong here: placed at the row of leadsync.yaml that gives the text, else at the value or its key."""
        document, path, what = self.mapping.document, self.path, error.what
        if text is not None and text.row is not None:
            return self._row_problem(error, text.row)
        if isinstance(self.value, LongValue) and not at_key:
            path = (*path, "value")
        place = document.key_place(*path) if at_key else document.place(*path)
        if text is not None and text.text != self.template.strip() and text.text not in what:
            what = f"«{shortened(text.text)}»: {what}"  # one of several
        return document.problem(what, place, error.do)

    def _row_problem(self, error: LeadsyncError, row: tuple[str, str]) -> Problem:
        document: Document = self.project.document
        used = self.mapping.document.place(*self.path)
        what = f"tables.{row[0]}.{row[1]}: {error.what}"
        return document.problem(what, document.place("tables", *row), f"{error.do or 'correct it'} (used at {used})")


def mappings_of(project: Project) -> list[LoadedMapping]:
    """Every mapping file of a project once, in the order leadsync.yaml names them."""
    found = {one.path: one for source in project.sources.values() for one in source.mappings.values()}
    return list(found.values())


def in_reading_order(problems: Iterable[Problem], project: Project) -> list[Problem]:
    """Each problem once: those of leadsync.yaml, then those of the mappings; top to bottom."""
    once = list({(one.what, one.place): one for one in reversed(list(problems))}.values())
    files = [project.document.place().file, *(one.document.place().file for one in mappings_of(project))]
    order = list(dict.fromkeys([*files, *(one.place.file for one in once)]))
    return sorted(once, key=lambda one: (order.index(one.place.file), one.place.line, one.place.column))
