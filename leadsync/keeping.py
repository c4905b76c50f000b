"""Keeping: pushed records that could not be brought in now, and that no source holds."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from leadsync.done import Done, refusal, refused_of
from leadsync.errors import LeadsyncError, RecordError, Remedy
from leadsync.intake import Taken, keepable
from leadsync.records import Record
from leadsync.state.refused import PUSHED, Refused, RefusedRecords, pushed_place
from leadsync.sync.changes import digest
from leadsync.sync.results import RefusedRow

logger = logging.getLogger("leadsync")

NOT_KEPT = "push it again: it could not be kept"

GOES_IN = "it is kept and goes in by itself; pushing it again does no harm"


@dataclass(frozen=True, slots=True)
class Keeping:
    """Keeps pushed records among the refused ones. `named` gives what a log line may say of a key."""

    refused: RefusedRecords
    named: Callable[[str], Mapping[str, str]]

    async def held_back(self, source: str, taken: Taken, error: LeadsyncError) -> Done:
        """Keep a record that an error held back through no fault of its own; what became of it."""
        at = time.time()
        refused = Refused(taken.key, source, taken.place, error.what, error.remedy, None, at, do=error.do)
        is_kept = await self._keep(replace(refused, record=taken.pushed, came=taken.came), taken.kept)
        row = RefusedRow(taken.key, taken.place, None, error.what, _do(taken, error) if is_kept else NOT_KEPT)
        return Done(taken.key, taken.place, "failed", refused=[row], remedy=error.remedy)

    async def unread(self, record: Mapping[str, Any] | Record, error: RecordError, came: float) -> Done:
        """Keep a record that cannot be read, under the place that its source and id make; what became of it."""
        raw = keepable(record)
        known = raw or {}
        place = pushed_place(known.get("source"), known.get("id") or digest(repr(sorted(known.items()))))
        done = refusal(place, place, error)
        await self._keep(replace(refused_of(done, PUSHED, time.time()), record=raw, came=came))
        return done

    async def _keep(self, refused: Refused, name: str | None = None) -> bool:
        """Keep a record; one that was kept under this name only if it still is: else others brought it in meanwhile, or
        its person was forgotten. Whether nothing is left to be done about it."""
        try:
            if name is None or await self.refused.find([name]):
                await self.refused.keep([refused])
        except LeadsyncError as error:
            named = self.named(refused.key)
            logger.error("a pushed record could not be kept (%s); push it again", error.what, extra=named)
            return False
        return True


def _do(taken: Taken, error: LeadsyncError) -> str | None:
    """What whoever pushed it has to do: nothing where it is only waited for, or what a person has to, once."""
    if taken.pushed is None:
        return error.do
    nothing = error.remedy in (Remedy.WAIT, Remedy.LOOK) or not error.do
    return f"nothing: {GOES_IN}" if nothing else f"{error.do}; {GOES_IN}"
