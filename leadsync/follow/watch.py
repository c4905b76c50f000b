"""Watch: what shows a service that follows to machines; its eyes are open whether the service has come up or not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Self

from leadsync.amocrm.retry import RetryPolicy
from leadsync.config.loader import Project
from leadsync.events import Event, StateChanged, ignore
from leadsync.opened import Opened
from leadsync.project import Connections, Listeners, connect
from leadsync.seeing.instruments import Instruments
from leadsync.seeing.metrics import Metrics, process_registry
from leadsync.seeing.notices import Notices
from leadsync.seeing.webhook import Tries
from leadsync.troubles import State


class Watch:
    """A listener, and an async context manager. Its Redis is that of the `project` as it was at the beginning."""

    def __init__(self, project: Project, tries: Tries | None = None) -> None:
        """`tries` are those of the webhook."""
        self._redis = Opened(lambda: connect(project, ignore, retry=RetryPolicy(attempts=1)))
        instruments = Instruments()
        self._listeners = Listeners(instruments)
        self._notices = Notices(project, self._connections, self._listeners, tries)
        self._listeners.add(self._notices)
        self.metrics = Metrics([instruments.registry, process_registry()], self._connections)
        self.state: str | None = None
        self.why = ""
        self._stack = AsyncExitStack()

    def __call__(self, event: Event) -> None:
        if isinstance(event, StateChanged):
            self.state, self.why = event.state, event.why
        self._listeners(event)

    @property
    def is_ready(self) -> bool:
        """Whether records go in that are written now."""
        return self.state == State.WORKING

    async def told(self) -> None:
        """Return when everybody was told of every change that was met so far, or could not be told."""
        await self._notices.told()

    async def __aenter__(self) -> Self:
        self._stack.push_async_callback(self._redis.aclose)
        await self._stack.enter_async_context(self._notices)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def _connections(self) -> AsyncIterator[Connections]:
        self._redis.try_again()  # who asks has waited already
        yield await self._redis.get()
