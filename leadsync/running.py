"""Running: the records of a source brought into the CRM, several chunks at a time.

Chunks are worked on side by side in lanes, each of which is to the others like another process: with claims of its own.
So the contacts of one chunk are on their way while the next is rendered, and enough requests are under way to use the
account's budget, however long amoCRM takes to answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from leadsync.chunks import CHUNK, Chunk, open_source, read_chunks
from leadsync.done import Done
from leadsync.errors import Remedy
from leadsync.events import RecordsDone
from leadsync.intake import Intake, Taken
from leadsync.lanes import MOST, Lanes
from leadsync.planning import count
from leadsync.project import Connections
from leadsync.selection import Selection
from leadsync.sources.base import Source
from leadsync.state.seen import Seen
from leadsync.steps import Steps
from leadsync.sync.results import RunReport

Check = Callable[[Sequence[Chunk] | None], Awaitable[None]]
"""Asked before the first write, with all chunks where they fit into memory; what it raises stops the run."""


async def run_records(
    connections: Connections,
    lanes: Lanes,
    intake: Intake,
    selection: Selection,
    report: RunReport,
    check: Check | None = None,
) -> None:
    """Bring a source's records in and count them in the report. Raises what Steps.sync raises, and what a source does.

    After an error, or when it is cancelled, nobody begins another request; writes under way come to their end.
    """
    async with open_source(connections, intake) as source:
        await _run_source(source, connections, lanes, intake, selection, report, check)


async def _run_source(
    source: Source,
    connections: Connections,
    lanes: Lanes,
    intake: Intake,
    selection: Selection,
    report: RunReport,
    check: Check | None,
) -> None:
    seen = Seen(connections.redis, connections.names, intake.source.name, intake.wording)
    await seen.begin()
    async with aclosing(read_chunks(connections, intake, selection, seen, source)) as chunks:
        ahead, is_all = await _ahead(chunks) if check is not None else (deque[Chunk](), False)
        if check is not None:
            await check(ahead if is_all else None)
        async with aclosing(_after(ahead, chunks)) as all_chunks:
            running = Running(connections, intake, report, source, all_chunks)
            try:
                async with asyncio.TaskGroup() as group:
                    for number in range(MOST):
                        group.create_task(running.lane(lanes, number))
            except ExceptionGroup as failed:
                raise failed.exceptions[0] from None
    await running.finish(await lanes.steps(0))


async def _ahead(chunks: AsyncIterator[Chunk]) -> tuple[deque[Chunk], bool]:
    """The first chunks, and whether they are all; records that did not change take no room."""
    ahead, records = deque[Chunk](), 0
    async for chunk in chunks:
        ahead.append(chunk)
        records += len(chunk)
        if records >= MOST * CHUNK:
            return ahead, False
    return ahead, True


async def _after(ahead: deque[Chunk], chunks: AsyncIterator[Chunk]) -> AsyncGenerator[Chunk]:
    """Chunks that were read ahead, which are let go one by one, and those that follow."""
    while ahead:
        yield ahead.popleft()
    async for chunk in chunks:
        yield chunk


def count_done(connections: Connections, report: RunReport, done: Sequence[Done]) -> None:
    """Count records that are done with."""
    for one in done:
        count(report, one)
        report.created += one.created
        report.updated += one.updated
    connections.listeners(RecordsDone(len(done)))


@dataclass(slots=True)
class Running:
    """One run: where the next chunk comes from, which keys are under way, and who has to wait for other workers."""

    connections: Connections
    intake: Intake
    report: RunReport
    source: Source
    chunks: AsyncIterator[Chunk]
    others: dict[str, Taken] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)
    _next: asyncio.Lock = field(default_factory=asyncio.Lock)
    _free: asyncio.Condition = field(default_factory=asyncio.Condition)
    _finishing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def lane(self, lanes: Lanes, number: int) -> None:
        """Work on one chunk after the other."""
        steps: Steps | None = None
        while (chunk := await self._taken()) is not None:
            steps = steps or await lanes.steps(number)
            await self._work(steps, chunk)
            await self._give_back(chunk)

    async def _taken(self) -> Chunk | None:
        """The next chunk, once nobody is at work on an earlier record of one of its keys."""
        async with self._next:
            if (chunk := await anext(self.chunks, None)) is None:
                return None
            async with self._free:
                await self._free.wait_for(lambda: self.busy.isdisjoint(chunk.taken))
                self.busy |= chunk.taken.keys()
            return chunk

    async def _give_back(self, chunk: Chunk) -> None:
        async with self._free:
            self.busy -= chunk.taken.keys()
            self._free.notify_all()

    async def _work(self, steps: Steps, chunk: Chunk) -> None:
        self.report.outcomes += chunk.same
        self.connections.listeners(RecordsDone(chunk.same.total()))
        await steps.keep_ended(self.intake, chunk.ended)
        await self._count(chunk.ended)
        if not self.others.keys().isdisjoint(chunk.taken):
            await self.finish(steps)
        done, left = await steps.sync(self.intake, list(chunk.taken.values()))
        await self._count(done)
        self.others |= {one.key: one for one in left}
        if len(self.others) >= CHUNK:
            await self.finish(steps)

    async def finish(self, steps: Steps) -> None:
        """Bring in what other workers were busy with, as soon as they are not; one lane does so for all."""
        async with self._finishing:
            others = dict(self.others)
            if others:
                await self._count(await steps.finish(self.intake, list(others.values())))
            for key in others:
                del self.others[key]

    async def _count(self, done: Sequence[Done]) -> None:
        """Count records that are done with, and let the source let go of them; not of those that only have to wait."""
        await self.source.accepted([one.place for one in done if one.remedy is not Remedy.WAIT])
        count_done(self.connections, self.report, done)
