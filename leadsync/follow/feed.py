"""Feed: one source that is followed, from what may have changed in it to what waits in its inbox."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing

from leadsync.errors import ConfigurationError, RecordError, StateUnavailable
from leadsync.events import Backlog, Listener, RecordsRead, Warned
from leadsync.follow.inbox import Inbox, Item
from leadsync.follow.refusals import Refusals
from leadsync.follow.settling import Settling
from leadsync.follow.states import Gate, Pauses
from leadsync.intake import Intake
from leadsync.mapping.condition import Condition
from leadsync.sources.base import RawRecord, Source
from leadsync.state.seen import NEW, Seen, mark_of

logger = logging.getLogger("leadsync.follow")

AT_ONCE = 200
"""Talks that are read again at once when they are quiet."""


class Feed:
    """One source: reads it, leaves out what is known, waits until talks are quiet, and fills the inbox."""

    def __init__(
        self,
        source: Source,
        intake: Intake,
        seen: Seen,
        send_when: Condition | None,
        gate: Gate,
        listener: Listener,
        woken: Callable[[], None],
        pauses: Pauses,
    ) -> None:
        """`gate` is told when the source does not answer, `woken` when there may be something to take."""
        self._gate = gate
        self.source = source
        self.intake = intake
        self.name = intake.source.name
        self.inbox = Inbox(woken)
        self.seen = seen
        self.refusals = Refusals()
        section = intake.source.section
        self._poll = section.poll
        self._settling = Settling(section.settle, time.time) if section.settle else None
        self._send_when = send_when
        self._listener = listener
        self._pauses = pauses
        self._turn = asyncio.Lock()
        self._warned = False
        self._has_read = False

    @property
    def settles(self) -> bool:
        """Whether talks are waited for at all."""
        return self._settling is not None

    @property
    def settling(self) -> int:
        """How many talks wait until they are quiet."""
        return 0 if self._settling is None else len(self._settling)

    async def read(self) -> None:
        """Read for ever; a source that does not answer is asked again.

        Raises ConfigurationError before all else, StateUnavailable when our own Redis does not answer.
        """
        pause = 0.0
        while True:
            try:
                async with aclosing(self.source.changed(self._poll)) as pages:
                    async for page in pages:
                        pause = 0.0
                        await self._look_at(page)
                        self._gate.source(self.name, None)
                        self._has_read = True
            except (StateUnavailable, ConfigurationError) as error:
                if isinstance(error, ConfigurationError) and not self._has_read:
                    raise
                await self.seen.check()  # without our own Redis nothing goes on, and that is what there is to tell
                self._gate.source(self.name, error.what)
            pause = min(self._pauses.longest, max(self._pauses.first, 2 * pause))
            await asyncio.sleep(pause)

    async def wake_settled(self) -> None:
        """Bring talks on that are quiet now, for ever."""
        settling = self._settling
        while settling is not None:
            await asyncio.sleep(max(0.05, min(1.0, settling.until_due())))
            due = settling.due()
            for start in range(0, len(due), AT_ONCE):
                talks = list(due)[start : start + AT_ONCE]
                try:
                    await self._wake(settling, talks, [due[talk] for talk in talks])
                except StateUnavailable as error:
                    logger.warning("source %s: %s", self.name, error.what)
                    await asyncio.sleep(self._pauses.first)

    async def _wake(self, settling: Settling, talks: Sequence[str], places: Sequence[str]) -> None:
        found = await self.source.again(places)
        if found is not None:
            await self.source.accepted(settling.drop_missing(talks, found))
            await self._look_at(found)

    async def _look_at(self, page: Sequence[RawRecord]) -> None:
        """Take in what is new of a page."""
        async with self._turn:
            marks = [mark_of(raw.place, raw.fingerprint()) for raw in page]
            letters = NEW * len(page) if self.source.consumes else await self.seen.compare(marks)
            new: list[Item] = []
            for raw, mark, letter in zip(page, marks, letters, strict=True):
                if letter != NEW[0]:
                    self._forget(raw)
                elif not (self.inbox.knows(raw.place, mark) or self.refusals.has(mark)) and await self._is_ripe(raw):
                    new.append(Item(raw, mark, raw.written_at() or time.time()))
            if new:
                self._listener(RecordsRead(len(new)))
                self.tell_backlog(new)
            await self.inbox.put(new)

    def tell_backlog(self, more: Sequence[Item] = ()) -> None:
        """Tell what waits, with what is about to be put in."""
        times = [one.since for one in more] + ([] if self.inbox.oldest is None else [self.inbox.oldest])
        age = max(0.0, time.time() - min(times)) if times else 0.0
        self._listener(Backlog(self.name, len(self.inbox.waiting) + len(more), age))

    def _forget(self, raw: RawRecord) -> None:
        if self._settling is not None:
            self._settling.forget(raw.talk)

    async def _is_ripe(self, raw: RawRecord) -> bool:
        """Whether a talk need not be waited for: it is quiet, or it may be sent early."""
        if self._settling is None:
            return True
        quiet, replaced = self._settling.meet(raw)
        if replaced is not None:
            await self.source.accepted([replaced])  # the newer one is ours as well: nothing is lost with the older
        if quiet or self._may_be_sent_early(raw, self._settling):
            self._settling.forget(raw.talk)
            return True
        return False

    def _may_be_sent_early(self, raw: RawRecord, settling: Settling) -> bool:
        if self._send_when is None:
            return False
        try:
            return self._send_when.holds(raw.read()) and settling.is_early(raw)
        except RecordError as error:
            if not self._warned and error.where is not None and self._send_when.file in str(error.where):
                self._warned = True
                self._listener(Warned(f"send_when does not work for every record: {error.what} ({error.where})"))
            return False
