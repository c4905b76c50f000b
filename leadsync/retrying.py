"""Retrying: refused records once more, as they are in their source now, or as they were kept if none holds them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field

from leadsync.chunks import consumes
from leadsync.config.loader import Project
from leadsync.done import Done
from leadsync.errors import ConfigurationError
from leadsync.selection import Selection
from leadsync.state.refused import Refused, RefusedRecords, Sealed, is_pushed
from leadsync.sync.results import RunReport

Run = Callable[[str, Selection, RunReport], Awaitable[None]]
"""Brings chosen records of a source in."""

Push = Callable[[Refused], Awaitable[Done]]
"""Brings a record in that was kept."""


@dataclass(slots=True)
class Retrying:
    """Some refused records. `pushed` are those that are brought in as they were kept: pushed ones, and those of a
    queue, which gives a record once only; so many beside them are `sealed`."""

    project: Project
    refused: RefusedRecords
    records: Sequence[Refused]
    pushed: list[Refused] = field(default_factory=list)
    sealed: int = 0

    @classmethod
    async def of(cls, project: Project, refused: RefusedRecords, keys: Sequence[str]) -> Retrying:
        """Those of `keys`, or all. Raises ConfigurationError for a key that is not refused, StateUnavailable."""
        found = [one for one in await refused.all() if not keys or one.key in keys]
        sealed = [one for one in found if isinstance(one, Sealed)]
        if keys and sealed:
            raise sealed[0].error()
        records = [one for one in found if not isinstance(one, Sealed)]
        strangers = set(keys) - {one.key for one in records}
        if strangers:
            what = f"not among the refused records: {', '.join(sorted(strangers))}"
            raise ConfigurationError(what, do="`leadsync failed list` shows their keys")
        await refused.try_all_again(records)
        queues = {name for name in project.sources if consumes(project, name)}
        kept = [one for one in records if one.record is not None and (is_pushed(one.place) or one.source in queues)]
        return cls(project, refused, records, kept, len(sealed))

    async def from_sources(self, run: Run, report: RunReport) -> None:
        """Bring in what lies in a source; what does not any more is forgotten."""
        if self.sealed:
            said = "1 refused record" if self.sealed == 1 else f"{self.sealed} refused records"
            report.warnings.append(f"{said} cannot be read: `leadsync failed list` says what to do")
        elsewhere = {one.key for one in self.pushed} | {one.key for one in self.records if is_pushed(one.place)}
        for name in self.project.sources:
            only = {one.key for one in self.records if one.source == name} - elsewhere
            if only:
                await run(name, Selection(only=only), report)
                await self._drop_vanished(only, report)

    async def from_kept(self, push: Push) -> list[Done]:
        """Bring in what was kept."""
        return await bring_kept(self.refused, push, self.pushed)

    async def _drop_vanished(self, keys: Collection[str], report: RunReport) -> None:
        """Forget records that their source does not hold any more: nobody tried them just now."""
        now = await self.refused.find(list(keys))
        tries = {one.key: one.tries for one in self.records}
        vanished = [key for key, one in now.items() if one.tries == tries[key]]
        if vanished:
            report.warnings.append(f"{len(vanished)} refused records are no longer in their source and were forgotten")
            await self.refused.drop(vanished)


async def bring_kept(refused: RefusedRecords, push: Push, kept: Sequence[Refused]) -> list[Done]:
    """Bring kept records in. What is not wanted any more, or is kept under another key now, is forgotten, as what went
    in is.

    Raises StateUnavailable.
    """
    done = await asyncio.gather(*map(push, kept))
    tried = list(zip(kept, done, strict=True))
    moved = [(one, now.key) for one, now in tried if now.outcome == "failed" and now.key != one.key]
    there = await refused.find([key for _, key in moved])
    # One that could not be kept under its new key, for there is no Redis or another one there, stays under the old one.
    over = [one for one, key in moved if key in there and there[key].holds(one.record)]
    over += [one for one, now in tried if now.outcome == "skipped"]
    await refused.drop_older({one.key: one.since for one in over})
    return list(done)
