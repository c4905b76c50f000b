"""How many requests per second may go out; whatever shares one budget stays under one limit.

A wait in line is not enough. Opening a connection, or work that holds the event loop, delays one request and not the
next ones, and eight that were well apart arrive within a second. So a place in line is a `Turn` that passes: whoever
comes late with its first byte waits for another. Measured on the wire, not at the door.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from aiolimiter import AsyncLimiter

LONGEST_QUIET = 300.0
"""Seconds for which one answer can silence everybody."""


def check_rate(rate: float) -> float:
    """The rate as it is. Raises ValueError when it is not above zero: a rate of nothing would wait for ever."""
    if not rate > 0:
        raise ValueError(f"requests per second must be above zero, not {rate}")
    return rate


LARGEST_PACK = 100.0
"""Requests per second beyond which no account of amoCRM goes."""


def patience(rate: float) -> float:
    """How late, in seconds, a turn may still be used.

    At 6.5 per second eight requests in a row span 1.077 s: 31 ms of the 77 may be lost here, the network has the rest.
    Twenty milliseconds are the least. Beyond any pack of amoCRM's a server of one's own answers, and nobody is late.
    """
    return max(0.2 / rate, 0.02) if rate <= LARGEST_PACK else LONGEST_QUIET


Before = Callable[[], Awaitable[None]]
"""What is awaited shortly before a turn comes; what it raises gives the turn up."""


async def nothing() -> None:
    """A `Before` that does nothing."""


class Turn(Protocol):
    """Leave for one request to go now."""

    def in_time(self) -> bool:
        """Whether the first byte may go at this moment; to be asked right before it does."""
        ...

    async def again(self, before: Before = nothing) -> None:
        """Wait for another turn, because this one has passed."""
        ...


class Budget(Protocol):
    """A place to wait before every request on the wire, renewals of the token included."""

    async def wait(self, before: Before = nothing) -> Turn:
        """Return when one more request may go. Raises StateUnavailable where the budget lies in Redis."""
        ...

    async def put_off(self, retry_after: float | None) -> None:
        """The CRM said 429: nobody goes for so many seconds (at most LONGEST_QUIET). Raises nothing."""
        ...


class Silence:
    """The seconds in which this process sends nothing."""

    def __init__(self) -> None:
        self._until = 0.0

    def begin(self, seconds: float | None) -> None:
        """Be silent from now for so long, or for as long as before when that is longer."""
        self._until = max(self._until, time.monotonic() + min(seconds or 0.0, LONGEST_QUIET))

    @property
    def lasts(self) -> bool:
        """Whether the silence is not over."""
        return time.monotonic() < self._until

    async def over(self) -> None:
        """Return when the silence is over."""
        if (left := self._until - time.monotonic()) > 0:
            await asyncio.sleep(left)
            await self.over()  # somebody may have prolonged it


class NoBudget:
    """No limit, for a server of one's own; what its 429 asks for is kept all the same."""

    def __init__(self) -> None:
        self._silence = Silence()

    async def wait(self, before: Before = nothing) -> Turn:
        """Return at once, or when a silence is over."""
        await self._silence.over()
        await before()
        return _AlwaysTurn()

    async def put_off(self, retry_after: float | None) -> None:
        """Send nothing for so many seconds."""
        self._silence.begin(retry_after)


class _AlwaysTurn:
    def in_time(self) -> bool:
        return True

    async def again(self, before: Before = nothing) -> None:
        await before()


class LocalBudget:
    """At most `rate` requests per second from this process, evenly spaced.

    A bucket of one drop, `AsyncLimiter(1, 1 / rate)`: the obvious `AsyncLimiter(rate, 1)` lets a full bucket and its
    refill pass in the same second (13 requests measured at a rate of 7).
    """

    def __init__(self, rate: float) -> None:
        """`rate` is in requests per second, above zero; amoCRM allows 7 per integration (amocrm-api.md §2)."""
        self.patience = patience(check_rate(rate))
        self._limiter = AsyncLimiter(1, 1 / rate)
        self._silence = Silence()
        self._line = asyncio.Lock()  # one waits at the limiter, so that who comes late need not queue behind all

    async def wait(self, before: Before = nothing) -> Turn:
        """Return when one more request may go."""
        async with self._line:
            return _LocalTurn(self, await self.next_drop(before))

    async def next_drop(self, before: Before) -> float:
        """Return when the bucket is empty, with the moment on the monotonic clock."""
        await self._silence.over()
        await self._limiter.acquire()
        at = time.monotonic()
        await before()
        return at

    async def put_off(self, retry_after: float | None) -> None:
        """Send nothing for so many seconds."""
        self._silence.begin(retry_after)


class _LocalTurn:
    __slots__ = ("_at", "_budget")

    def __init__(self, budget: LocalBudget, at: float) -> None:
        self._budget = budget
        self._at = at

    def in_time(self) -> bool:
        return time.monotonic() - self._at <= self._budget.patience

    async def again(self, before: Before = nothing) -> None:
        self._at = await self._budget.next_drop(before)
