"""Marks: the newest id we know of, by kind of entity, so that a lost answer is looked for only above it.

Ids only grow in amoCRM, and a mark never falls: what lies below it was there before.
"""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors

Mark = tuple[str, int]
"""What is listed (`leads`, `contacts`, `leads/notes`) and an id that existed."""


async def load_mark(redis: Redis, names: Namespace, listed: str) -> int | None:
    """The mark of one list, None when there is none yet. Raises StateUnavailable."""
    async with state_errors():
        found: Any = await redis.zscore(names.name("marks"), listed)
    return None if found is None else int(found)


async def raise_mark(redis: Redis, names: Namespace, mark: Mark) -> None:
    """Set a mark, unless it is higher already. Raises StateUnavailable."""
    async with state_errors():
        await queue_mark(redis, names, mark)


def queue_mark(pipe: Any, names: Namespace, mark: Mark) -> Any:
    """Add the raising of a mark to a Redis pipeline."""
    listed, newest = mark
    return pipe.zadd(names.name("marks"), {listed: newest}, gt=True)
