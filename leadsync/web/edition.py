"""Edition: the files as they were read once, and what is open for them, for as long as somebody uses it.

After new files an edition of the old ones lives on until the requests that began with it have ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Self

from leadsync.amocrm.ban import Ban
from leadsync.amocrm.retry import RetryPolicy
from leadsync.amocrm.wire import Timeouts
from leadsync.config.loader import Project
from leadsync.errors import LeadsyncError
from leadsync.events import Listener
from leadsync.opened import Opened
from leadsync.pipeline import Pipeline
from leadsync.project import Connections, connect
from leadsync.tasks import unless

logger = logging.getLogger("leadsync.web")

ONCE = RetryPolicy(attempts=1)
QUICK = Timeouts(connect=2.0, total=4.0)
"""For what a probe asks: the next probe is the retry."""


class Edition:
    """A project, and its pipeline and connections, each opened when it is needed. `options` are the pipeline's."""

    def __init__(self, project: Project, listener: Listener, options: Mapping[str, Any]) -> None:
        self.project = project
        self._ban = ban = Ban()
        self._connections = Opened(lambda: connect(project, listener, retry=ONCE, timeouts=QUICK, ban=ban))
        self._pipeline = Opened(lambda: self._made(listener, options))
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()
        self._is_old = False
        self._hurried = asyncio.Event()

    @asynccontextmanager
    async def _made(self, listener: Listener, options: Mapping[str, Any]) -> AsyncIterator[Pipeline]:
        async with Pipeline(self.project, listener=listener, ban=self._ban, **options) as pipeline:
            if not self._is_old:
                pipeline.bring_waiting()
            yield pipeline

    @property
    def works(self) -> bool:
        """Whether the pipeline could be opened."""
        return self._pipeline.there is not None

    @contextmanager
    def used(self) -> Iterator[Self]:
        """While the block runs, it is not closed for being old."""
        self._users += 1
        self._unused.clear()
        try:
            yield self
        finally:
            self._users -= 1
            if not self._users:
                self._unused.set()

    async def connections(self) -> Connections:
        """Redis, and a client for a quick look. Raises StateUnavailable, ConfigurationError."""
        return await self._connections.get()

    async def pipeline(self) -> Pipeline:
        """What pushes go through. Raises what stands in its way: StateUnavailable, AmoCRMAPIError, ConfigurationError.

        The same for a while: see Opened.
        """
        return await self._pipeline.get()

    def bring_waiting(self) -> None:
        """Bring in what waits, now: what stood in the way may be gone."""
        self._ban.lift()
        self._pipeline.try_again()
        if (pipeline := self._pipeline.there) is not None:
            pipeline.bring_waiting()

    async def retire(self) -> None:
        """Begin nothing by itself any more, and close once nobody uses it and nothing is under way."""
        self._is_old = True
        await unless(self._hurried, self._finished())
        try:
            await self.aclose()
        except LeadsyncError as error:
            logger.warning("what the old files had opened is not closed well: %s", error.what)

    def hurry(self) -> None:
        """Let `retire` wait for nobody any more."""
        self._hurried.set()

    async def _finished(self) -> None:
        if (pipeline := self._pipeline.there) is not None:
            pipeline.leave()
        await self._unused.wait()
        if (pipeline := self._pipeline.there) is not None:
            await pipeline.finished()

    async def aclose(self) -> None:
        """Finish the pushes under way, and close."""
        await self._pipeline.aclose()
        await self._connections.aclose()


def is_elsewhere(one: Project, other: Project) -> bool:
    """Whether two projects have another Redis or another account."""
    return _home(one) != _home(other)


def _home(project: Project) -> tuple[str, ...]:
    amocrm = project.file.amocrm
    return project.file.redis.url, amocrm.subdomain, amocrm.domain, project.settings.amocrm_base_url or ""
