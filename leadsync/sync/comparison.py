"""Comparison: one entity that exists against what is wanted of it: what is set, what is kept, what is remembered."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from leadsync.mapping.desired import Origin
from leadsync.state.facts import Fact
from leadsync.sync.changes import Change, FieldChange, Kept, Route, Step, digest
from leadsync.sync.compare import Current, compare, tag_key
from leadsync.sync.planned import LIST_NAMES, ListKind, Planned, list_facts, wrote_facts
from leadsync.sync.reasons import ANOTHER, DEFAULT, REMOVED, is_ours, reason_of, told, why_added, why_kept, why_set
from leadsync.sync.resolve import Value, cut_at_emoji

Wrote = Mapping[str, str]


class Comparison:
    """Collects what an update of one entity sets, keeps and remembers."""

    def __init__(self, entity: Literal["contact", "lead"], entity_id: int, current: Current, wrote: Wrote) -> None:
        self.entity, self.id, self.current, self.wrote = entity, entity_id, current, wrote
        self.facts: list[Fact] = []
        self.changed: list[FieldChange] = []
        self.kept: list[Kept] = []
        self._reasons: list[tuple[str, str]] = []

    def sets(self, value: Value, key: str) -> bool:
        """Whether the value is to be written."""
        wrote = self.wrote.get(value.slot)
        by_default = (wrote is None or value.slot == "name") and self._is_default(value.slot)
        now = None if by_default else self.current.canonical(value.slot)
        verdict = compare(value, now, wrote, key)
        if verdict == "kept":
            why = why_kept(value.slot, now, self.wrote, digest(key))
            shown = self.current.shown(value.slot)
            self._keep(key, value.label, shown, value.shown, why, value.origin)
        elif verdict == "set":
            why = DEFAULT if by_default and wrote is None else why_set(value, now, wrote)
            shown = self.current.shown(value.slot)
            self._change(value.slot, FieldChange(value.label, shown, value.shown, why, value.origin))
        # What we did not make may hold the same by a person's hand: it is not ours, and never follows the record.
        if verdict == "set" or (verdict == "same" and wrote is None and "made" in self.wrote):
            self.facts += wrote_facts(self.entity, self.id, [value], key)
        return verdict == "set"

    def writes(self, value: Value, why: str, key: str) -> None:
        """Note a value that is written whatever stands there."""
        shown = self.current.shown(value.slot)
        self._change(value.slot, FieldChange(value.label, shown, value.shown, why, value.origin))
        self.facts += wrote_facts(self.entity, self.id, [value], key)

    def _is_default(self, slot: str) -> bool:
        """Whether nobody has chosen what stands in a slot; a stranger's stage or responsible user may be chosen."""
        return (slot == "name" or is_ours(self.wrote)) and self.current.is_default(slot)

    def adds(
        self,
        kind: ListKind,
        wanted: Sequence[str],
        there: Collection[str],
        shown: Sequence[str],
        origins: Mapping[str, Origin],
        owners: Mapping[str, str],
    ) -> list[str]:
        """Those phones, e-mails or tags that are to be added beside those that are there (`shown` as people read them).

        One that we wrote and that is there no more was removed by a person, and stays removed. `origins` and `owners`
        (whose record wants it) are asked by slot.
        """
        missing = [one for one in wanted if one not in there]
        added = [one for one in missing if f"{kind}:{one}" not in self.wrote]
        before = ", ".join(shown) or None
        for one in missing:
            if one not in added:
                slot = f"{kind}:{one}"
                self._keep(owners[slot], LIST_NAMES[kind], before, one, REMOVED, origins.get(slot))
        if added:
            origin = next((origins[slot] for one in added if (slot := f"{kind}:{one}") in origins), None)
            after = ", ".join([*shown, *added])
            self._change(kind, FieldChange(LIST_NAMES[kind], before, after, why_added(kind, origin), origin))
        self.facts += list_facts(self.entity, self.id, kind, wanted)
        return added

    def tags(
        self,
        payload: dict[str, Any],
        wanted: Sequence[str],
        origins: Mapping[str, Origin],
        owners: Mapping[str, str] | str,
    ) -> None:
        """Add tags that were never there; `owners` is a key when all of them are one record's."""
        if isinstance(owners, str):
            owners = {f"tag:{one}": owners for one in wanted}
        has = self.current.tag_keys
        there = [one for one in wanted if {tag_key(one), tag_key(cut_at_emoji(one) or one)} & has]
        if added := self.adds("tag", wanted, there, sorted(self.current.tags), origins, owners):
            payload["tags_to_add"] = [{"name": one} for one in added]

    def planned(self, payload: dict[str, Any], facts: list[Fact], route: Route, key: str) -> Planned:
        """The step when something is to be written, else the facts alone."""
        kept = tuple(self.kept)
        if not self.changed:
            return Planned(None, tuple(facts), self.id, kept=kept)
        change = Change(key, self.entity, "update", self.id, told(self._reasons), tuple(self.changed), payload)
        return Planned(Step(change, route, tuple(facts)), (), self.id, kept=kept)

    def _change(self, slot: str, change: FieldChange) -> None:
        self.changed.append(change)
        self._reasons.append((slot, reason_of(slot, change.why, change.origin)))

    def _keep(self, key: str, name: str, now: str | None, wanted: str, why: str, origin: Origin | None) -> None:
        """Who changed the entity last is told where a person may have changed this value."""
        by, at = (None if why == ANOTHER else self.current.changed_by) or (None, None)
        self.kept.append(Kept(key, self.entity, self.id, name, now, wanted, why, by, at, origin))
