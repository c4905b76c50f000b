"""How much one template may do: steps, and the size of any text it makes.

Jinja's sandbox bounds `range` alone; nested loops, `'x' * 10**9`, `center(10**9)` or a text that doubles itself are
bounded here. The bounds count steps instead of time, so that a record that renders today renders on any machine.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from jinja2.exceptions import TemplateRuntimeError

from leadsync.records import Message

MAX_STEPS = 300_000
"""Passes of loops, calls and filters in one template; handling a text costs a step for each 64 characters."""

MAX_TEXT = 1_000_000
"""Characters of a template's output, and of any text or items of any list it makes on its way."""

MAX_GROWTH = 20 * MAX_TEXT
"""What a text's length times an argument may come to, in a filter that multiplies them (`indent`, `replace`)."""

MAX_BITS = 4096
"""Bits of a whole number."""

WIDENING = frozenset({"center", "ljust", "rjust", "zfill", "batch", "slice", "to_bytes"})
"""Filters and methods whose result is as long as their argument says."""

MULTIPLYING = frozenset({"indent", "join", "replace", "wordwrap", "tojson", "expandtabs", "translate", "xmlattr"})
"""Filters and methods whose result may be as long as their text times their argument."""

_PERCENT_WIDTH = re.compile(r"%(?:\([^)]*\))?[-+ #0]*(\d+|\*)?(?:\.(\d+|\*))?")
_DIGITS = re.compile(r"\d+")


SINGLE = frozenset({bool, int, float, datetime})
"""What has neither characters nor items."""

_OF_A_TALK = {Message}


class TooMuch(TemplateRuntimeError):
    """A template went over a bound."""


class Work:
    """The steps one rendering still has."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_STEPS

    def restart(self) -> None:
        """Begin a new rendering."""
        self.left = MAX_STEPS

    def spend(self, steps: int) -> None:
        """Take steps. Raises TooMuch when there are none left."""
        self.left -= steps
        if self.left < 0:
            raise TooMuch(f"it takes more than {MAX_STEPS:_} steps")

    def handle(self, value: Any) -> None:
        """Take the steps that handling a value costs: its items and its texts, at any depth."""
        if type(value) is str:
            self.spend(1 + (len(value) >> 6))
        elif type(value) in SINGLE:
            self.spend(1)
        else:
            self._handle_all(value)

    def _handle_all(self, value: Any) -> None:
        if type(value) is tuple and set(map(type, value)) == _OF_A_TALK:  # what most filters get
            self.spend(1 + 2 * len(value) + sum([len(item.text) >> 6 for item in value]))
            return
        waiting = [value]
        while waiting:
            inner = waiting.pop()
            self.spend(1 + (text_length(inner) >> 6))
            if isinstance(inner, Mapping):
                self.spend(len(inner))
                waiting.extend(inner.values())
            elif isinstance(inner, range):
                self.spend(len(inner))
            elif isinstance(inner, list | tuple | set | frozenset):
                self.spend(len(inner))
                waiting.extend(inner)

    def counted(self, items: Any) -> Iterable[Any]:
        """What a loop goes over, each pass paid for; none has no items."""
        if items is None:
            return ()
        if type(items) is tuple or isinstance(items, Collection):
            self.spend(len(items))
            return items
        return self._one_by_one(items)

    def _one_by_one(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self.spend(1)
            yield item


def text_length(value: Any) -> int:
    """The characters of a text or a message, 0 for anything else."""
    if isinstance(value, str | bytes):
        return len(value)
    return len(value.text) if isinstance(value, Message) else 0


def total_length(value: Any) -> int:
    """The characters a value comes to as text, roughly: all texts at any depth and two for each item."""
    total, waiting = 0, [value]
    while waiting:
        inner = waiting.pop()
        total += 2 + text_length(inner)
        if isinstance(inner, Mapping):
            waiting.extend(inner.values())
        elif isinstance(inner, list | tuple):
            waiting.extend(inner)
    return total


def check_length(length: int) -> None:
    """Raise TooMuch for a text or list that is too long."""
    if length > MAX_TEXT:
        raise TooMuch(f"it makes a text or a list of more than {MAX_TEXT:_} characters or items")


def check_growth(name: str, value: Any, arguments: Iterable[Any]) -> None:
    """Raise TooMuch before a filter or method of that name makes something huge of `value`."""
    if name in WIDENING:
        check_length(max(map(_extent, arguments), default=0))
    elif name in MULTIPLYING and total_length(value) * (1 + max(map(_extent, arguments), default=0)) > MAX_GROWTH:
        raise TooMuch(f"`{name}` would make a huge text")


def check_percent(template: str, arguments: Any) -> None:
    """Raise TooMuch before `template % arguments` makes a huge text."""
    places = 0
    for match in _PERCENT_WIDTH.finditer(template):
        places += 1
        for width in match.groups():
            if width == "*":
                raise TooMuch("a `*` width in a `%` format is not allowed")
            check_length(int(width[:9]) if width else 0)
    if places * total_length(arguments) > MAX_GROWTH:
        raise TooMuch("a `%` format would make a huge text")


def check_format_spec(spec: str) -> None:
    """Raise TooMuch for `{:>999999999}`."""
    for width in _DIGITS.findall(spec):
        check_length(int(width[:9]))


def check_operation(operator: str, left: Any, right: Any) -> None:
    """Raise TooMuch before an operator makes a huge text, list or number."""
    if operator == "%" and isinstance(left, str):
        check_percent(left, right)
    elif operator == "+" and _has_length(left) and _has_length(right):
        check_length(len(left) + len(right))
    elif operator == "*":
        _check_product(left, right)
    elif operator == "**" and isinstance(left, int) and isinstance(right, int):
        _check_bits(left.bit_length() * max(right, 0))


def _check_product(left: Any, right: Any) -> None:
    if _has_length(right):
        left, right = right, left
    if _has_length(left) and isinstance(right, int):
        check_length(len(left) * max(right, 0))
    elif isinstance(left, int) and isinstance(right, int):
        _check_bits(left.bit_length() + right.bit_length())


def _check_bits(bits: int) -> None:
    if bits > MAX_BITS:
        raise TooMuch("it computes a number of more than a thousand digits")


def _has_length(value: Any) -> bool:
    return isinstance(value, str | bytes | list | tuple)


def _extent(argument: Any) -> int:
    if isinstance(argument, int):
        return abs(argument)
    return total_length(argument) if isinstance(argument, Mapping | list | tuple) else text_length(argument)
