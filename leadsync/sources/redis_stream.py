"""redis-stream: talks as entries of a Redis stream; a consumer group shares them out until the CRM has them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import aclosing, suppress
from typing import ClassVar

from pydantic import Field
from redis.exceptions import RedisError

from leadsync.amounts import Waiting
from leadsync.sources.base import RawRecord, Source, SourceContext, SourceOptions
from leadsync.sources.redis_access import open_own, source_errors
from leadsync.sources.stream_entries import StreamEntry
from leadsync.sources.stream_group import ConsumerGroup, Entry
from leadsync.tasks import end_tasks

RIGHTS = "XREADGROUP, XACK, XCLAIM, XPENDING, XINFO and XGROUP on the stream, and EVAL"

LOOK_AFTER = 5.0
"""Seconds between two looks after the dead, and between two signs of life."""

BLOCK = 2.0
"""Seconds for which Redis holds a question for new entries."""


class RedisStreamOptions(SourceOptions):
    """What leadsync.yaml may say about a stream."""

    stream: str = Field(min_length=1, description="the stream's key")
    group: str = Field(
        "leadsync", min_length=1, description="the consumer group; made when it is not there, from the oldest entry"
    )
    url: str | None = Field(None, description="a Redis of its own: redis://, rediss:// or unix://; else the project's")
    source: str | None = Field(None, min_length=1, description="the `source` of records that name none")
    batch: int = Field(100, ge=1, le=1000, description="entries that one worker is given at once")


class RedisStream(Source):
    """Every entry is a talk as it was when the entry was written; of several with one source and id the newest counts.

    An entry with JSON in its field `record` (or `data`) is that record, and fields beside it give what the JSON does
    not say; any other entry has a field for each part of the record, text or JSON, as a hash of redis-dialogs. A group
    shares the entries out: each stays its worker's until the CRM has it or it is kept as refused, and goes to another
    worker when this one dies. Entries are never deleted: trim the stream with XADD's MAXLEN or MINID.
    """

    Options: ClassVar[type[SourceOptions]] = RedisStreamOptions
    options: RedisStreamOptions
    consumes = True

    def __init__(self, name: str, options: RedisStreamOptions, context: SourceContext) -> None:
        super().__init__(name, options, context)
        self._own = None if options.url is None else open_own(options.url, name)
        self._group = ConsumerGroup(self._own or context.redis, options.stream, options.group)
        self._living: asyncio.Task[None] | None = None

    async def raw_records(self) -> AsyncIterator[RawRecord]:
        """Every entry there is, whoever has it, oldest first. Raises StateUnavailable."""
        async for page in self.raw_pages():
            for raw in page:
                yield raw

    async def raw_pages(self) -> AsyncIterator[Sequence[RawRecord]]:
        """The same by the page. Raises StateUnavailable."""
        async for page in self._after("-"):
            yield page

    def open_pages(self, *, take: bool) -> AsyncIterator[Sequence[RawRecord]]:
        """Entries that nobody has accepted: with `take` those that can be had, and no more than there are now.

        Without it those that other workers have are among them, and nothing changes. Raises StateUnavailable.
        """
        return self._taken() if take else self._not_accepted()

    async def changed(self, poll: float) -> AsyncGenerator[Sequence[RawRecord], None]:
        """Entries as they are written; first what this process was given before, then what the dead have left.

        Redis wakes whoever waits: `poll` is not needed. Raises StateUnavailable.
        """
        with source_errors(self.name, RIGHTS):
            await self._begin()
            async for page in self._held():
                yield page
            looked = 0.0
            while True:
                if time.monotonic() - looked > LOOK_AFTER:
                    async for page in self._left_by_the_dead():
                        yield page
                    looked = time.monotonic()
                if entries := await self._group.new(self.options.batch, BLOCK):
                    yield await self._newest_of(entries)

    async def again(self, places: Sequence[str]) -> Sequence[RawRecord]:
        """These entries, unless a newer one has replaced them or they were deleted. Raises StateUnavailable."""
        with source_errors(self.name, RIGHTS):
            ids = [_id_of(one) for one in places]
            found = [entry for id in ids for entry in await self._group.between(id, id, 1)]
            there = {id.decode() for id, _ in found}
            await self._group.accept([id for id in ids if id not in there])
            return await self._newest_of(found)

    async def outdated(self, raws: Sequence[RawRecord]) -> Collection[str]:
        """The places of entries of whose talk anybody was given a newer one. Raises StateUnavailable."""
        entries = [one for one in raws if isinstance(one, StreamEntry)]
        with source_errors(self.name, RIGHTS):
            newest = await self._group.newest([one.talk for one in entries])
        return {one.place for one, order in zip(entries, newest, strict=True) if order > one.order}

    async def accepted(self, places: Sequence[str]) -> None:
        """Let go of these entries. Raises StateUnavailable."""
        with source_errors(self.name, RIGHTS):
            await self._group.accept([_id_of(one) for one in places])

    async def queue(self) -> Waiting:
        """Entries that nobody was given yet, and those that somebody has and did not accept."""
        with source_errors(self.name, RIGHTS):
            count, oldest = await self._group.waiting()
        return Waiting(count, None if oldest is None else int(oldest.partition(b"-")[0]) / 1000)

    async def aclose(self) -> None:
        """Give back what was not accepted, so that another worker takes it at once."""
        if self._living is not None:
            await end_tasks([self._living])
            with suppress(RedisError, OSError):
                await self._group.leave()
        if self._own is not None:
            await self._own.aclose()

    async def _begin(self) -> None:
        await self._group.create()
        if self._living is None:
            self._living = asyncio.create_task(self._live())

    async def _live(self) -> None:
        """Show that this worker lives, also while it has enough to do and asks for nothing."""
        while True:
            await asyncio.sleep(LOOK_AFTER)
            with suppress(RedisError, OSError):
                await self._group.mine(1)

    async def _held(self) -> AsyncIterator[Sequence[RawRecord]]:
        """What this process was given in an earlier life of the source, or just before Redis went away."""
        after = b"0"
        while entries := await self._group.mine(self.options.batch, after):
            after = entries[-1][0]
            yield await self._newest_of(entries)

    async def _left_by_the_dead(self) -> AsyncIterator[Sequence[RawRecord]]:
        async with aclosing(self._group.taken_over(self.options.batch)) as pages:
            async for entries in pages:
                yield await self._newest_of(entries)

    async def _taken(self) -> AsyncIterator[Sequence[RawRecord]]:
        with source_errors(self.name, RIGHTS):
            await self._begin()
            end = await self._group.last_id()
            async for page in self._held():
                yield page
            async for page in self._left_by_the_dead():
                yield page
            while entries := await self._group.new(self.options.batch):
                yield await self._newest_of(entries)
                if self._entry(entries[-1]).order >= self._entry((end.encode(), {})).order:
                    return

    async def _not_accepted(self) -> AsyncIterator[Sequence[RawRecord]]:
        with source_errors(self.name, RIGHTS):
            ids, last = await self._group.open_ids()
            for start in range(0, len(ids), self.options.batch):
                some = [one.decode() for one in ids[start : start + self.options.batch]]
                yield [self._entry(one) for id in some for one in await self._group.between(id, id, 1)]
        async for entries in self._after(f"({last.decode()}"):
            yield entries

    async def _after(self, start: str) -> AsyncIterator[Sequence[RawRecord]]:
        with source_errors(self.name, RIGHTS):
            while entries := await self._group.between(start, "+", self.options.batch):
                yield [self._entry(one) for one in entries]
                start = f"({entries[-1][0].decode()}"

    def _entry(self, entry: Entry) -> StreamEntry:
        return StreamEntry(self.options.stream, *entry, self.context.zone, self.options.source or self.name)

    async def _newest_of(self, entries: Sequence[Entry]) -> Sequence[RawRecord]:
        """Entries without those that a newer one has replaced, or that were deleted: these are let go of."""
        raws = [self._entry(one) for one in entries if one[1]]
        await self._group.register([(one.talk, one.order) for one in raws])
        old = await self.outdated(raws)
        await self._group.accept([id for id, fields in entries if not fields] + [_id_of(one) for one in old])
        return [one for one in raws if one.place not in old]


def _id_of(place: str) -> str:
    return place.rpartition(":")[2]
