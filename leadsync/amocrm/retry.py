"""Sending again, by class of error: only what surely wrote nothing, with growing waits and jitter."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import stamina

from leadsync.amocrm.failures import may_repeat
from leadsync.errors import AmoCRMAPIError
from leadsync.events import Listener, RequestRetried

logger = logging.getLogger("leadsync.amocrm")

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long: `attempts` in all, waits in seconds.

    The n-th wait is `first_wait` · 2ⁿ⁻¹, at most `longest_wait`, plus up to `jitter`. What the CRM asks for
    (Retry-After) is kept when it is longer, up to `longest_retry_after`; beyond that the error is raised at once.
    """

    attempts: int = 6
    first_wait: float = 0.5
    longest_wait: float = 30.0
    jitter: float = 0.5
    longest_retry_after: float = 300.0

    def wait(self, attempt: int, error: AmoCRMAPIError) -> float | None:
        """Seconds to wait after the `attempt`-th try (from 1), or None when it was the last."""
        asked = error.retry_after or 0.0
        if attempt >= self.attempts or asked > self.longest_retry_after:
            return None
        grown = min(self.longest_wait, self.first_wait * 2.0 ** (attempt - 1))
        return max(asked, grown) + random.uniform(0, self.jitter)


async def repeat(
    call: Callable[[], Awaitable[Result]], *, method: str, route: str, policy: RetryPolicy, listener: Listener
) -> Result:
    """Await `call()` until it works or raises what must not, or need not, be tried again. Raises its last error."""
    tried = 0

    def wait_of(error: Exception) -> bool | float:
        if not isinstance(error, AmoCRMAPIError) or not may_repeat(method, error):
            return False
        wait = policy.wait(tried, error)
        if wait is None:
            return False
        reason = type(error).__name__
        logger.warning("%s %s: %s, again in %.1f s", method, route, reason, wait)
        listener(RequestRetried(method, route, reason, wait))
        return wait

    async for attempt in stamina.retry_context(on=wait_of, attempts=policy.attempts, timeout=None):
        with attempt:
            tried += 1
            return await call()
    raise AssertionError("stamina ends with a result or an error")  # pragma: no cover
