"""Marks: the newest id we know of, by kind of entity, so that a lost answer is looked for only above it.

Ids only grow in amoCRM, and a mark never falls: what lies below it was there before.
"""

from __future__ import annotations

from redis.asyncio import Redis

from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors

Mark = tuple[str, int]
"""What is listed (`leads`, `contacts`, `leads/notes`) and an id that existed."""


async def load_mark(redis: Redis, names: Namespace, listed: str, *, since: float) -> int | None:
    """The mark of one list, None when none was asked for since that time (unix seconds). Raises StateUnavailable."""
    async with state_errors(), redis.pipeline(transaction=False) as pipe:
        pipe.zscore(names.name("marks"), listed)
        pipe.zscore(names.name("marked"), listed)
        mark, marked = await pipe.execute()
    return int(mark) if mark is not None and marked is not None and marked >= since else None


async def raise_mark(redis: Redis, names: Namespace, mark: Mark, *, at: float) -> None:
    """Set a mark that was asked for at that time; one that is higher already stays. Raises StateUnavailable."""
    listed, newest = mark
    async with state_errors(), redis.pipeline(transaction=True) as pipe:
        pipe.zadd(names.name("marks"), {listed: newest}, gt=True)
        pipe.zadd(names.name("marked"), {listed: at}, gt=True)
        await pipe.execute()
