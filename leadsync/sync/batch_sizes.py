"""Batch sizes: how many items one write request of each route bears, learnt from the answers and remembered.

The size doubles after each clean answer and halves on a 504, which amoCRM gives when a batch takes it too long
(amocrm-api.md §2: 50 are advised, 250 are allowed).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

from redis.asyncio import Redis

from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors
from leadsync.sync.changes import Route

LARGEST = 250
"""Items of one request at most (amoCRM docs: every batch method)."""

CALM = 50
"""Clean answers in a row after which a size that once was too large is tried again."""


@dataclass(slots=True)
class Size:
    """How many items a request may hold `now`, the `most` that were borne, and the clean answers since."""

    now: int
    most: int = LARGEST
    calm: int = 0

    def went(self, count: int) -> bool:
        """A batch of so many items had a clean answer; whether the next one may be larger."""
        self.calm += 1
        if self.now == self.most < LARGEST and self.calm >= CALM:
            self.most, self.calm = min(LARGEST, self.most * 2), 0
        if not count >= self.now < self.most:
            return False
        self.now = min(self.most, self.now * 2)
        return True


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
            now, _, most = raw.get(route.encode(), b"").decode().partition("/")
            self._sizes[route] = Size(int(now), int(most)) if now else Size(self.first)
            self._trying[route] = asyncio.Lock()

    def copies(self) -> dict[Route, Size]:
        """The sizes as they are, for reckoning what they would become."""
        return {route: replace(size) for route, size in self._sizes.items()}

    def of(self, route: Route) -> int:
        """How many items the next request of a route may hold."""
        return self._sizes[route].now

    def grows(self, route: Route) -> asyncio.Lock | None:
        """What to hold while sending, as long as the next answer tells of a larger size; None once it is found."""
        size = self._sizes[route]
        return self._trying[route] if size.now < size.most else None

    async def went(self, route: Route, count: int) -> None:
        """A batch of so many items had a clean answer. Raises StateUnavailable."""
        if self._sizes[route].went(count):
            await self._keep(route)

    async def too_large(self, route: Route, count: int) -> None:
        """A batch of so many items took amoCRM too long. Raises StateUnavailable."""
        size = self._sizes[route]
        size.now = size.most = max(1, min(size.now, count // 2))
        size.calm = 0
        await self._keep(route)

    async def _keep(self, route: Route) -> None:
        size = self._sizes[route]
        async with state_errors():
            await self.redis.hset(self.names.name("batches"), route.value, f"{size.now}/{size.most}")
