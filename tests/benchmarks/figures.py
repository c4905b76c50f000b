"""Figures: what was measured, several times over, and the bar it is held to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure must not pass: at most `limit`, or at least."""

    limit: float
    at_least: bool = False

    def is_met(self, value: float) -> bool:
        """Whether a value keeps to it."""
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {number(self.limit)}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing measured in one row; `samples` are its values, round by round, in `unit`.

    `of` says how it was measured; `parts` are the two amounts of a ratio.
    """

    what: str
    samples: tuple[float, ...]
    unit: str = ""
    bar: Bar | None = None
    of: str = ""
    parts: str = ""

    @property
    def median(self) -> float:
        """The value that counts."""
        return median(self.samples)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest sample: the noise of the machine."""
        return min(self.samples), max(self.samples)

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None without a bar."""
        return None if self.bar is None else self.bar.is_met(self.median)

    def as_json(self) -> dict[str, Any]:
        """Everything of it as plain data."""
        low, high = self.spread
        return {
            "what": self.what,
            "median": self.median,
            "spread": [low, high],
            "samples": list(self.samples),
            "unit": self.unit,
            "bar": None if self.bar is None else str(self.bar),
            "met": self.met,
            "of": self.of,
            "parts": self.parts,
        }


def ratio(
    what: str, ours: Sequence[float], theirs: Sequence[float], bar: Bar | None = None, *, unit: str = "s", names: str
) -> Figure:
    """A figure of quotients, round by round; `names` are of what by what (`leadsync / bare loop`)."""
    samples = tuple(one / other for one, other in zip(ours, theirs, strict=True))
    return Figure(what, samples, "×", bar, names, f"{number(median(ours))} / {amount(median(theirs), unit)}")


def number(value: float) -> str:
    """A number as a person would write it down: three digits that count, whole where it is large."""
    return f"{value:.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.3g}"


def amount(value: float, unit: str) -> str:
    """A number with its unit."""
    return f"{number(value)} {unit}".rstrip()
