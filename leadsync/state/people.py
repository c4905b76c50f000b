"""People: which contact a phone or an e-mail belongs to, as far as we wrote or verified it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Redis

from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors

PEOPLE = "people"
"""The hash of facts: contact key (`phone:+7…`, `email:…`) → contact id."""


async def load_people(redis: Redis, names: Namespace, contact_keys: Sequence[str]) -> dict[str, int]:
    """The contacts of many contact keys, only those we know. Raises StateUnavailable."""
    if not contact_keys:
        return {}
    async with state_errors():
        found: Any = await redis.hmget(names.name(PEOPLE), list(contact_keys))
    return {key: int(raw) for key, raw in zip(contact_keys, found, strict=True) if raw}


LATEST = "latest"
"""The hash of facts: `contacts` → a name of the latest batch in which contacts were changed."""


async def latest_change(redis: Redis, names: Namespace) -> str:
    """A text that is another one after every change of contacts by us. Raises StateUnavailable."""
    async with state_errors():
        found: Any = await redis.hget(names.name(LATEST), "contacts")
    return found.decode() if found else ""


async def restore_people(redis: Redis, names: Namespace, contacts: Mapping[str, int]) -> int:
    """Give contact keys that nobody is known for the contact that holds them; how many. Raises StateUnavailable."""
    if not contacts:
        return 0
    async with state_errors(), redis.pipeline(transaction=False) as pipe:
        for key, contact_id in contacts.items():
            pipe.hsetnx(names.name(PEOPLE), key, contact_id)
        return sum(await pipe.execute())
