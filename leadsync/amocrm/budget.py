"""How many requests per second may go out; whatever shares one budget stays under one limit."""

from __future__ import annotations

from typing import Protocol

from aiolimiter import AsyncLimiter


class Budget(Protocol):
    """A place to wait before every request on the wire, renewals of the token included."""

    async def wait(self) -> None:
        """Return when one more request may go."""
        ...


class LocalBudget:
    """At most `rate` requests per second from this process, evenly spaced.

    A bucket of one drop, `AsyncLimiter(1, 1 / rate)`: the obvious `AsyncLimiter(rate, 1)` lets a full bucket and its
    refill pass in the same second (13 requests measured at a rate of 7).
    """

    def __init__(self, rate: float) -> None:
        """`rate` is in requests per second, above zero; amoCRM allows 7 per integration (amocrm-api.md §2)."""
        if not rate > 0:
            raise ValueError(f"requests per second must be above zero, not {rate}")
        self._limiter = AsyncLimiter(1, 1 / rate)

    async def wait(self) -> None:
        """Return when one more request may go."""
        await self._limiter.acquire()


class NoBudget:
    """No limit: for a server of one's own."""

    async def wait(self) -> None:
        """Return at once."""
