"""Cases: the tests of a mapping, inside its file or in the file beside it, each with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from leadsync.config.complaints import Complaints
from leadsync.config.document import Document, scan_document
from leadsync.config.loader import LoadedMapping
from leadsync.config.models import Case, CasesFile, ExpectedContact, ExpectedLead, MappingFile
from leadsync.config.nearest import advice
from leadsync.config.nodes import Key, shortened
from leadsync.errors import Place, Problem

SUFFIX = ".tests.yaml"
"""How the file of cases beside `NAME.yaml` ends: `NAME.tests.yaml`."""

Model = TypeVar("Model", bound=BaseModel)

PARTS: Mapping[str, type[BaseModel]] = {"contact": ExpectedContact, "lead": ExpectedLead}


@dataclass(frozen=True, slots=True)
class WrittenCase:
    """A case and where it stands; `path` leads to it inside `document`."""

    case: Case
    document: Document
    path: tuple[Key, ...]

    def place(self, *inner: Key) -> Place:
        """Where a value of the case begins, or the case itself."""
        return self.document.place(*self.path, *inner)

    def named(self, part: str) -> frozenset[str]:
        """The keys that `expect`, or a part of it (`contact`, `lead`), really names."""
        expect = getattr(self.case.expect, part) if part else self.case.expect
        return frozenset(expect.model_fields_set) if isinstance(expect, BaseModel) else frozenset()


@dataclass(frozen=True, slots=True)
class Cases:
    """The cases of one mapping, and every mistake in them."""

    cases: tuple[WrittenCase, ...]
    problems: tuple[Problem, ...]


def cases_path(mapping: Path) -> Path:
    """The file of cases that belongs to a mapping file."""
    return mapping.with_name(mapping.stem + SUFFIX)


def load_cases(loaded: LoadedMapping, variables: Mapping[str, str]) -> Cases:
    """The cases inside a mapping and those beside it; names that neither cases nor the mapping have are mistakes."""
    inside = [WrittenCase(case, loaded.document, ("tests", at)) for at, case in enumerate(loaded.file.tests)]
    beside, problems = _beside(cases_path(loaded.path), variables)
    found = (*inside, *beside)
    problems += [problem for one in found for problem in _Names(one, loaded.file).problems()]
    return Cases(found, tuple(problems))


def _beside(path: Path, variables: Mapping[str, str]) -> tuple[list[WrittenCase], list[Problem]]:
    if not path.exists():
        return [], []
    reading = scan_document(path, variables)
    document, problems = reading.document, list(reading.problems)
    if document is None:
        return [], problems
    found: list[WrittenCase] = []
    if isinstance(document.data, list):
        for at, item in enumerate(document.data):
            case = _valid(Case, item, Complaints(document, Case, (at,)), problems)
            found += [] if case is None else [WrittenCase(case, document, (at,))]
    elif document.data is not None:
        file = _valid(CasesFile, document.data, Complaints(document, CasesFile), problems)
        cases = file.tests if file is not None else []
        found = [WrittenCase(case, document, ("tests", at)) for at, case in enumerate(cases)]
    return found, problems


def _valid(model: type[Model], data: Any, complaints: Complaints, problems: list[Problem]) -> Model | None:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems += complaints.problems(error)
        return None


class _Names:
    """Checks what one case names against what its mapping has; a mapping of a plugin may have anything."""

    def __init__(self, written: WrittenCase, file: MappingFile) -> None:
        self._written = written
        self._file = file

    def problems(self) -> Iterator[Problem]:
        written = self._written
        if not written.named("") and not written.document.is_broken(*written.path, "expect"):
            do = "name a part of what the record must come to, such as key:, lead: or note:"
            yield self._problem("expect: it names nothing, so there is nothing to compare", do, "expect", key=True)
        if problem := self._after():
            yield problem
        if self._file.mapper is not None:
            return
        for part in PARTS:
            yield from self._fields(part)
        for at, path in enumerate(written.case.expect.absent):
            if path not in (known := self._paths()):
                what = f"absent: {shortened(path)} is no part of what this mapping makes"
                yield self._problem(what, advice(path, known), "expect", "absent", at)

    def _after(self) -> Problem | None:
        """A case cannot begin after its own end; a record whose messages are no list tells so when it is read."""
        case, messages = self._written.case, self._written.case.record.get("messages")
        if not case.after or not isinstance(messages, list) or case.after <= len(messages):
            return None
        count = f"{len(messages)} message{'' if len(messages) == 1 else 's'}"
        return self._problem(f"after: the record has only {count}", "count those that are noted already", "after")

    def _fields(self, part: str) -> Iterator[Problem]:
        expected = getattr(self._written.case.expect, part)
        known = self._known_fields(part)
        for name in expected.fields if isinstance(expected, ExpectedContact | ExpectedLead) else ():
            if str(name) not in known:
                what = f"unknown field {shortened(name)}: {part}.fields of the mapping has no such name"
                do = advice(str(name), known, "the fields there are")
                yield self._problem(what, do, "expect", part, "fields", name, key=True)

    def _known_fields(self, part: str) -> set[str]:
        section = getattr(self._file, part)
        return set() if section is None else {str(name) for name in section.fields}

    def _paths(self) -> set[str]:
        values = {f"{part}.{name}" for part, model in PARTS.items() for name in model.model_fields if name != "fields"}
        fields = {f"{part}.fields.{name}" for part in PARTS for name in self._known_fields(part)}
        return values | fields | {*PARTS, "note"}

    def _problem(self, what: str, do: str | None, *inner: Key, key: bool = False) -> Problem:
        document, path = self._written.document, (*self._written.path, *inner)
        return document.problem(what, document.key_place(*path) if key else document.place(*path), do)
