"""Record diff: a plan seen record by record, as every way of showing it goes through it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

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


def record_diffs(plan: Plan) -> list[RecordDiff]:
    """The records of a plan that there is something to say about, in the plan's order; refused ones last."""
    diffs: dict[str, RecordDiff] = {}
    for key in _keys(plan):
        diffs.setdefault(key, RecordDiff(key))
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
    return list(diffs.values())


def _keys(plan: Plan) -> Iterator[str]:
    refused = {row.key for row in plan.refused}
    changed, kept, joined = ([one.key for one in part] for part in (plan.changes, plan.kept, plan.joined))
    yield from (key for key in (*changed, *kept, *joined, *plan.reasons) if key not in refused)
    yield from (row.key for row in plan.refused)
