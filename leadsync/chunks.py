"""Chunks: the records of a source by the handful, so that memory stays bounded however many there are."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from leadsync import plugins
from leadsync.errors import RecordError
from leadsync.events import RecordsRead
from leadsync.intake import Intake, Skipped, Taken
from leadsync.project import Connections
from leadsync.sources.base import RawRecord, Source, SourceContext
from leadsync.steps import Done, refusal

CHUNK = 500
"""Records that are in memory at a time."""


@dataclass(slots=True)
class Chunk:
    """Some records, no key twice: `taken` are to go on, `ended` were skipped or could not be read."""

    taken: dict[str, Taken] = field(default_factory=dict)
    ended: list[Done] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.taken) + len(self.ended)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records of a source: at most `limit`; only those whose key or place is in `only`, unless it is None."""

    limit: int | None = None
    only: Collection[str] | None = None

    def has(self, *names: str) -> bool:
        """Whether a record of this key or place is meant."""
        return self.only is None or any(name in self.only for name in names)


EVERYTHING = Selection()


async def read_chunks(
    connections: Connections, intake: Intake, selection: Selection = EVERYTHING
) -> AsyncGenerator[Chunk, None]:
    """Read a source chunk by chunk. Raises ConfigurationError, StateUnavailable."""
    chunk, count = Chunk(), 0
    async with aclosing(raw_records(connections, intake)) as found:
        async for raw in found:
            one = _read(intake, raw)
            if not selection.has(one.key, raw.place):
                continue
            count += 1
            if one.key in chunk.taken or len(chunk) >= CHUNK:
                connections.listeners(RecordsRead(len(chunk)))
                yield chunk
                chunk = Chunk()
            if isinstance(one, Done):
                chunk.ended.append(one)
            else:
                chunk.taken[one.key] = one
            if count == selection.limit:
                break
    connections.listeners(RecordsRead(len(chunk)))
    yield chunk


def _read(intake: Intake, raw: RawRecord) -> Taken | Done:
    try:
        return intake.read(raw)
    except Skipped as skipped:
        return Done(str(skipped), raw.place, "skipped")
    except RecordError as error:
        return refusal(raw.place, raw.place, error)


async def raw_records(connections: Connections, intake: Intake) -> AsyncGenerator[RawRecord, None]:
    """What a source finds, not read yet. Raises ConfigurationError, StateUnavailable."""
    project, configured = connections.project, intake.source
    context = SourceContext(connections.redis, project.folder, ZoneInfo(project.file.defaults.timezone))
    source: Source = plugins.load("sources", configured.section.type)(configured.name, configured.options, context)
    try:
        async for raw in source.raw_records():
            yield raw
    finally:
        await source.aclose()
