"""Chunks: the records of a source by the handful, so that memory stays bounded however many there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from heapq import nsmallest
from typing import Any
from zoneinfo import ZoneInfo

from leadsync import plugins
from leadsync.config.loader import Project
from leadsync.done import Done, refusal
from leadsync.errors import RecordError, StartRefused
from leadsync.events import RecordsRead
from leadsync.intake import Intake, Skipped, Taken, keepable
from leadsync.project import Connections
from leadsync.selection import EVERYTHING, Selection
from leadsync.sources.base import RawRecord, Source, SourceContext
from leadsync.state.seen import NEW, SKIPPED, UNCHANGED, Seen, mark_of
from leadsync.sync.changes import Outcome
from leadsync.tasks import Breath

MOST_SAME = 10_000
"""Records that are the same as before after which a chunk ends, so that somebody who waits sees it go on."""

AS_BEFORE: dict[int, Outcome] = {UNCHANGED[0]: "unchanged", SKIPPED[0]: "skipped"}

CHUNK = 500
"""Records that are in memory at a time."""


@dataclass(slots=True)
class Chunk:
    """Some records, no key twice: `taken` are to go on, `ended` were skipped or could not be read.

    `same` counts those beside them that are known to be the same as before, by what became of them then.
    """

    taken: dict[str, Taken] = field(default_factory=dict)
    ended: list[Done] = field(default_factory=list)
    same: Counter[Outcome] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.taken) + len(self.ended)

    def add(self, one: Taken | Done) -> None:
        """Put one more record in."""
        if isinstance(one, Done):
            self.ended.append(one)
        else:
            self.taken[one.key] = one


async def read_chunks(
    connections: Connections,
    intake: Intake,
    selection: Selection = EVERYTHING,
    seen: Seen | None = None,
    source: Source | None = None,
) -> AsyncGenerator[Chunk, None]:
    """Read a source chunk by chunk; what `seen` knows to be the same is counted and not parsed.

    From a `source` that is open already the records are taken: whoever does that has to accept them.
    Raises ConfigurationError, StateUnavailable; what `read_whole` raises.
    """
    if selection.whole:
        yield await read_whole(connections, intake, selection)
        return
    chunk, count, breath = Chunk(), 0, Breath()
    async with aclosing(_open_pages(connections, intake, selection, source)) as pages:
        async for page in pages:
            marks, letters = await _compared(page, seen if selection.only is None else None)
            for raw, mark, letter in zip(page, marks, letters, strict=True):
                if count == selection.limit:
                    break
                if letter in AS_BEFORE:
                    chunk.same[AS_BEFORE[letter]] += 1
                    count += 1
                    continue
                if breath.is_over:
                    await breath.draw()
                one = read_record(intake, raw, mark)
                if not selection.has(one.key, raw.place):
                    continue
                count += 1
                if one.key in chunk.taken or len(chunk) >= CHUNK:
                    yield _told(connections, chunk)
                    chunk = Chunk()
                chunk.add(one)
            if count == selection.limit:
                break
            if chunk.same.total() >= MOST_SAME:
                yield _told(connections, chunk)
                chunk = Chunk()
    yield _told(connections, chunk)


def _told(connections: Connections, chunk: Chunk) -> Chunk:
    connections.listeners(RecordsRead(len(chunk) + chunk.same.total()))
    return chunk


async def _compared(page: Sequence[RawRecord], seen: Seen | None) -> tuple[Sequence[bytes], bytes]:
    """The marks of raw records, and the letters that say which are the same as before; what a queue gives is new."""
    if page and not page[0].lasting:
        return [b""] * len(page), NEW * len(page)
    marks = [mark_of(raw.place, raw.fingerprint()) for raw in page]
    return marks, NEW * len(page) if seen is None else await seen.compare(marks)


async def read_whole(connections: Connections, intake: Intake, selection: Selection) -> Chunk:
    """The whole selection as one chunk, sorted by key, however many records there are.

    Raises StartRefused when two records have one key: which of them counts would be up to the order of the source.
    """
    read: list[Taken | Done] = []
    async with aclosing(_wanted(connections, intake, selection)) as found:
        async for one in found:
            read.append(one)
            if selection.limit is not None and len(read) >= 2 * selection.limit + CHUNK:
                read = nsmallest(selection.limit, read, key=_name)
    chunk = Chunk()
    for one in sorted(read, key=_name)[: selection.limit]:
        if one.key in chunk.taken and isinstance(one, Taken):
            raise StartRefused(
                f"two records have the key {one.key}: a plan that is saved needs each key once",
                where=f"{chunk.taken[one.key].place} and {one.place}",
                do="give each record a key of its own, or use `leadsync run` without a saved plan",
            )
        chunk.add(one)
    connections.listeners(RecordsRead(len(chunk)))
    return chunk


def _name(one: Taken | Done) -> tuple[str, str]:
    return (one.key, one.place)


async def _wanted(connections: Connections, intake: Intake, selection: Selection) -> AsyncGenerator[Taken | Done, None]:
    async with aclosing(raw_records(connections, intake)) as found:
        async for raw in found:
            one = read_record(intake, raw, mark_of(raw.place, raw.fingerprint()))
            if selection.has(one.key, raw.place):
                yield one


def read_record(intake: Intake, raw: RawRecord, mark: bytes) -> Taken | Done:
    """One record: read and wanted, or skipped, or not readable; `mark` is what is remembered of its bytes."""
    try:
        return intake.read(raw, mark)
    except Skipped as skipped:
        return Done(str(skipped), raw.place, "skipped", mark=mark)
    except RecordError as error:
        return replace(refusal(raw.place, raw.place, error, mark), record=None if raw.lasting else _kept(raw))


def _kept(raw: RawRecord) -> Mapping[str, Any] | None:
    """What a record says that nobody holds any more once it is refused; None for one that cannot be read."""
    try:
        return keepable(raw.read())
    except RecordError:
        return None


async def raw_records(connections: Connections, intake: Intake) -> AsyncGenerator[RawRecord, None]:
    """What a source finds, not read yet. Raises ConfigurationError, StateUnavailable."""
    async with aclosing(raw_pages(connections, intake)) as pages:
        async for page in pages:
            for raw in page:
                yield raw


async def raw_pages(connections: Connections, intake: Intake) -> AsyncGenerator[Sequence[RawRecord], None]:
    """The same by the page. Raises ConfigurationError, StateUnavailable."""
    async with open_source(connections, intake) as source:
        async for page in source.raw_pages():
            yield page


async def _open_pages(
    connections: Connections, intake: Intake, selection: Selection, source: Source | None
) -> AsyncGenerator[Sequence[RawRecord], None]:
    """What is to be brought in; a record that is asked for by its name is looked for among all there are."""
    if source is None:
        async with open_source(connections, intake) as opened:
            async for page in opened.raw_pages() if selection.only is not None else opened.open_pages(take=False):
                yield page
    else:
        async for page in source.raw_pages() if selection.only is not None else source.open_pages(take=True):
            yield page


def consumes(project: Project, name: str) -> bool:
    """Whether a source of the project is a queue: what was refused there is kept with its refusal only."""
    kind: type[Source] = plugins.load("sources", project.sources[name].section.type)
    return kind.consumes


@asynccontextmanager
async def open_source(connections: Connections, intake: Intake) -> AsyncIterator[Source]:
    """The source of an intake, until the end of the block. Raises ConfigurationError."""
    project, configured = connections.project, intake.source
    context = SourceContext(connections.redis, project.folder, ZoneInfo(project.file.defaults.timezone))
    source: Source = plugins.load("sources", configured.section.type)(configured.name, configured.options, context)
    try:
        yield source
    finally:
        await source.aclose()
