"""Opened: something that is opened when it is needed, and tried again later when that failed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Generic, TypeVar

from leadsync.tasks import end_tasks

AGAIN = 5.0
"""Seconds after a failure in which nobody tries again: probes must not knock at a CRM that is down."""

Thing = TypeVar("Thing")


class Opened(Generic[Thing]):
    """One thing for all who ask, opened once; whoever loses patience leaves the opening to the others.

    A service lives longer than the trouble it was started in: a Redis that is not up yet, a login nobody has made.
    """

    def __init__(
        self, make: Callable[[], AbstractAsyncContextManager[Thing]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._make = make
        self._clock = clock
        self._stack = AsyncExitStack()
        self._opening: asyncio.Task[Thing] | None = None
        self._again_at = 0.0

    async def get(self) -> Thing:
        """The open thing. Raises what opening it raised, the same for AGAIN seconds."""
        if self._opening is None or (self._has_failed() and self._clock() >= self._again_at):
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(_looked_at)
        return await asyncio.shield(self._opening)

    @property
    def there(self) -> Thing | None:
        """The open thing; None while it is not open."""
        opening = self._opening
        return opening.result() if opening is not None and opening.done() and not self._has_failed() else None

    def try_again(self) -> None:
        """Forget a failure: what stood in the way may be gone."""
        if self._has_failed():
            self._opening = None

    async def aclose(self) -> None:
        """Close it; what is still being opened is broken off."""
        if self._opening is not None:
            await end_tasks([self._opening])
        await self._stack.aclose()

    def _has_failed(self) -> bool:
        opening = self._opening
        return opening is not None and opening.done() and (opening.cancelled() or opening.exception() is not None)

    async def _open(self) -> Thing:
        try:
            return await self._stack.enter_async_context(self._make())
        finally:
            self._again_at = self._clock() + AGAIN


def _looked_at(opening: asyncio.Task[Thing]) -> None:
    """Nobody may be waiting any more: asyncio would complain of an error that was never seen."""
    if not opening.cancelled():
        opening.exception()
