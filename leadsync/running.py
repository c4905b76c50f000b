"""Running: the records of a source brought into the CRM, several chunks at a time.

Chunks are worked on side by side in lanes, each of which is to the others like another process: with claims of its own.
So the contacts of one chunk are on their way while the next is rendered, and enough requests are under way to use the
account's budget, however long amoCRM takes to answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from leadsync.chunks import CHUNK, Chunk, Selection, read_chunks
from leadsync.events import RecordsDone
from leadsync.intake import Intake, Taken
from leadsync.lanes import MOST, Lanes
from leadsync.planning import count
from leadsync.project import Connections
from leadsync.state.seen import SKIPPED, UNCHANGED, Seen
from leadsync.steps import Done, Steps
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

    After an error nobody begins another chunk, and those under way come to their end.
    """
    seen = Seen(connections.redis, connections.names, intake.source.name, intake.wording)
    async with aclosing(read_chunks(connections, intake, selection, seen)) as chunks:
        ahead, is_all = await _ahead(chunks) if check is not None else ([], False)
        if check is not None:
            await check(ahead if is_all else None)
        running = Running(connections, intake, report, seen, _after(ahead, chunks))
        under_way = [running.lane(lanes, number) for number in range(MOST)]
        ended = await asyncio.gather(*under_way, return_exceptions=True)
    for failed in ended:
        if failed is not None:
            raise failed
    await running.finish(await lanes.steps(0))


async def _ahead(chunks: AsyncIterator[Chunk]) -> tuple[list[Chunk], bool]:
    """The first chunks, and whether they are all; records that did not change take no room."""
    ahead: list[Chunk] = []
    async for chunk in chunks:
        ahead.append(chunk)
        if sum(map(len, ahead)) >= MOST * CHUNK:
            return ahead, False
    return ahead, True


async def _after(ahead: Sequence[Chunk], chunks: AsyncIterator[Chunk]) -> AsyncIterator[Chunk]:
    for chunk in ahead:
        yield chunk
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
    seen: Seen
    chunks: AsyncIterator[Chunk]
    stopped: bool = False
    others: dict[str, Taken] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)
    _next: asyncio.Lock = field(default_factory=asyncio.Lock)
    _free: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def lane(self, lanes: Lanes, number: int) -> None:
        """Work on one chunk after the other."""
        try:
            while (chunk := await self._taken()) is not None:
                steps = await lanes.steps(number)
                try:
                    await self._work(steps, chunk)
                finally:
                    await self._give_back(chunk)
        except BaseException:
            self.stopped = True
            raise

    async def _taken(self) -> Chunk | None:
        """The next chunk, once nobody is at work on an earlier record of one of its keys."""
        async with self._next:
            if self.stopped or (chunk := await anext(self.chunks, None)) is None:
                return None
            async with self._free:
                await self._free.wait_for(lambda: self.stopped or self.busy.isdisjoint(chunk.taken))
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
        await self._count(chunk.ended, {})
        if not self.others.keys().isdisjoint(chunk.taken):
            await self.finish(steps)
        done, left = await steps.sync(self.intake, list(chunk.taken.values()))
        await self._count(done, chunk.taken)
        self.others |= {one.key: one for one in left}
        if len(self.others) >= CHUNK:
            await self.finish(steps)

    async def finish(self, steps: Steps) -> None:
        """Bring in what other workers were busy with, as soon as they are not."""
        others, self.others = self.others, {}
        await self._count(await steps.finish(self.intake, list(others.values())), others)

    async def _count(self, done: Sequence[Done], taken: dict[str, Taken]) -> None:
        """Count records, and remember the marks of those that need not be looked at until they change."""
        marks = [(one.mark, SKIPPED) for one in done if one.outcome == "skipped"]
        marks += [(taken[one.key].mark, UNCHANGED) for one in done if one.key in taken and one.outcome != "failed"]
        await self.seen.keep(marks)
        count_done(self.connections, self.report, done)
