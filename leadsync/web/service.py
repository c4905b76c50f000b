"""The service: a project that stays open for as long as the routes are served, whatever comes and goes beneath it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from fastapi import Request
from prometheus_client import CollectorRegistry

from leadsync.amocrm.retry import RetryPolicy
from leadsync.amocrm.wire import Timeouts
from leadsync.config.loader import Project, load_project
from leadsync.errors import (
    AmoCRMAPIError,
    AmoCRMUnavailable,
    ConfigurationError,
    LeadsyncError,
    Remedy,
    StateUnavailable,
)
from leadsync.events import HeldBack, Listener, ignore
from leadsync.intake import keepable
from leadsync.logged import RUN_ID, of_run
from leadsync.project import Connections, Listeners
from leadsync.seeing.instruments import Instruments
from leadsync.seeing.metrics import Metrics, process_registry
from leadsync.seeing.notices import Notices
from leadsync.state.refused import PUSHED, Refused, pushed_place
from leadsync.sync.recover import SETTLE
from leadsync.sync.results import PushResult
from leadsync.troubles import state_of
from leadsync.web.answering import PROBE, Answering
from leadsync.web.edition import Edition, is_elsewhere
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
        self._options = {"retry": retry, "timeouts": timeouts, "settle": settle}
        self._edition: Edition | None = None
        self._retiring: dict[asyncio.Task[None], Edition] = {}
        self._reloads = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._pushing: set[asyncio.Task[PushResult]] = set()

    async def __aenter__(self) -> Self:
        """Open what can be opened. Raises ConfigurationError; trouble that may pass is told by `/ready`."""
        if self._edition is not None:
            raise RuntimeError("this service is open already: use make_router() for another app")
        self._run_id = uuid4().hex[:12]
        RUN_ID.set(self._run_id)  # the tasks that work for everybody are begun here
        given = self._given
        project = given if isinstance(given, Project) else load_project(Path(given) if given else None)
        self.answering = Answering(self)
        self._listeners = listeners = Listeners(self._listener)
        self._edition = Edition(project, listeners, self._options)
        self.recovering = Recovering(self._look, listeners)
        self._notices = notices = Notices(project, self.connections, listeners)
        for listener in (self.answering, self._instruments, notices, self.recovering):
            listeners.add(listener)
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

    async def _open(self) -> None:
        try:
            async with asyncio.timeout(self.patience):
                await self.opened()
        except ConfigurationError:
            raise
        except (LeadsyncError, TimeoutError) as error:
            logger.warning("the service is not ready: %s", _reason(error))
            self.recovering.failed(_trouble(error))
        else:
            self.recovering.worked()

    async def _look(self) -> bool:
        """Whether amoCRM answers, and nothing waits to go in. Raises what stands in the way, TimeoutError."""
        async with asyncio.timeout(PROBE), self.connections() as connections:
            await self.opened()
            await connections.client.account(())
            return not await connections.refused.waiting(1)

    async def _close(self) -> None:
        edition, self._edition = self._edition, None
        for one in self._retiring.values():
            one.hurry()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        if edition is not None:
            await edition.aclose()

    @contextmanager
    def _now(self) -> Iterator[Edition]:
        """What is in force now, and open until the end of the block. Raises Fault (503) while nothing is."""
        if self._edition is None:
            raise unavailable("the service is not open: include its router in the app that the server runs")
        with self._edition.used() as edition:
            yield edition

    @property
    def project(self) -> Project:
        """The project. Raises Fault (503) while the service is not open."""
        with self._now() as edition:
            return edition.project

    def check_key(self, request: Request) -> None:
        """Let a request pass that shows the API key. Raises Fault (401)."""
        check_key(request, self.project.settings.leadsync_api_key)

    @asynccontextmanager
    async def connections(self) -> AsyncIterator[Connections]:
        """Redis, and a client for a quick look. Raises StateUnavailable, Fault."""
        with self._now() as edition:
            yield await edition.connections()

    async def opened(self) -> None:
        """Return once pushes can be taken. Raises what stands in the way: StateUnavailable, AmoCRMAPIError, Fault."""
        with self._now() as edition:
            await edition.pipeline()

    async def reload(self, project: Project | None = None) -> list[str]:
        """Go on with the files as they are now, or with a project; whoever began with the old ones ends with them.

        Returns what a person should know of it. Raises ConfigurationError for files that are wrong, StateUnavailable
        and AmoCRMAPIError where they cannot be tried now: the old ones stay.
        """
        async with self._reloads:
            with self._now() as old, of_run(self._run_id):
                new = Edition(project or load_project(old.project.path), self._listeners, self._options)
                try:
                    remarks = await self._tried(new, old)
                except BaseException:
                    self._retire(new)
                    raise
            self._edition = new
            self._retire(old)
            self._notices.use(new.project)
            self._look_again()
        return remarks

    async def _tried(self, new: Edition, old: Edition) -> list[str]:
        """Open an edition; where the old one never worked, one that only has to wait for amoCRM is better, too."""
        remarks = []
        try:
            await new.pipeline()
        except AmoCRMAPIError as error:
            if old.works:
                raise
            self.recovering.failed(error)
            remarks.append(f"not ready: {said(error)}")
        if self._edition is not old:
            raise StateUnavailable("the service is ending")
        if is_elsewhere(new.project, old.project):
            remarks.append(
                "this is another Redis or account: what was pushed and waits in the one of before waits there until "
                "a service with the old files runs"
            )
        return remarks

    def _retire(self, edition: Edition) -> None:
        retiring = asyncio.create_task(edition.retire())
        self._retiring[retiring] = edition
        retiring.add_done_callback(self._retiring.pop)

    def logged_in(self) -> None:
        """What waited for a login need not wait until somebody tries again."""
        with self._now() as edition:
            edition.bring_waiting()
        self._look_again()

    def _look_again(self) -> None:
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
        with self._now() as edition:
            pushing = asyncio.create_task(self._push(edition, record, came))
            self._pushing.add(pushing)
            pushing.add_done_callback(self._pushing.discard)
            try:
                return await pushing
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                ending = StateUnavailable("the service is ending", do="send it again")
                return await _kept(edition, record, came, ending)

    async def _push(self, edition: Edition, record: Mapping[str, Any], came: float) -> PushResult:
        RUN_ID.set(self._run_id)
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.patience + REDIS_PATIENCE):
                try:
                    async with asyncio.timeout(self.patience):
                        pipeline = await edition.pipeline()
                except (LeadsyncError, TimeoutError) as error:
                    if (state := state_of(_trouble(error))) is not None:
                        self._listeners(HeldBack(state, _trouble(error).what))
                    return await _kept(edition, record, came, error)
                left = self.patience - (time.monotonic() - began)
                return await pipeline.push(record, patience=max(left, 0.0))
        except TimeoutError:
            return _not_kept("Redis did not answer in time")


async def _kept(edition: Edition, record: Mapping[str, Any], came: float, error: Exception) -> PushResult:
    """Keep a record that no pipeline could take, as a pushed one; it goes in by itself later."""
    place, reason = pushed_place(record["source"], record["id"]), _reason(error)
    remedy = error.remedy if isinstance(error, LeadsyncError) else Remedy.WAIT
    refused = Refused(place, PUSHED, place, reason, remedy, None, time.time(), record=keepable(record), came=came)
    try:
        connections = await edition.connections()
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
