"""Pace: how much of its rate an account may use just now, for people and metrics."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from redis.asyncio import Redis

from leadsync.amocrm.budget import LONGEST_QUIET
from leadsync.amocrm.redis_answers import redis_answers
from leadsync.amocrm.shared_budget import PERIOD, RECOVERY, SECOND


@dataclass(frozen=True, slots=True)
class Pace:
    """`share` of the rate (0..1) that is used after a 429, `slowed` how many seconds ago that was, None when it is
    over; `quiet` are the seconds for which nobody sends anything, as amoCRM asked. `spent` are the requests per second
    of all processes, over about ten seconds."""

    share: float = 1.0
    slowed: float | None = None
    quiet: float = 0.0
    spent: float = 0.0


async def pace_of(redis: Redis, prefix: str) -> Pace:
    """The pace of an account, whoever sends; `prefix` is the account's own. Raises StateUnavailable."""
    with redis_answers("the request budget"):
        async with redis.pipeline(transaction=False) as pipe:
            pipe.hmget(f"{prefix}budget", "share", "slowed", "quiet")
            pipe.hmget(f"{prefix}budget", "period", "given", "before")
            pipe.time()
            held, counted, (seconds, micros) = await pipe.execute()
    now = seconds * SECOND + micros
    return replace(_pace(held, now), spent=_spent(counted, now))


def _pace(held: list[Any], now: int) -> Pace:
    share, slowed, quiet = (None if one is None else float(one) for one in held)
    silence = ((quiet or 0) - now) / SECOND
    silence = silence if 0 < silence <= LONGEST_QUIET else 0.0
    if share is None or slowed is None:
        return Pace(quiet=silence)
    ago = max(0.0, (now - slowed) / SECOND)
    climbed = share + (1 - share) * ago / RECOVERY
    return Pace(climbed, ago, silence) if climbed < 1 else Pace(quiet=silence)


def _spent(counted: list[Any], now: int) -> float:
    """Slots per second: those of this stretch of time, and of the last one the part that is not PERIOD ago."""
    period, given, before = (int(one or 0) for one in counted)
    running, since = divmod(now / SECOND, PERIOD)
    if running == period + 1:
        given, before = 0, given
    elif running != period:
        return 0.0
    return (given + before * (1 - since / PERIOD)) / PERIOD
