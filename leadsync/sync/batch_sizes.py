"""Batch sizes: how many items one write request of each route bears, learnt from the answers and remembered.

The size doubles after each clean answer to a full batch and halves on a 504, which amoCRM gives when a batch takes it
too long (amocrm-api.md §2: 50 are advised, 250 are allowed), or when no answer came to a batch above what is advised.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from redis.asyncio import Redis

from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors
from leadsync.sync.changes import Route

LARGEST = 250
"""Items of one request at most (amoCRM docs: every batch method)."""

ADVISED = 50
"""Items of one request that amoCRM advises: to a batch up to that it was not the size that took an answer away."""

CALM = 50
"""Clean answers to full batches in a row after which a size that once was too large is tried again."""


@dataclass(slots=True)
class Size:
    """How many items a request may hold `now`, the `most` that were borne, and the clean answers since."""

    now: int
    most: int = LARGEST
    calm: int = 0

    def went(self, count: int, *, more: bool = False) -> bool:
        """A batch of so many items had a clean answer, and `more` were left over; whether anything is new to remember.

        A batch that was not full says nothing. One with more behind it was, though its last record was kept whole.
        """
        if count < self.now and not more:
            return False
        if self.now < self.most:
            self.now = min(self.most, self.now * 2)
            return True
        if self.most >= LARGEST:
            return False
        self.calm += 1
        if self.calm >= CALM:
            self.most, self.calm = min(LARGEST, self.most * 2), 0
        return True

    def too_large(self, count: int, *, at_least: int = 1) -> None:
        """A batch of so many items took amoCRM too long."""
        self.now = self.most = max(1, min(self.now, max(at_least, count // 2)))
        self.calm = 0


@dataclass(slots=True)
class BatchSizes:
    """The sizes of one account; `first` is where each route begins."""

    redis: Redis
    names: Namespace
    first: int
    _sizes: dict[Route, Size] = field(default_factory=dict)
    _trying: dict[Route, asyncio.Lock] = field(default_factory=dict)

    async def load(self) -> None:
        """Begin with what is remembered. Raises StateUnavailable."""
        async with state_errors():
            raw: Any = await self.redis.hgetall(self.names.name("batches"))
        for route in Route:
            first, *learnt = map(int, raw[route.encode()].split(b"/")) if route.encode() in raw else (0,)
            # Whoever writes another `batch_size` wants it to count.
            self._sizes[route] = Size(*learnt) if first == self.first else Size(self.first)
            self._trying[route] = asyncio.Lock()

    def copies(self) -> dict[Route, Size]:
        """The sizes as they are, for reckoning what they would become."""
        return {route: replace(size) for route, size in self._sizes.items()}

    def of(self, route: Route) -> int:
        """How many items the next request of a route may hold."""
        return self._sizes[route].now

    @asynccontextmanager
    async def turn(self, route: Route, waiting: Callable[[], int]) -> AsyncGenerator[None]:
        """Around the sending of one batch: alone while more is `waiting` than one request holds, and the next answer
        tells of a larger size."""
        async with AsyncExitStack() as alone:
            if self._grows(route, waiting()):
                await alone.enter_async_context(self._trying[route])
                if not self._grows(route, waiting()):  # it has grown meanwhile: all who waited go on side by side
                    await alone.aclose()
            yield

    def _grows(self, route: Route, waiting: int) -> bool:
        size = self._sizes[route]
        return size.now < size.most and waiting > size.now

    async def went(self, route: Route, count: int, *, more: bool) -> None:
        """A batch of so many items had a clean answer, and `more` were left over. Raises StateUnavailable."""
        if self._sizes[route].went(count, more=more):
            await self._keep(route)

    async def too_large(self, route: Route, count: int, *, answered: bool) -> None:
        """A batch of so many items took amoCRM too long: it `answered` 504, or nothing. Raises StateUnavailable."""
        if answered or count > ADVISED:
            self._sizes[route].too_large(count, at_least=1 if answered else ADVISED)
            await self._keep(route)

    async def _keep(self, route: Route) -> None:
        size = self._sizes[route]
        learnt = f"{self.first}/{size.now}/{size.most}/{size.calm}"
        async with state_errors():
            await self.redis.hset(self.names.name("batches"), route.value, learnt)
