"""What every request on the wire passes, renewals of the token and repeats included: budget, total time, event.

A query is not part of the request's URL until here: httpx writes each URL to its own log, and a search holds a phone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx

from leadsync.amocrm.budget import Budget
from leadsync.amocrm.failures import retry_after_of
from leadsync.amocrm.redaction import route_of
from leadsync.events import Listener, RequestFinished

logger = logging.getLogger("leadsync.amocrm")

QUERY = "leadsync.query"
"""Extension of a request that holds its query, already encoded, as bytes."""

READS = frozenset({"GET", "HEAD"})

LONGEST_QUIET = 300.0
"""Seconds for which one answer can silence this process."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: `connect` until a connection stands, `total` for one request and its answer, waiting in line apart.

    The defaults are those of the official SDK (amocrm-api.md §2).
    """

    connect: float = 5.0
    total: float = 20.0


@dataclass(slots=True)
class WriteGuard:
    """Asked right before every write on the wire, repeats included; what it raises keeps the write from going out."""

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
        self._quiet_until = 0.0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and read its whole answer. Raises httpx's errors; ReadTimeout when the total is over."""
        await self._quiet()
        await self._budget.wait()
        await self._guard.passes(request)
        started = time.perf_counter()
        status: int | None = None
        try:
            response = await self._exchange(_with_query(request))
            status = response.status_code
            self._keep_quiet(response)
        finally:
            self._tell(request, status, time.perf_counter() - started)
        return response

    async def _quiet(self) -> None:
        left = self._quiet_until - time.monotonic()
        if left > 0:
            await asyncio.sleep(left)

    def _keep_quiet(self, response: httpx.Response) -> None:
        """After a 429 nobody sends until its time is over: requests that run on together get an account blocked."""
        if response.status_code == 429 and (asked := retry_after_of(response)):
            self._quiet_until = time.monotonic() + min(asked, LONGEST_QUIET)

    async def _exchange(self, request: httpx.Request) -> httpx.Response:
        try:
            async with asyncio.timeout(self._total):
                response = await self._inner.handle_async_request(request)
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


def _with_query(request: httpx.Request) -> httpx.Request:
    query = request.extensions.get(QUERY)
    if not query:
        return request
    return httpx.Request(
        request.method,
        request.url.copy_with(query=query),
        headers=request.headers,
        stream=request.stream,
        extensions=request.extensions,
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
