"""What pydantic says about a document, in YAML's words: one sentence a mistake, placed in the file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pydantic import BaseModel, ValidationError

from leadsync.config.document import Document
from leadsync.config.models import WRITTEN_FOR_PEOPLE
from leadsync.config.nearest import advice, nearest
from leadsync.config.nodes import Key, Node, shortened
from leadsync.config.valid_keys import valid_keys
from leadsync.errors import Problem

_KINDS = {
    "string": "a text",
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "bool": "true or false",
    "dict": "keys with values",
    "mapping": "keys with values",
    "model": "keys with values",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "none": "nothing",
    "date": "a date",
    "datetime": "a date and time",
    "time": "a time",
    "timedelta": "a length of time",
    "path": "a path",
    "url": "an address",
}
_WRONG_TYPE = re.compile(rf"({'|'.join(_KINDS)})_(?:\w+_)?(?:type|parsing|required|from_float|attributes_type)")

_RANGES = {
    "greater_than": "expected more than {gt:g}",
    "greater_than_equal": "expected {ge:g} or more",
    "less_than": "expected less than {lt:g}",
    "less_than_equal": "expected {le:g} or less",
    "too_short": "expected {min_length} or more items, found {actual_length}",
    "too_long": "expected {max_length} or fewer items, found {actual_length}",
    "string_too_short": "expected {min_length} or more characters",
    "string_too_long": "expected {max_length} or fewer characters",
    "multiple_of": "expected a multiple of {multiple_of:g}",
    "finite_number": "expected a number that is not infinite",
}


@dataclass(frozen=True, slots=True)
class _Mistake:
    """One pydantic error with its node. `path` has only the steps that exist in the file."""

    kind: str
    path: tuple[Key, ...]
    node: Node
    message: str
    context: Mapping[str, Any]
    key: Key | None = None

    @property
    def target(self) -> str:
        """The value as people name it: `sources.inbox.path`."""
        return ".".join(map(shortened, self.path)) or "the file"

    @property
    def wrong_type(self) -> str | None:
        """What was expected, when the value is of another type."""
        found = _WRONG_TYPE.fullmatch(self.kind)
        return _KINDS[found[1]] if found else None


class Complaints:
    """Turns the errors of one model into problems of one document.

    `prefix` is where the model begins in the document; `also_valid` are keys of that place which are another model's;
    `never_in_yaml` names, for a dotted path, the environment variable that holds what somebody wrote there.
    """

    def __init__(
        self,
        document: Document,
        model: type[BaseModel],
        prefix: tuple[Key, ...] = (),
        also_valid: tuple[str, ...] = (),
        never_in_yaml: Mapping[str, str] | None = None,
    ) -> None:
        self._document = document
        self._model = model
        self._prefix = prefix
        self._also_valid = also_valid
        self._never_in_yaml = never_in_yaml or {}

    def problems(self, error: ValidationError) -> list[Problem]:
        """One problem for each mistake that no earlier problem explains."""
        mistakes = [self._mistake(detail) for detail in error.errors(include_url=False, include_input=False)]
        told = [mistake for mistake in mistakes if not self._explained(mistake, mistakes)]
        told.sort(key=lambda mistake: (mistake.node.place.line, mistake.node.place.column, str(mistake.path)))
        return [
            problem
            for _, same in groupby(told, key=lambda mistake: (mistake.path, mistake.key))
            for problem in self._told(list(same))
        ]

    def _mistake(self, detail: Mapping[str, Any]) -> _Mistake:
        kind, steps = detail["type"], (*self._prefix, *detail["loc"])
        if steps[-1:] == ("[key]",):
            kind = "key"
        key = steps[-1] if kind in ("missing", "extra_forbidden") else None
        node, path = self._document.node(*(steps[:-1] if kind == "missing" else steps))
        return _Mistake(kind, path, node, detail["msg"], detail.get("ctx", {}), key)

    def _explained(self, mistake: _Mistake, all_of_them: list[_Mistake]) -> bool:
        """Whether another problem is the reason: of the YAML itself, of a misspelt key, or deeper in the same value."""
        if self._document.is_broken(*mistake.path):
            return True
        if mistake.kind == "extra_forbidden" and mistake.path[:-1] == self._prefix:
            near = nearest(str(mistake.key), self._valid(self._prefix))
            return near in self._also_valid and near not in self._document.node(*self._prefix)[0].children
        if mistake.kind == "missing":
            return mistake.node.partial or mistake.key in self._misspelt(mistake.path, all_of_them)
        size = len(mistake.path)
        return mistake.wrong_type is not None and any(
            other.path[:size] == mistake.path and (len(other.path) > size or other.kind == "missing")
            for other in all_of_them
        )

    def _misspelt(self, parent: tuple[Key, ...], all_of_them: list[_Mistake]) -> set[str | None]:
        """The keys somebody meant by the unknown ones of a place."""
        valid = self._valid(parent)
        unknown = [m.path[-1] for m in all_of_them if m.kind == "extra_forbidden" and m.path[:-1] == parent]
        return {nearest(str(key), valid) for key in unknown}

    def _valid(self, path: tuple[Key, ...]) -> set[str]:
        inner = path[len(self._prefix) :]
        return valid_keys(self._model, inner) | (set() if inner else set(self._also_valid))

    def _told(self, same: list[_Mistake]) -> list[Problem]:
        first = same[0]
        expected = list(dict.fromkeys(mistake.wrong_type for mistake in same if mistake.wrong_type))
        if expected:
            return [self._wrong_type(first, _one_of(expected))]
        teller = _TELLERS.get(first.kind, Complaints._other)
        return [teller(self, first)]

    def _wrong_type(self, mistake: _Mistake, expected: str) -> Problem:
        if not mistake.path and mistake.node.value is None:
            return self._document.problem("the file is empty", mistake.node.place, "write its keys and values")
        found = kind_of(mistake.node.value)
        do = None
        if found == "a text" and "number" in expected and not mistake.node.from_variable:
            do = "write the number without quotes and without a unit"
        elif found == "a text" and expected == "a list":
            do = "put it in square brackets"
        return self._document.problem(f"{mistake.target}: expected {expected}, found {found}", mistake.node.place, do)

    def _missing(self, mistake: _Mistake) -> Problem:
        place = self._document.key_place(*mistake.path)
        what = f"the key {mistake.key} is missing" + (f" in {mistake.target}" if mistake.path else "")
        unknown = {str(key) for key in mistake.node.children} - self._valid(mistake.path)
        near = nearest(str(mistake.key), unknown)
        do = f"rename {near} to {mistake.key}" if near else f"add {mistake.key}: …"
        return self._document.problem(what, place, do)

    def _unknown(self, mistake: _Mistake) -> Problem:
        parent = mistake.path[:-1]
        key = shortened(mistake.path[-1])
        inside = f" in {'.'.join(map(shortened, parent))}" if parent else ""
        do = advice(key, self._valid(parent), "the keys here are")
        if variable := self._never_in_yaml.get(".".join(map(str, mistake.path))):
            do = f"this never stands in YAML: set {variable} in the environment or in .env"
        return self._document.problem(f"unknown key {key}{inside}", self._document.key_place(*mistake.path), do)

    def _bad_key(self, mistake: _Mistake) -> Problem:
        place = self._document.key_place(*mistake.path)
        return self._document.problem(f"{mistake.target}: this key does not fit", place, "a number may need quotes")

    def _choice(self, mistake: _Mistake) -> Problem:
        options = [quoted or bare for quoted, bare in re.findall(r"'([^']*)'|(\d+)", str(mistake.context["expected"]))]
        written = None if mistake.node.from_variable else str(mistake.node.value)
        do = advice(written, options)
        what = f"{mistake.target}: expected {_one_of(options)}"
        return self._document.problem(what, mistake.node.place, do if do and do.startswith("did") else None)

    def _range(self, mistake: _Mistake) -> Problem:
        what = _RANGES[mistake.kind].format_map(mistake.context)
        if mistake.kind.endswith("too_short") and mistake.context["min_length"] == 1:
            what = "this is empty"
        return self._document.problem(f"{mistake.target}: {what}", mistake.node.place)

    def _other(self, mistake: _Mistake) -> Problem:
        message = mistake.message.removeprefix("Value error, ")
        do = None
        if mistake.kind == WRITTEN_FOR_PEOPLE:
            near = mistake.context.get("nearest")
            do = f"did you mean {near}?" if near and not mistake.node.from_variable else None
        elif mistake.node.from_variable:
            message = "this value does not fit"  # a plugin's own sentence may quote the variable's value
        else:
            message = _without_variables(message, mistake.node)
        return self._document.problem(f"{mistake.target}: {message}", mistake.node.place, do)


_TELLERS: dict[str, Callable[[Complaints, _Mistake], Problem]] = {
    "missing": Complaints._missing,
    "extra_forbidden": Complaints._unknown,
    "key": Complaints._bad_key,
    "literal_error": Complaints._choice,
    "enum": Complaints._choice,
    **dict.fromkeys(_RANGES, Complaints._range),
}


def _one_of(options: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(options[:-1]), options[-1])))


def _without_variables(message: str, node: Node) -> str:
    """A plugin's sentence about keys of its own, with what came from variables inside them starred out."""
    for child in node.children.values():
        if child.from_variable and child.value not in (None, ""):
            message = message.replace(str(child.value), "***")
        message = _without_variables(message, child)
    return message


def kind_of(value: Any) -> str:
    """A value's type in YAML's words."""
    kinds: dict[type, str] = {dict: "keys with values", list: "a list", str: "a text", bool: "true or false"}
    kinds |= {int: "a whole number", float: "a number with a fraction", type(None): "nothing"}
    return kinds[type(value)]
