"""Whether Redis and amoCRM answer, for `/ready`: asked so seldom that probes cost no budget."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from leadsync.errors import LeadsyncError
from leadsync.events import Event, RequestFinished
from leadsync.project import Connections
from leadsync.state.redis import state_errors
from leadsync.web.problems import said

FRESH = 10.0
"""Seconds for which an answer of amoCRM stands, a good or a bad one; any answer to anybody counts."""

PROBE = 5.0
"""Seconds that one probe may take."""

OK = "ok"


class Opens(Protocol):
    """Where the open things are had from."""

    def connections(self) -> AbstractAsyncContextManager[Connections]: ...
    async def opened(self) -> None: ...


class Answering:
    """Looks at Redis at every probe, and at amoCRM when nothing was heard of it for a while. Also a listener."""

    def __init__(self, opens: Opens, clock: Callable[[], float] = time.monotonic) -> None:
        self._opens = opens
        self._clock = clock
        self._turn = asyncio.Lock()
        self.forget()

    def __call__(self, event: Event) -> None:
        """Hear what amoCRM answers to others: a good answer is worth a probe."""
        if isinstance(event, RequestFinished) and event.status is not None and event.status < 400:
            self._know(OK)

    def forget(self) -> None:
        """Ask anew at the next probe."""
        self._known, self._until = OK, 0.0

    def _know(self, answer: str) -> str:
        self._known, self._until = answer, self._clock() + FRESH
        return answer

    async def redis(self) -> str:
        """`ok`, or what is wrong with Redis and what to do."""
        return await _told(self._ask_redis, "Redis")

    async def amocrm(self) -> str:
        """`ok`, or what is wrong with amoCRM, the login or the project, and what to do."""
        opened = await _told(self._opens.opened, "amoCRM")
        if opened != OK:
            return opened
        async with self._turn:
            if self._clock() < self._until:
                return self._known
            return self._know(await _told(self._ask_amocrm, "amoCRM"))

    async def _ask_redis(self) -> None:
        async with self._opens.connections() as connections, state_errors():
            await connections.redis.ping()

    async def _ask_amocrm(self) -> None:
        async with self._opens.connections() as connections:
            await connections.client.account(())


async def _told(ask: Callable[[], Awaitable[object]], who: str) -> str:
    try:
        async with asyncio.timeout(PROBE):
            await ask()
    except LeadsyncError as error:
        return said(error)
    except TimeoutError:
        return f"{who} did not answer within {PROBE:.0f} s"
    return OK
