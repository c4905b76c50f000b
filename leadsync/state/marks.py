"""Marks: the newest id we know of, by kind of entity, so that a lost answer is looked for only above it."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors

MARKS = "marks"
"""The hash of facts: what is listed (`leads`, `contacts`, `leads/notes`) → an id that existed. Ids only grow in amoCRM,
so a mark that is too low only costs reading."""


async def load_mark(redis: Redis, names: Namespace, listed: str) -> int | None:
    """The mark of one list, None when there is none yet. Raises StateUnavailable."""
    async with state_errors():
        raw: Any = await redis.hget(names.name(MARKS), listed)
    return int(raw) if raw else None
