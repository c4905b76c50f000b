"""Comparison: one entity that exists against what is wanted of it: what is set, what is kept, what is remembered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from leadsync.state.facts import Fact
from leadsync.sync.changes import Change, FieldChange, Kept, Route, Step
from leadsync.sync.compare import Current, compare
from leadsync.sync.planned import Planned, tag_facts, wrote_facts
from leadsync.sync.resolve import Value

Wrote = Mapping[str, str]


class Comparison:
    """Collects what an update of one entity sets, keeps and remembers."""

    def __init__(self, entity: Literal["contact", "lead"], entity_id: int, current: Current, wrote: Wrote) -> None:
        self.entity, self.id, self.current, self.wrote = entity, entity_id, current, wrote
        self.facts: list[Fact] = []
        self.changed: list[FieldChange] = []
        self.kept: list[Kept] = []

    def sets(self, value: Value, key: str) -> bool:
        """Whether the value is to be written."""
        now = self.current.canonical(value.slot)
        wrote = self.wrote.get(value.slot)
        verdict = compare(value, now, wrote, key)
        shown = self.current.shown(value.slot)
        if verdict == "kept":
            self.kept.append(self._kept(value, shown, key))
        elif verdict == "set":
            self.changed.append(FieldChange(value.label, shown, value.shown, "", value.origin))
        # What we did not make may hold the same by a person's hand: it is not ours, and never follows the record.
        if verdict == "set" or (verdict == "same" and wrote is None and "made" in self.wrote):
            self.facts += wrote_facts(self.entity, self.id, [value], key)
        return verdict == "set"

    def _kept(self, value: Value, shown: str | None, key: str) -> Kept:
        return Kept(
            key, self.entity, self.id, value.label, shown, value.shown, "somebody changed it", origin=value.origin
        )

    def added(self, name: str, before: Sequence[str], added: Sequence[str]) -> None:
        """Note phones or e-mails that are added beside those that are there."""
        if added:
            self.changed.append(FieldChange(name, ", ".join(before) or None, ", ".join([*before, *added])))

    def tags(self, payload: dict[str, Any], wanted: Sequence[str]) -> None:
        """Add tags that were never there; one that we set and a person removed stays removed."""
        new = [one for one in wanted if one not in self.current.tags and f"tag:{one}" not in self.wrote]
        if new:
            payload["tags_to_add"] = [{"name": one} for one in new]
            self.changed.append(
                FieldChange("tags", ", ".join(sorted(self.current.tags)) or None, "+ " + ", ".join(new))
            )
        self.facts += tag_facts(self.entity, self.id, wanted)

    def planned(self, payload: dict[str, Any], facts: list[Fact], route: Route, key: str) -> Planned:
        """The step when something is to be written, else the facts alone."""
        kept = tuple(self.kept)
        if not self.changed:
            return Planned(None, tuple(facts), self.id, kept=kept)
        change = Change(key, self.entity, "update", self.id, "the record changed", tuple(self.changed), payload)
        return Planned(Step(change, route, tuple(facts)), (), self.id, kept=kept)
