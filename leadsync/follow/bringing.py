"""Bringing: the lanes take records from the inboxes and bring them into the CRM, batch by batch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from leadsync.chunks import CHUNK, read_record
from leadsync.done import Done
from leadsync.errors import AmoCRMAPIError
from leadsync.events import RecordFinished
from leadsync.follow.feed import Feed
from leadsync.follow.inbox import Item
from leadsync.follow.pace import Pace
from leadsync.follow.states import Gate
from leadsync.held_back import is_held_back
from leadsync.intake import Taken
from leadsync.pipeline import Pipeline
from leadsync.running import count_done
from leadsync.state.seen import NEW
from leadsync.steps import FIRST_WAIT, LONGEST_WAIT, Steps
from leadsync.sync.results import RunReport

HELD_BACK, MOST_HELD_BACK = 1.0, 30.0
"""Seconds after which a record is tried again whose item amoCRM did not take though it answers others."""


@dataclass(slots=True)
class Batch:
    """Records of one source by place, no key twice: `taken` are to be brought in, `ended` are done with already."""

    feed: Feed
    items: dict[str, Item] = field(default_factory=dict)
    taken: dict[str, Taken] = field(default_factory=dict)
    ended: list[Done] = field(default_factory=list)

    @property
    def keys(self) -> set[str]:
        """The keys that are under way with it."""
        return {one.key for one in self.taken.values()}

    def leave_out(self, places: Sequence[str]) -> list[Item]:
        """Take records out again."""
        for place in places:
            self.taken.pop(place, None)
        self.ended = [one for one in self.ended if one.place not in places]
        return [self.items.pop(place) for place in places]


@dataclass(slots=True)
class Bringing:
    """What the lanes of one pipeline share: the feeds in turn, the keys that are busy, and the report."""

    pipeline: Pipeline
    feeds: Sequence[Feed]
    gate: Gate
    pace: Pace
    report: RunReport
    woken: asyncio.Event
    stopped: bool = False
    sending: int = 0
    _busy: set[str] = field(default_factory=set)

    async def lane(self, number: int) -> None:
        """Bring batch after batch in, until it is stopped. Raises StateUnavailable, and what no waiting cures."""
        while not self.stopped:
            await self.gate.passes(first=number == 0)
            batch = self._batch(number)
            if batch is None:
                await self._something(number)
                continue
            self.sending += 1
            try:
                await self._bring(batch, number)
            finally:
                self.sending -= 1
                self._busy -= batch.keys
                batch.feed.inbox.give_back(list(batch.items.values()))
                batch.feed.tell_backlog()
                self.woken.set()

    async def _something(self, number: int) -> None:
        """Wait until there may be something to take; in trouble amoCRM is asked whether it answers again."""
        times = [wait for feed in self.feeds if (wait := feed.inbox.until_ready()) is not None]
        if number >= self.pace.lanes:
            times = []  # what there is, is others' to take
        self.woken.clear()
        if not self.gate.is_open and not times and number == 0:
            await self._ask()
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(max(FIRST_WAIT, min(times)) if times else None):
                await self.woken.wait()

    async def _ask(self) -> None:
        begun = self.gate.begin()
        try:
            await self.pipeline.connections.client.account(())
        except AmoCRMAPIError as error:
            self.gate.failed(error, begun)
        else:
            self.gate.worked(begun)

    def _batch(self, number: int) -> Batch | None:
        """What waits longest, of one source; a lane beyond those of use takes only what is more than a batch."""
        ready = {feed: feed.inbox.ready() for feed in self.feeds}
        feed = min(self.feeds, key=lambda one: ready[one][0].since if ready[one] else float("inf"))
        helps = number < self.pace.lanes or len(ready[feed]) >= CHUNK
        if self.stopped or not ready[feed] or not helps:
            return None
        batch = Batch(feed)
        keys: set[str] = set()
        for item in ready[feed][:CHUNK]:
            one = read_record(feed.intake, item.raw, b"" if feed.source.consumes else item.mark)
            if isinstance(one, Done):
                batch.ended.append(one)
            elif one.key in self._busy or one.key in keys:
                continue  # it waits for the record before it
            else:
                keys.add(one.key)
                batch.taken[item.raw.place] = one
            batch.items[item.raw.place] = item
        feed.inbox.take(batch.items.values())
        self._busy |= keys
        return batch if batch.items else None

    async def _bring(self, batch: Batch, number: int) -> None:
        """Bring a batch in; what is left in it afterwards waits again."""
        begun = self.gate.begin()
        try:
            steps = await self.pipeline.lanes.steps(number)
            await self._leave_out_known(batch)
            await steps.keep_ended(batch.feed.intake, batch.ended)
            await self._finish(batch, batch.ended)
            if batch.taken:
                await self._sync(batch, steps)
        except AmoCRMAPIError as error:
            self.gate.failed(error, begun)
        else:
            self.gate.worked(begun)

    async def _leave_out_known(self, batch: Batch) -> None:
        """Records that another worker has brought in meanwhile, or whose talk has a newer one, are done with."""
        feed = batch.feed
        known = set(await feed.source.outdated([one.raw for one in batch.items.values()]))
        again = [one for one in batch.items.values() if one.tries and not feed.source.consumes]
        letters = await feed.seen.compare([one.mark for one in again])
        known |= {one.raw.place for one, letter in zip(again, letters, strict=True) if letter != NEW[0]}
        if known:
            self._busy -= {batch.taken[place].key for place in known if place in batch.taken}
            feed.inbox.finish(batch.leave_out(list(known)))
            await feed.source.accepted(list(known))

    async def _sync(self, batch: Batch, steps: Steps) -> None:
        done, left = await steps.sync(batch.feed.intake, list(batch.taken.values()))
        held_back = [one for one in done if is_held_back(one)]
        await self._finish(batch, [one for one in done if not is_held_back(one)])
        for places, first, longest in ((left, FIRST_WAIT, LONGEST_WAIT), (held_back, HELD_BACK, MOST_HELD_BACK)):
            for one in places:
                item = batch.items[one.place]
                item.tries += 1
                item.not_before = time.monotonic() + min(longest, first * 1.5 ** min(item.tries, 50))

    async def _finish(self, batch: Batch, done: Sequence[Done]) -> None:
        """Let the source go of records that are done with, and tell."""
        feed = batch.feed
        await feed.source.accepted([one.place for one in done])
        count_done(self.pipeline.connections, self.report, done)
        now, tell = time.time(), self.pipeline.connections.listeners
        for one in done:
            item = batch.items.pop(one.place)
            batch.feed.inbox.finish([item])
            if one.outcome == "failed":
                feed.refusals.add(item.mark)
            tell(RecordFinished(feed.name, one.outcome, max(0.0, now - item.since)))
