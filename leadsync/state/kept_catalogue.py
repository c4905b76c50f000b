"""The kept catalogue: what the account calls its things, for an hour, so that not every run has to ask."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors

LIFE = 3600
"""Seconds after which the account is asked again."""

NAME = "catalogue"


async def load_catalogue(redis: Redis, names: Namespace) -> bytes | None:
    """What was kept less than an hour ago, None when there is nothing. Raises StateUnavailable."""
    async with state_errors():
        found: Any = await redis.get(names.name(NAME))
    return None if found is None else bytes(found)


async def keep_catalogue(redis: Redis, names: Namespace, catalogue: bytes) -> None:
    """Keep a catalogue for the next runs. Raises StateUnavailable."""
    async with state_errors():
        await redis.set(names.name(NAME), catalogue, ex=LIFE)


async def drop_catalogue(redis: Redis, names: Namespace) -> None:
    """Forget it: the next run asks the account. Raises StateUnavailable."""
    async with state_errors():
        await redis.delete(names.name(NAME))
