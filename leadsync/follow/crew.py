"""Crew: everybody who works on one open pipeline: who reads the sources, and who brings records in."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any, Self

from leadsync.chunks import open_source
from leadsync.follow.bringing import Bringing
from leadsync.follow.feed import Feed
from leadsync.follow.pace import Pace
from leadsync.follow.states import Gate, Pauses
from leadsync.intake import send_condition
from leadsync.lanes import MOST
from leadsync.pipeline import Pipeline
from leadsync.safety import Limits, check_safety
from leadsync.selection import EVERYTHING
from leadsync.state.seen import Seen
from leadsync.sync.results import RunReport
from leadsync.tasks import end_tasks


@dataclass(frozen=True, slots=True)
class Left:
    """What a crew left when it went: records that were read, talks that are not quiet yet, batches broken off."""

    records: int = 0
    settling: int = 0
    broken: int = 0


class Crew:
    """Use as an async context manager: inside, the sources are open."""

    def __init__(
        self, pipeline: Pipeline, sources: Sequence[str], gate: Gate, pauses: Pauses, limits: Limits, report: RunReport
    ) -> None:
        self._pipeline = pipeline
        self._sources = sources
        self._gate = gate
        self._pauses = pauses
        self._limits = limits
        self._stack = AsyncExitStack()
        self._woken = asyncio.Event()
        pace = Pace(pipeline.project.file.amocrm.requests_per_second)
        self._feeds: list[Feed] = []
        self._bringing = Bringing(pipeline, self._feeds, gate, pace, report, self._woken)
        self._readers: list[asyncio.Task[None]] = []
        self._lanes: list[asyncio.Task[None]] = []
        self._left = Left()
        self._leaving = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Look whether what is to be brought in is within the limits, and open the sources.

        Raises StartRefused, ConfigurationError, StateUnavailable, AmoCRMAPIError.
        """
        listeners = self._pipeline.connections.listeners
        for listener in (self._gate, self._bringing.pace):
            listeners.add(listener)
            self._stack.callback(listeners.remove, listener)
        self._pipeline.connections.client.guard_writes(self._may_write)
        try:
            for name in self._sources:
                self._feeds.append(await self._feed(name))
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def _may_write(self) -> None:
        """Asked right before every write: not after a ban, and not when others have taken our claims."""
        self._gate.check()
        await self._pipeline.lanes.check()

    async def _feed(self, name: str) -> Feed:
        pipeline = self._pipeline
        connections, intake = pipeline.connections, pipeline.intake(name)
        source = await self._stack.enter_async_context(open_source(connections, intake))
        if not source.consumes:
            await check_safety(connections, pipeline.intake(name), EVERYTHING, self._limits)
        seen = Seen(connections.redis, connections.names, name, intake.wording)
        await seen.begin()
        condition = send_condition(pipeline.project, name)
        return Feed(source, intake, seen, condition, self._gate, connections.listeners, self._woken.set, self._pauses)

    async def work(self) -> Left:
        """Work until `leave` is called; what was left. Raises what stops one of the crew: StateUnavailable."""
        self._readers = [asyncio.create_task(one.read()) for one in self._feeds]
        self._readers += [asyncio.create_task(one.wake_settled()) for one in self._feeds if one.settles]
        self._lanes = [asyncio.create_task(self._bringing.lane(number)) for number in range(MOST)]
        leaving = asyncio.create_task(self._leaving.wait())
        everybody: list[asyncio.Task[Any]] = [*self._readers, *self._lanes, leaving]
        try:
            await asyncio.wait(everybody, return_when=asyncio.FIRST_COMPLETED)
            await self._stop(self._deadline)
        finally:
            await end_tasks(everybody)
        errors = [one.exception() for one in everybody if not one.cancelled()]
        for error in filter(None, errors):
            raise error
        return self._left

    _deadline: float = 10.0

    def leave(self, deadline: float) -> None:
        """Read no more, finish the batches under way within so many seconds, and come to an end."""
        self._deadline = deadline
        self._leaving.set()

    async def _stop(self, deadline: float) -> None:
        """Let the lanes finish what is under way."""
        self._bringing.stopped = True
        await end_tasks(self._readers)
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline):
                while self._bringing.sending:
                    self._woken.clear()
                    await self._woken.wait()
        waiting = sum(len(one.inbox.waiting) + len(one.inbox.under_way) for one in self._feeds)
        self._left = Left(waiting, sum(one.settling for one in self._feeds), self._bringing.sending)
