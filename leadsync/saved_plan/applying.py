"""Applying a saved plan: all of it as it was seen, or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from leadsync.chunks import Chunk, read_whole
from leadsync.config.reading import shown_path
from leadsync.done import Done
from leadsync.errors import StartRefused
from leadsync.intake import Intake
from leadsync.project import Connections
from leadsync.saved_plan.document import SavedPlan, file_digests, talk_digest
from leadsync.saved_plan.files import read_plan
from leadsync.saved_plan.moved import Now, moved
from leadsync.selection import Selection
from leadsync.state.links import Link, load_links
from leadsync.steps import Steps
from leadsync.sync.changes import RecordPlan, contact_ref, lead_ref
from leadsync.sync.foreseen import Foreseen

MOST_NAMED = 20
"""Things that moved which a refusal names; the rest is counted."""


@dataclass(slots=True)
class Applying:
    """A saved plan that is about to be applied; `left` counts the items that were still to be sent."""

    connections: Connections
    path: Path
    saved: SavedPlan
    left: int = field(default=0, init=False)

    @classmethod
    def of(cls, connections: Connections, path: Path, source: str | None = None) -> Applying:
        """Read a plan for this project and account, and for `source`, if one is named.

        Raises ConfigurationError, and StartRefused when it was changed, or made for something else.
        """
        applying = cls(connections, path, read_plan(path))
        found = applying._premises(source)
        if found:
            raise applying._stale(found)
        return applying

    @property
    def selection(self) -> Selection:
        """What has to be read: the whole source, or what the plan speaks of when it was made of a part."""
        asked = self.saved.selection
        if asked.limit is not None:
            return Selection(only={one.key for one in self.saved.records}, whole=True)
        return Selection(only=None if asked.record is None else (asked.record,), whole=True)

    @property
    def remark(self) -> str | None:
        """What to say when nothing was to be done."""
        if not self.saved.changes:
            return f"{shown_path(self.path)} holds no changes"
        return None if self.left else f"{shown_path(self.path)} is already applied: nothing is left to send"

    async def apply(self, steps: Steps, intake: Intake) -> list[Done]:
        """Send what the plan holds and is not in amoCRM yet.

        Raises StartRefused before the first write when anything moved; AmoCRMAPIError, StateUnavailable.
        """
        chunk = await read_whole(self.connections, intake, self.selection)

        async def check(plans: Sequence[RecordPlan]) -> None:
            found = await self._moved(steps, chunk, plans)
            if found:
                raise self._stale(found)

        done = await steps.sync_whole(intake, list(chunk.taken.values()), check)
        await steps.keep_ended(intake, chunk.ended)
        return [*chunk.ended, *done]

    def _premises(self, source: str | None) -> list[str]:
        saved, project, account = self.saved, self.connections.project, self.connections.account.name
        found = [f"it was made for the account {saved.account}, this is {account}"] if saved.account != account else []
        if source not in (None, saved.source):
            return [*found, f"it was made for the source {saved.source}"]
        if saved.source not in project.sources:
            return [*found, f"the source {saved.source} is gone from {shown_path(project.path)}"]
        now = file_digests(project, saved.source)
        return found + [f"{name} changed" for name in {**saved.files, **now} if now.get(name) != saved.files.get(name)]

    async def _moved(self, steps: Steps, chunk: Chunk, plans: Sequence[RecordPlan]) -> list[str]:
        saved = {one.key: one for one in self.saved.records}
        links = await load_links(
            self.connections.redis, self.connections.names, list({*saved, *(one.key for one in plans)})
        )
        ids = _made(links, plans)
        now = {one.key: one for one in await self._now(steps, chunk, plans, links)}
        self.left = sum(len(one.changes) for one in now.values())
        ended = {name for one in chunk.ended for name in (one.key, one.place)}
        said: list[str] = []
        for key in sorted({*saved, *now}):
            if key in ended and key not in now:
                said += [f"the talk {key} changed"] if saved[key].talk is not None else []
            else:
                said += moved(saved.get(key), now.get(key), ids)
        return said

    async def _now(
        self, steps: Steps, chunk: Chunk, plans: Sequence[RecordPlan], links: dict[str, Link]
    ) -> Iterable[Now]:
        """The records as they would be handled now, without items that are not sent because amoCRM refused them."""
        before = await steps.refused.find([name for one in plans for name in (one.key, one.place)])
        held = Foreseen().refused(plans, {item.request_id: item for one in before.values() for item in one.items})
        return [
            Now(
                one.key,
                talk_digest(chunk.taken[one.key].record),
                [step.change for step in one.steps if step.request_id not in held],
                one.kept,
                one.reason,
                one.refusal is not None,
                links[one.key],
            )
            for one in plans
        ]

    def _stale(self, found: Sequence[str]) -> StartRefused:
        shown = shown_path(self.path)
        lines = [f"    {one}" for one in found[:MOST_NAMED]]
        if len(found) > MOST_NAMED:
            lines.append(f"    … and {len(found) - MOST_NAMED} more")
        return StartRefused(
            "\n".join([f"{shown} does not fit any more, and nothing of it was sent:", *lines]),
            do=f"make a new plan with\n    leadsync dry-run --out {shown}\n  look at it, and apply that one",
        )


def _made(links: Mapping[str, Link], plans: Sequence[RecordPlan]) -> dict[str, int]:
    """The ids of references to what was created since; what is still to be created may have had another id before."""
    ids = {contact_ref(key): link.contact_id for key, link in links.items() if link.contact_id is not None}
    ids |= {lead_ref(key): link.lead_id for key, link in links.items() if link.lead_id is not None}
    changes = [step.change for plan in plans for step in plan.steps if step.change.action == "create"]
    to_come = {contact_ref(one.key) for one in changes if one.entity == "contact"}
    to_come |= {lead_ref(one.key) for one in changes if one.entity == "lead"}
    return {reference: id_ for reference, id_ in ids.items() if reference not in to_come}
