"""How many requests a second are let through, and when too many refusals become a ban."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from .refusals import Refused, page, problem
from .switches import Switches

WINDOW = 1.0
ABUSE_WINDOW = 60.0
_KOMMO_PAUSE = 300
_KOMMO_DETAIL = "You have sent too many requests in a given amount of time. Please try again later."


class Limiter:
    """Lets `switches.rate` requests through in any sliding second; refused ones do not count against the next.

    `ticks` is a clock that only grows, in seconds.
    """

    def __init__(self, switches: Switches, ticks: Callable[[], float]) -> None:
        self._switches = switches
        self._ticks = ticks
        self._passed: deque[float] = deque()
        self._refused: deque[float] = deque()

    def admit(self, came: float | None = None) -> Refused | None:
        """None to let a request through that came then (by `ticks`; now), else the answer that refuses it whole."""
        switches = self._switches
        if switches.banned:
            return page(403)
        if not switches.rate:
            return None
        now = self._ticks() if came is None else came
        _forget(self._passed, now - WINDOW)
        if len(self._passed) < max(1, int(switches.rate)):
            self._passed.append(now)
            return None
        return self._refuse(now)

    def _refuse(self, now: float) -> Refused:
        _forget(self._refused, now - ABUSE_WINDOW)
        self._refused.append(now)
        if self._switches.ban_after and len(self._refused) >= self._switches.ban_after:
            self._switches.banned = True
        return too_many(self._switches)

    def clear(self) -> None:
        """Forgets what went before."""
        self._passed.clear()
        self._refused.clear()


def _forget(ticks: deque[float], before: float) -> None:
    while ticks and ticks[0] <= before:
        ticks.popleft()


def too_many(switches: Switches) -> Refused:
    """429: amoCRM's HTML page, or Kommo's JSON with `retry_after`; a Retry-After header if the switch sets one."""
    headers = {"Retry-After": str(switches.retry_after)} if switches.retry_after else {}
    if not switches.kommo_429:
        return page(429, headers)
    refused = problem(429, _KOMMO_DETAIL, retry_after=switches.retry_after or _KOMMO_PAUSE)
    return Refused(429, refused.body, headers)
