"""What every request on the wire passes, renewals of the token and repeats included: budget, total time, event.

The budget is asked twice: before a connection is looked for, and right before the first byte, because to open one may
take longer than the budget's turns last.

A query is not part of the request's URL until here: httpx writes each URL to its own log, and a search holds a phone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import httpx

from leadsync.amocrm.budget import Budget, Turn
from leadsync.amocrm.failures import retry_after_of
from leadsync.amocrm.redaction import route_of
from leadsync.events import Listener, RequestFinished

logger = logging.getLogger("leadsync.amocrm")

QUERY = "leadsync.query"
"""Extension of a request that holds its query, already encoded, as bytes."""

READS = frozenset({"GET", "HEAD"})

BEFORE_FIRST_BYTE = ".send_request_headers.started"
"""End of the name under which httpcore's `trace` extension tells of an open connection that is about to be used."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: `connect` until a connection stands, `total` for one request and its answer, waiting in line apart.

    The defaults are those of the official SDK (amocrm-api.md §2).
    """

    connect: float = 5.0
    total: float = 20.0


@dataclass(slots=True)
class WriteGuard:
    """Asked right before every write's turn on the wire, repeats included; what it raises keeps the write from going
    out."""

    check: Callable[[], Awaitable[None]] | None = None

    async def passes(self, request: httpx.Request) -> None:
        """Return when the request may go."""
        if self.check is not None and request.method not in READS:
            await self.check()


class Wire(httpx.AsyncBaseTransport):
    """An httpx transport around another: waits for the budget, bounds the whole exchange, tells the listener."""

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        *,
        budget: Budget,
        listener: Listener,
        timeouts: Timeouts,
        guard: WriteGuard | None = None,
    ) -> None:
        self._inner = inner
        self._budget = budget
        self._listener = listener
        self._total = timeouts.total
        self._guard = guard or WriteGuard()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and read its whole answer. Raises httpx's errors; ReadTimeout when the total is over."""
        turn = await self._budget.wait(partial(self._guard.passes, request))
        departure = _Departure(turn, self._guard, request)
        status: int | None = None
        try:
            response = await self._exchange(departure)
            status = response.status_code
            if status == 429:
                await self._budget.put_off(retry_after_of(response))
        finally:
            self._tell(request, status, time.perf_counter() - departure.started)
        return response

    async def _exchange(self, departure: _Departure) -> httpx.Response:
        request = departure.request
        try:
            async with asyncio.timeout(self._total) as departure.limit:
                response = await self._inner.handle_async_request(_on_the_wire(request, departure.trace))
                await response.aread()
        except TimeoutError:
            raise httpx.ReadTimeout("no whole answer in time", request=request) from None
        return response

    def _tell(self, request: httpx.Request, status: int | None, seconds: float) -> None:
        route = route_of(request.url.path)
        logger.debug("%s %s: %s in %.0f ms", request.method, route, status or "no answer", seconds * 1000)
        self._listener(RequestFinished(request.method, route, status, seconds))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


@dataclass(slots=True)
class _Departure:
    """A request that has its turn, and keeps it only if its first byte goes in time.

    `started` is when it was sent, `limit` bounds the exchange; waiting for another turn counts in neither.
    """

    turn: Turn
    guard: WriteGuard
    request: httpx.Request
    started: float = field(default_factory=time.perf_counter)
    limit: asyncio.Timeout | None = None

    async def trace(self, event: str, details: object) -> None:
        """What httpcore awaits at every step of an exchange."""
        if event.endswith(BEFORE_FIRST_BYTE) and not self.turn.in_time():
            await self._wait_again()

    async def _wait_again(self) -> None:
        came = time.perf_counter()
        left = self._stop_limit()
        in_time = False
        while not in_time:
            await self.turn.again(partial(self.guard.passes, self.request))
            in_time = self.turn.in_time()
        self.started += time.perf_counter() - came
        if self.limit is not None and left is not None:
            self.limit.reschedule(asyncio.get_running_loop().time() + left)

    def _stop_limit(self) -> float | None:
        if self.limit is None or (until := self.limit.when()) is None:
            return None
        self.limit.reschedule(None)
        return until - asyncio.get_running_loop().time()


def _on_the_wire(request: httpx.Request, trace: Callable[[str, object], Awaitable[None]]) -> httpx.Request:
    query = request.extensions.get(QUERY)
    return httpx.Request(
        request.method,
        request.url.copy_with(query=query) if query else request.url,
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "trace": trace},
    )


def open_http(
    base_url: str,
    *,
    budget: Budget,
    listener: Listener,
    timeouts: Timeouts,
    transport: httpx.AsyncBaseTransport | None = None,
    guard: WriteGuard | None = None,
) -> httpx.AsyncClient:
    """An httpx client for one account whose every request passes the budget; close it when done.

    `transport` takes the place of httpx's own (for a test).
    """
    inner = transport or httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=100, keepalive_expiry=5.0))
    return httpx.AsyncClient(
        base_url=base_url,
        transport=Wire(inner, budget=budget, listener=listener, timeouts=timeouts, guard=guard),
        timeout=httpx.Timeout(timeouts.total, connect=timeouts.connect),
        headers={"Accept": "application/json", "User-Agent": "leadsync"},
        follow_redirects=False,
        trust_env=False,
    )
