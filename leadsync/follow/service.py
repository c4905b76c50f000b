"""Service: opens the project, follows its sources for ever, and comes through troubles, new files and its own end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from uuid import uuid4

from leadsync.amocrm.retry import RetryPolicy
from leadsync.config.loader import Project
from leadsync.errors import AmoCRMAPIError, StateUnavailable
from leadsync.events import Listener, Warned, ignore
from leadsync.follow.crew import Crew, Left
from leadsync.follow.states import Gate, Pauses
from leadsync.logged import of_run
from leadsync.pipeline import Pipeline
from leadsync.project import Listeners
from leadsync.reloading import Reloading
from leadsync.safety import Limits
from leadsync.state.claims import LEASE
from leadsync.state.redis import state_errors
from leadsync.state.runs import keep_run
from leadsync.sync.results import RequestCounter, RunReport
from leadsync.tasks import unless

logger = logging.getLogger("leadsync.follow")

Result = TypeVar("Result")

DRAIN = 30.0
"""Seconds in which batches under way are finished when the service is told to end."""


TRIES = RetryPolicy(attempts=3)
"""A request that fails three times puts the whole service into a state in which it waits: no need to wait twice."""


def impatient(project: Project, listener: Listener) -> Pipeline:
    """A pipeline whose requests are not repeated for long."""
    return Pipeline(project, listener=listener, retry=TRIES)


class Stopped(Exception):
    """The service was told to end while it waited for something."""


class Service:
    """One life of `leadsync run --follow`.

    `load` reads the files, at the beginning and for every `reload`; `make` gives a pipeline of them that is not open
    yet. `sources` are the names of those to follow, all when there are none; `drain` is in seconds.
    """

    def __init__(
        self,
        load: Callable[[], Project],
        sources: Sequence[str] = (),
        *,
        make: Callable[[Project, Listener], Pipeline] = impatient,
        listener: Listener = ignore,
        limits: Callable[[Project], Limits] = Limits.of,
        pauses: Pauses | None = None,
        drain: float = DRAIN,
    ) -> None:
        self._load = load
        self._make = make
        self._sources = sources
        self._limits = limits
        self._pauses = pauses or Pauses()
        self._drain = drain
        self._requests = RequestCounter()
        self._listeners = Listeners(listener)
        self._listeners.add(self._requests)
        self.gate = Gate(listener, self._pauses)
        self.report = RunReport(uuid4().hex[:12], ", ".join(sources) or "all sources", time.time())
        self.left = Left()
        self._crew: Crew | None = None
        self._next: tuple[Pipeline, Crew] | None = None
        self._told = asyncio.Event()
        self._reloading = Reloading(self._reload, lambda what: self._listeners(Warned(what)))

    def end(self, why: str) -> None:
        """Read no more, finish what is under way, and come to an end."""
        self._reloading.leave()
        self.gate.drains(why)
        self._told.set()
        if self._crew is not None:
            self._crew.leave(self._drain)

    def reload(self) -> None:
        """Read the files again, and go on with them; with the old ones when the new are wrong or cannot be tried."""
        self._reloading.ask()

    async def run(self) -> RunReport:
        """Follow until `end` is called. Raises ConfigurationError and StartRefused before anything is written."""
        try:
            with of_run(self.report.run_id):
                async with self._reloading:
                    await self._live()
        except Stopped:
            pass
        finally:
            if self._next is not None:
                await self._close(*self._next)
            self._measure()
        return self.report

    def _measure(self) -> None:
        self.report.requests, self.report.throttled = dict(self._requests.by_route), self._requests.throttled
        self.report.seconds = time.time() - self.report.started_at

    async def _live(self) -> None:
        self._project = self._load()
        pipeline, crew = await self._opened()
        while True:
            self.left = await self._worked(pipeline, crew)
            if self._told.is_set():
                return
            if self._next is not None:
                (pipeline, crew), self._next = self._next, None
                self._project = pipeline.project
            else:
                pipeline, crew = await self._opened()

    async def _worked(self, pipeline: Pipeline, crew: Crew) -> Left:
        self._crew = crew
        try:
            if self._told.is_set():
                crew.leave(self._drain)
            self.gate.worked(self.gate.begin(), surely=True)
            return await crew.work()
        except StateUnavailable as error:
            await self._redis_answers(pipeline, error)
            return Left()
        finally:
            self._crew = None
            self.report.warnings += [one for one in pipeline.lanes.taken_warnings() if one not in self.report.warnings]
            if self._told.is_set():
                await self._keep_report(pipeline)
            await self._close(pipeline, crew)

    async def _redis_answers(self, pipeline: Pipeline, error: StateUnavailable) -> None:
        """Wait for Redis, as long as our claims live: who closes then gives them back, and nobody waits for them."""
        until = time.monotonic() + LEASE
        while time.monotonic() < until:
            await self._pause(self.gate.failed(error, self.gate.begin()))
            try:
                async with state_errors():
                    await pipeline.connections.redis.ping()
                return
            except StateUnavailable as again:
                error = again

    async def _opened(self) -> tuple[Pipeline, Crew]:
        """Open what is needed, however long that takes. Raises what no waiting cures."""
        while True:
            begun = self.gate.begin()
            try:
                return await self._unless_told(self._open(self._project))
            except (StateUnavailable, AmoCRMAPIError) as error:
                await self._pause(self.gate.failed(error, begun))

    async def _open(self, project: Project) -> tuple[Pipeline, Crew]:
        pipeline = self._make(project, self._listeners)
        await pipeline.__aenter__()
        sources = self._sources or list(project.sources)
        crew = Crew(pipeline, sources, self.gate, self._pauses, self._limits(project), self.report)
        try:
            await crew.__aenter__()
        except BaseException:
            await pipeline.__aexit__(None, None, None)
            raise
        return pipeline, crew

    async def _close(self, pipeline: Pipeline, crew: Crew) -> None:
        with suppress(StateUnavailable):
            await crew.__aexit__(None, None, None)
        with suppress(StateUnavailable):
            await pipeline.__aexit__(None, None, None)

    async def _reload(self) -> Sequence[str]:
        """Go on with the new files: at once, or, while nobody works, with the next try to open."""
        opened = await self._open(self._load())
        if self._told.is_set() or (self._crew is None and self._next is None):
            self._project = opened[0].project
            await self._close(*opened)
            return ()
        not_begun, self._next = self._next, opened
        if self._crew is not None:
            self._crew.leave(self._drain)
        if not_begun is not None:
            await self._close(*not_begun)
        return ()

    async def _keep_report(self, pipeline: Pipeline) -> None:
        self._measure()
        with suppress(StateUnavailable):
            await keep_run(pipeline.connections.redis, pipeline.connections.names, self.report.as_json())

    async def _pause(self, seconds: float) -> None:
        await self._unless_told(asyncio.sleep(seconds))

    async def _unless_told(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of some work, which is broken off when the service is told to end: raises Stopped then."""
        task = await unless(self._told, work)
        if task.cancelled():
            raise Stopped
        return task.result()
