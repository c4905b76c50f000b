"""The service: a project that stays open for as long as the routes are served, whatever comes and goes beneath it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from fastapi import Request
from prometheus_client import CollectorRegistry

from leadsync.amocrm.retry import RetryPolicy
from leadsync.amocrm.wire import Timeouts
from leadsync.config.loader import Project, load_project
from leadsync.errors import AmoCRMUnavailable, ConfigurationError, LeadsyncError, Remedy, StateUnavailable
from leadsync.events import HeldBack, Listener, ignore
from leadsync.intake import keepable
from leadsync.logged import RUN_ID
from leadsync.opened import Opened
from leadsync.pipeline import Pipeline
from leadsync.project import Connections, Listeners, connect
from leadsync.seeing.instruments import Instruments
from leadsync.seeing.metrics import Metrics, process_registry
from leadsync.seeing.notices import Notices
from leadsync.state.refused import PUSHED, Refused, pushed_place
from leadsync.sync.recover import SETTLE
from leadsync.sync.results import PushResult
from leadsync.troubles import state_of
from leadsync.web.answering import PROBE, Answering
from leadsync.web.guarded import check_key
from leadsync.web.problems import said, unavailable
from leadsync.web.recovering import Recovering

logger = logging.getLogger("leadsync.web")

PREFIX = "/api/v1/amocrm"
"""Where the routes that concern amoCRM are."""

SOURCE = "telegram"
"""The source of a record that names none."""

PATIENCE = 25.0
"""Seconds in which a push is answered: most proxies and HTTP clients give up after 30."""

REDIS_PATIENCE = 4.0
"""Seconds more in which Redis has to keep a record."""

ONCE = RetryPolicy(attempts=1)
QUICK = Timeouts(connect=2.0, total=4.0)
"""For what a probe asks: the next probe is the retry."""


class Service:
    """What the routes work with. Use as an async context manager; it can be opened again after its end.

    `project` is a loaded one, or its file, or None for the one that every command would take. `metrics` is what
    `/metrics` shows beside our own; without it, what the process needs. `patience` is in seconds; `retry`, `timeouts`
    and `settle` are the pipeline's.
    """

    def __init__(
        self,
        project: Project | Path | str | None = None,
        *,
        metrics: CollectorRegistry | None = None,
        listener: Listener = ignore,
        patience: float = PATIENCE,
        retry: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        settle: float = SETTLE,
    ) -> None:
        self.patience = patience
        self._instruments = Instruments()
        self.metrics = Metrics([self._instruments.registry, metrics or process_registry()], self.connections)
        self._given = project
        self._listener = listener
        self._retry, self._timeouts, self._settle = retry, timeouts, settle
        self._project: Project | None = None
        self._stack = AsyncExitStack()
        self._pushing: set[asyncio.Task[PushResult]] = set()
        self._bring_waiting: Callable[[], None] = lambda: None

    async def __aenter__(self) -> Self:
        """Open what can be opened. Raises ConfigurationError; trouble that may pass is told by `/ready`."""
        if self._project is not None:
            raise RuntimeError("this service is open already: use make_router() for another app")
        self._run_id = uuid4().hex[:12]
        RUN_ID.set(self._run_id)  # the tasks that work for everybody are begun here
        given = self._given
        self._project = project = given if isinstance(given, Project) else load_project(Path(given) if given else None)
        self.answering = Answering(self)
        self._listeners = listeners = Listeners(self._listener)
        self.recovering = Recovering(self._look, listeners)
        self._notices = notices = Notices(project, self.connections, listeners)
        for listener in (self.answering, self._instruments, notices, self.recovering):
            listeners.add(listener)
        self._connections = Opened(lambda: connect(project, listeners, retry=ONCE, timeouts=QUICK))
        self._pipeline = Opened(lambda: self._made(project, listeners))
        self._stack.push_async_callback(self._close)
        try:
            await self._stack.enter_async_context(notices)
            await self._stack.enter_async_context(self.recovering)
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Finish the pushes under way, and close."""
        await self._stack.aclose()

    @asynccontextmanager
    async def _made(self, project: Project, listener: Listener) -> AsyncIterator[Pipeline]:
        options: dict[str, Any] = {"retry": self._retry, "timeouts": self._timeouts, "settle": self._settle}
        async with Pipeline(project, listener=listener, **options) as pipeline:
            self._bring_waiting = pipeline.bring_waiting
            pipeline.bring_waiting()
            yield pipeline

    async def _open(self) -> None:
        try:
            async with asyncio.timeout(self.patience):
                await self._pipeline.get()
        except ConfigurationError:
            raise
        except (LeadsyncError, TimeoutError) as error:
            logger.warning("the service is not ready: %s", _reason(error))
            self.recovering.failed(_trouble(error))
        else:
            self.recovering.worked()

    async def _look(self) -> bool:
        """Whether amoCRM answers, and nothing waits to go in. Raises what stands in the way, TimeoutError."""
        async with asyncio.timeout(PROBE):
            await self.pipeline()
            connections = await self.connections()
            await connections.client.account(())
            return not await connections.refused.waiting(1)

    async def _close(self) -> None:
        await self._pipeline.aclose()
        await self._connections.aclose()
        self._project = None

    @property
    def project(self) -> Project:
        """The project. Raises Fault (503) while the service is not open."""
        if self._project is None:
            raise unavailable("the service is not open: include its router in the app that the server runs")
        return self._project

    def check_key(self, request: Request) -> None:
        """Let a request pass that shows the API key. Raises Fault (401)."""
        check_key(request, self.project.settings.leadsync_api_key)

    async def connections(self) -> Connections:
        """Redis, and a client for a quick look. Raises StateUnavailable, Fault."""
        _ = self.project
        return await self._connections.get()

    async def pipeline(self) -> Pipeline:
        """What pushes go through. Raises what stands in its way: StateUnavailable, AmoCRMAPIError, Fault."""
        _ = self.project
        return await self._pipeline.get()

    def logged_in(self) -> None:
        """What waited for a login need not wait until somebody tries again."""
        self._pipeline.try_again()
        self._bring_waiting()
        self.answering.forget()
        self.recovering.look_now()

    def give_up(self) -> None:
        """Answer the pushes under way now; their records are kept, and nobody else is waited for."""
        self._notices.farewell = 0.0
        for one in self._pushing:
            one.cancel()

    async def push(self, record: Mapping[str, Any]) -> PushResult:
        """Bring a record in, within `patience`; one that cannot be brought in now is kept. Raises no LeadsyncError.

        A record without `source` or `id` gets those that the route gives it: `telegram`, and a fresh one.
        """
        record = {**record, "source": record.get("source") or SOURCE, "id": record.get("id") or uuid4().hex}
        came = time.time()
        pushing = asyncio.create_task(self._push(record, came))
        self._pushing.add(pushing)
        pushing.add_done_callback(self._pushing.discard)
        try:
            return await pushing
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return await self._kept(record, came, StateUnavailable("the service is ending", do="send it again"))

    async def _push(self, record: Mapping[str, Any], came: float) -> PushResult:
        RUN_ID.set(self._run_id)
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.patience + REDIS_PATIENCE):
                try:
                    async with asyncio.timeout(self.patience):
                        pipeline = await self.pipeline()
                except (LeadsyncError, TimeoutError) as error:
                    if (state := state_of(_trouble(error))) is not None:
                        self._listeners(HeldBack(state, _trouble(error).what))
                    return await self._kept(record, came, error)
                left = self.patience - (time.monotonic() - began)
                return await pipeline.push(record, patience=max(left, 0.0))
        except TimeoutError:
            return _not_kept("Redis did not answer in time")

    async def _kept(self, record: Mapping[str, Any], came: float, error: Exception) -> PushResult:
        """Keep a record that no pipeline could take, as a pushed one; it goes in by itself later."""
        place, reason = pushed_place(record["source"], record["id"]), _reason(error)
        remedy = error.remedy if isinstance(error, LeadsyncError) else Remedy.WAIT
        refused = Refused(place, PUSHED, place, reason, remedy, None, time.time(), record=keepable(record), came=came)
        try:
            connections = await self.connections()
            await connections.refused.keep([refused])
        except LeadsyncError as trouble:
            return _not_kept(trouble.what)
        message = f"{reason}; the record is kept and goes in by itself later"
        return PushResult(False, None, None, message, remedy)


def _trouble(error: Exception) -> LeadsyncError:
    return error if isinstance(error, LeadsyncError) else AmoCRMUnavailable(_reason(error))


def _reason(error: Exception) -> str:
    return said(error) if isinstance(error, LeadsyncError) else "amoCRM did not answer in time"


def _not_kept(reason: str) -> PushResult:
    return PushResult(False, None, None, f"{reason}: the record is not kept, push it again", Remedy.WAIT)
