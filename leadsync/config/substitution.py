"""`${NAME}`, `${NAME:-default}`, `${NAME:?message}` and `$${` inside a text.

A default may hold further `${…}`. What a variable holds is taken as it is, never read again, and never shown: a mistake
names the variable only. `${{` is left alone, since that is a dollar sign before a Jinja expression. An empty variable
counts as unset.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from leadsync.config.nearest import nearest

MAX_NESTING = 8
"""How deep defaults may hold defaults."""

_TOKEN = re.compile(r"\$\$\{|\$\{(?!\{)|\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FORMS = "write ${NAME}, ${NAME:-default} or ${NAME:?message}; $${ stands for a plain ${"


@dataclass(frozen=True, slots=True)
class Mistake:
    """A reference that cannot be replaced; `nth` says which `${` of the text it is, from 0."""

    nth: int
    what: str
    do: str


@dataclass(frozen=True, slots=True)
class Expanded:
    """A text after replacement. `used` says whether it had any reference, `whole` whether it was nothing but one."""

    text: str
    mistakes: tuple[Mistake, ...] = ()
    used: bool = False
    whole: bool = False


class _Malformed(Exception):
    """A `${` that is no reference; nothing after it can be read."""

    def __init__(self, start: int) -> None:
        super().__init__(start)
        self.start = start


def mentions_variable(text: str) -> bool:
    """Whether a text holds a `${` that would be replaced."""
    return any(found[0] == "${" for found in _TOKEN.finditer(text))


def expand(text: str, variables: Mapping[str, str]) -> Expanded:
    """Replace every reference; on a mistake the text is worth nothing and `mistakes` says why."""
    if "${" not in text:
        return Expanded(text)
    return _Expansion(text, variables).run()


class _Expansion:
    def __init__(self, text: str, variables: Mapping[str, str]) -> None:
        self._text = text
        self._variables = variables
        self._at = 0
        self._mistakes: dict[str, Mistake] = {}
        self._ends: list[tuple[int, int]] = []

    def run(self) -> Expanded:
        try:
            text = self._read(0, 0)
        except _Malformed as error:
            mistake = Mistake(
                self._nth(error.start), "this ${ is no variable: its name or its closing } is missing", _FORMS
            )
            return Expanded("", (mistake,), used=True)
        whole = self._ends == [(0, len(self._text))]
        return Expanded(text, tuple(self._mistakes.values()), used=bool(self._ends), whole=whole)

    def _nth(self, start: int) -> int:
        return self._text.count("${", 0, start)

    def _read(self, depth: int, start: int) -> str:
        """Read to the end of the text or, inside a reference that began at `start`, to its closing brace."""
        parts: list[str] = []
        while token := _TOKEN.search(self._text, self._at):
            parts.append(self._text[self._at : token.start()])
            self._at = token.end()
            if token[0] == "}" and depth:
                return "".join(parts)
            if token[0] == "${":
                parts.append(self._reference(depth, token.start()))
                self._ends += [(token.start(), self._at)] if not depth else []
            else:
                parts.append(token[0].removeprefix("$"))
        if depth:
            raise _Malformed(start)
        parts.append(self._text[self._at :])
        return "".join(parts)

    def _reference(self, depth: int, start: int) -> str:
        name = _NAME.match(self._text, self._at)
        if name is None or depth >= MAX_NESTING:
            raise _Malformed(start)
        self._at = name.end()
        if self._text.startswith("}", self._at):
            self._at += 1
            return self._variables.get(name[0]) or self._unset(name[0], start)
        operator = self._text[self._at : self._at + 2]
        if operator not in (":-", ":?"):
            raise _Malformed(start)
        self._at += 2
        return self._with_fallback(name[0], operator, depth, start)

    def _with_fallback(self, name: str, operator: str, depth: int, start: int) -> str:
        known, begin = dict(self._mistakes), self._at
        fallback = self._read(depth + 1, start)
        written = self._text[begin : self._at - 1]
        value = self._variables.get(name)
        if value or operator == ":?":
            self._mistakes = known  # what stands after the operator was not needed
        return value or (fallback if operator == ":-" else self._unset(name, start, written))

    def _unset(self, name: str, start: int, message: str = "") -> str:
        near = nearest(name, (known for known, value in self._variables.items() if value))
        steps = "set it in the environment or in .env, or give a default: ${" + name + ":-default}"
        what = f"the variable {name} is not set" + (f": {message}" if message else "")
        do = f"did you mean {near}? Otherwise {steps}" if near else steps
        self._mistakes.setdefault(name, Mistake(self._nth(start), what, do))
        return ""
