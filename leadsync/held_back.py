"""Held back: pushes that the trouble of amoCRM kept from going in; they go along with the next push of their talk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from leadsync.done import Done
from leadsync.errors import RecordError
from leadsync.intake import Intake, Skipped, Taken
from leadsync.merging import merged
from leadsync.records import Record
from leadsync.state.refused import Refused, RefusedRecords


def is_held_back(done: Done) -> bool:
    """Whether a record failed through no fault of its own, and may go through later as it is."""
    return done.outcome == "failed" and done.remedy is not None and not done.remedy.blames_record


async def with_held_back(
    refused: RefusedRecords, intake: Intake, taken: Sequence[Taken], zone: ZoneInfo
) -> tuple[list[Taken], list[Done]]:
    """Pushed records with what waits of their talks, and those that were kept and are not any more: others brought them
    in, or gave them up.

    To be called under their claims. Raises StateUnavailable.
    """
    names = {one.key: {one.key, one.place, one.kept or one.key} for one in taken if one.pushed is not None}
    found = await refused.find(sorted({name for some in names.values() for name in some}))
    going, ended = list[Taken](), list[Done]()
    for one in taken:
        if one.kept is not None and one.kept not in found:
            ended.append(Done(one.key, one.place, "unchanged"))
        else:
            waits = [kept for name in names.get(one.key, ()) if (kept := found.get(name)) is not None and kept.waits]
            going.append(_together(intake, one, waits, zone) if waits else one)
    return going, ended


def _together(intake: Intake, taken: Taken, waits: Sequence[Refused], zone: ZoneInfo) -> Taken:
    """One push with those of its talk that wait, in the order in which they came; alone where they do not fit."""
    pushes = [(one.since, one.record or {}) for one in waits]
    if all(one.key != taken.kept for one in waits):
        pushes.append((taken.came, taken.pushed or {}))
    pushes.sort(key=lambda one: one[0])
    raw: dict[str, Any] = {}
    for _, push in pushes:
        raw = merged(raw, push)
    try:
        whole = intake.take(Record.from_mapping(raw, zone=zone), taken.place, pushed=raw)
    except (RecordError, Skipped):
        whole = taken
    if whole is taken or whole.key != taken.key:
        return replace(taken, came=min(taken.came, math.nextafter(pushes[0][0], 0.0)))  # what waits goes on waiting
    return replace(whole, came=pushes[-1][0], kept=taken.kept)
