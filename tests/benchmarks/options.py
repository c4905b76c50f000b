"""Options: how large and how often things are measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tests.benchmarks.figures import Bar, Figure

Size = TypeVar("Size")


@dataclass(frozen=True, slots=True)
class Options:
    """`quick`: small, for whoever works on the benchmarks; then no figure is held to a bar. `rounds`: how often, in
    place of what the row itself takes for enough."""

    quick: bool = False
    rounds: int | None = None

    def size(self, full: Size, quick: Size) -> Size:
        """How much of something a row takes."""
        return quick if self.quick else full

    def times(self, full: int) -> range:
        """The rounds of a row."""
        return range(self.rounds or (2 if self.quick else full))

    def at_most(self, limit: float) -> Bar | None:
        """A bar."""
        return None if self.quick else Bar(limit)

    def at_least(self, limit: float) -> Bar | None:
        """A bar from below."""
        return None if self.quick else Bar(limit, at_least=True)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the benchmarks: its name on the command line, what it is about, and how it is measured."""

    name: str
    about: str
    measure: Callable[[Options], list[Figure]]
