"""Pushes: records that come one by one and go out together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Self

from leadsync.done import Done
from leadsync.errors import AmoCRMUnknownOutcome, StateUnavailable
from leadsync.intake import Intake, Taken
from leadsync.steps import FIRST_WAIT, LONGEST_WAIT, Steps
from leadsync.sync.freshness import Freshness
from leadsync.sync.results import PushResult, RefusedRow

TOGETHER = 250
"""Pushes that are taken at once, at most: what one write request can hold."""


PATIENCE = 30.0
"""Seconds for which the end waits for pushes that are under way."""

SAID = {
    "create": "the lead was created",
    "update": "the lead was updated",
    "unchanged": "nothing to change",
    "skipped": "skipped: the mapping's `when` says no",
}


@dataclass(frozen=True, slots=True)
class _Push:
    intake: Intake
    taken: Taken
    done: asyncio.Future[Done]


class Pushes:
    """A queue of pushed records: while some are on their way, others gather and share the next batches.

    A record that another worker is busy with waits by itself and holds nobody up.
    """

    def __init__(self, steps: Steps, freshness: Freshness) -> None:
        self._steps = steps
        self._freshness = freshness
        self._queue: dict[int, _Push] = {}
        self._came = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._under_way = 0
        self._turn = asyncio.Lock()
        self.is_closed = False
        self._finished = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._worker = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Finish what is under way; what does not within PATIENCE is told so."""
        await self._finish(PATIENCE)
        self.is_closed = True
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        _tell_closed(self._queue.values())
        await self._finish(1.0)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Around everything one push does: the end waits for it."""
        self._under_way += 1
        self._finished.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._finished.set()

    async def finished(self) -> None:
        """Return when no batch is under way that the end would break off."""
        async with self._turn:
            pass

    async def _finish(self, seconds: float) -> None:
        if self._under_way:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._finished.wait()

    async def push(self, intake: Intake, taken: Taken, patience: float | None = None) -> Done:
        """Bring one record in. Raises AmoCRMAPIError, StateUnavailable; after `patience` seconds AmoCRMUnknownOutcome.

        A record whose caller has lost patience goes on, once it is under way: others may share its requests. One whose
        turn has not come is left to whoever brings in what waits: nobody may gather while amoCRM is silent.
        """
        if self.is_closed:
            raise closed()
        self._freshness.wanted()
        mine = _Push(intake, taken, asyncio.get_running_loop().create_future())
        self._queue[id(mine)] = mine
        self._came.set()
        try:
            async with asyncio.timeout(patience):
                return await mine.done
        except TimeoutError:
            if taken.pushed is not None:  # else there is nothing to keep it by
                self._queue.pop(id(mine), None)
            what = f"amoCRM did not take the record within {round(patience or 0, 1):g} s"
            raise AmoCRMUnknownOutcome(what, do="nothing: it is tried again by itself") from None

    async def _work(self) -> None:
        waiting: list[_Push] = []
        pause = FIRST_WAIT
        try:
            # An error on the way out, Redis that is gone, may have taken the place of the cancel that was to end it.
            while not self.is_closed:
                before = len(waiting)
                waiting += await self._arrived(pause if waiting else None)
                async with self._turn:
                    put_off = await self._bring_all(waiting)
                pause = min(LONGEST_WAIT, pause * 1.5) if len(put_off) >= before else FIRST_WAIT
                waiting = put_off
        finally:
            _tell_closed(waiting)

    async def _bring_all(self, waiting: Sequence[_Push]) -> list[_Push]:
        """Bring records in, those of one key in their order; what another worker is busy with comes back."""
        put_off: list[_Push] = []
        for together in each_key_once(waiting):
            late = {one.taken.key for one in put_off}
            put_off += [one for one in together if one.taken.key in late]
            free = [one for one in together if one.taken.key not in late]
            put_off += await self._bring(free) if free else []
        return put_off

    async def _arrived(self, at_most: float | None) -> list[_Push]:
        """What came meanwhile; nothing when nothing came in so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most):
                await self._came.wait()
        arrived = [self._queue.pop(name) for name in list(islice(self._queue, TOGETHER))]
        if not self._queue:
            self._came.clear()
        return arrived

    async def _bring(self, together: Sequence[_Push]) -> list[_Push]:
        """Bring records of one source in; those that another worker is busy with come back."""
        by_key = {one.taken.key: one for one in together}
        try:
            done, others = await self._steps.sync(together[0].intake, [one.taken for one in together])
        except Exception as error:
            for one in together:
                if not one.done.done():
                    one.done.set_exception(error)
            return []
        for result in done:
            if not by_key[result.key].done.done():
                by_key[result.key].done.set_result(result)
        return [by_key[one.key] for one in others]


def _tell_closed(pushes: Iterable[_Push]) -> None:
    for one in pushes:
        if not one.done.done():
            one.done.set_exception(closed())


def closed() -> StateUnavailable:
    """What a push is told that comes too late."""
    return StateUnavailable("the pipeline was closed before this record's turn", do="push it again")


def each_key_once(waiting: Sequence[_Push]) -> list[list[_Push]]:
    """Rounds in which no key comes twice, each of one source, in the order of arrival."""
    rounds: list[tuple[str, dict[str, _Push]]] = []
    for one in waiting:
        name, key = one.intake.source.name, one.taken.key
        fitting = (members for source, members in rounds if source == name and key not in members)
        members = next(fitting, None)
        if members is None:
            members = {}
            rounds.append((name, members))
        members[key] = one
    return [list(members.values()) for _, members in rounds]


def push_result(done: Done) -> PushResult:
    """What became of a pushed record, in a sentence."""
    failed = done.outcome == "failed"
    if failed:
        message = "; ".join(map(_sentence, done.refused))
    else:
        message = f"the talk joined lead {done.lead_id}" if done.joined else SAID[done.outcome]
    return PushResult(not failed, done.lead_id, done.contact_id, message, done.remedy if failed else None)


def _sentence(row: RefusedRow) -> str:
    said = f"{row.field}: {row.reason}" if row.field else row.reason
    return f"{said}; what to do: {row.do}" if row.do else said
