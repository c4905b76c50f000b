"""Record diff: a plan seen record by record, as every way of showing it goes through it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar

from leadsync.sync.changes import Change, Joined, Kept
from leadsync.sync.results import Plan, RefusedRow

Kind = Literal["create", "update", "kept", "joined", "refused", "told"]

KINDS: dict[Kind, tuple[str, str]] = {
    "create": ("+", "create"),
    "update": ("~", "update"),
    "kept": ("!", "kept by a person"),
    "joined": ("→", "joins a lead"),
    "refused": ("✗", "refused"),
    "told": ("=", "left alone"),
}
"""Everything that can be said of a record, with its sign and its name."""


_DIGITS = re.compile(r"([0-9]+)")


@dataclass(slots=True)
class RecordDiff:
    """What a plan says about one record; `reason` is why nothing happens where something might be expected."""

    key: str
    changes: list[Change] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    joined: list[Joined] = field(default_factory=list)
    refused: list[RefusedRow] = field(default_factory=list)
    reason: str = ""

    @property
    def kinds(self) -> list[Kind]:
        """Which kinds of things are said, in the order of KINDS."""
        there = {one.action for one in self.changes} | {
            name for name in ("kept", "joined", "refused") if getattr(self, name)
        }
        return [name for name in KINDS if name in there or (name == "told" and self.reason)]


class _Diffs(dict[str, RecordDiff]):
    def __missing__(self, key: str) -> RecordDiff:
        return self.setdefault(key, RecordDiff(key))


def record_diffs(plan: Plan) -> list[RecordDiff]:
    """The records there is something to say about, by their keys (`t:9` before `t:10`); refused ones last.

    A source has no order that stays the same: SCAN gives keys as they come.
    """
    diffs = _Diffs()
    for change in plan.changes:
        diffs[change.key].changes.append(change)
    for kept in plan.kept:
        diffs[kept.key].kept.append(kept)
    for joined in plan.joined:
        diffs[joined.key].joined.append(joined)
    for key, reason in plan.reasons.items():
        diffs[key].reason = reason
    for row in plan.refused:
        diffs[row.key].refused.append(row)
    return sorted(in_key_order(diffs.values()), key=lambda one: bool(one.refused))


class _Keyed(Protocol):
    @property
    def key(self) -> str: ...


One = TypeVar("One", bound=_Keyed)


def in_key_order(things: Iterable[One]) -> list[One]:
    """Things by their records' keys, as people count; those of one record stay as they were among themselves."""
    return sorted(things, key=lambda one: _natural(one.key))


def _natural(key: str) -> list[tuple[int, str]]:
    """A key for sorting as people count: by the length of a number before its digits."""
    return [(len(part) if part.isdecimal() else 0, part) for part in _DIGITS.split(key)]
