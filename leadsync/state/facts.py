"""Facts: what becomes true once amoCRM has accepted an item, as plain hash writes that can lie in a journal.

A fact is `(hash, field, value)`. In the hash and in the value, NEW_ID stands for the id that amoCRM is about to give.
Facts of one batch are written in one transaction with the removal of its journal entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from redis.asyncio import Redis

from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors

Fact = tuple[str, str, str]

NEW_ID = "\0"
"""The id that the answer will bring; no key of a record can hold this character (the mapper refuses it)."""


def with_id(facts: Iterable[Fact], entity_id: int) -> list[Fact]:
    """The same facts with the id in place."""
    new = str(entity_id)
    return [(name.replace(NEW_ID, new), field, value.replace(NEW_ID, new)) for name, field, value in facts]


def queue_facts(pipe: Any, names: Namespace, facts: Sequence[Fact]) -> None:
    """Add the writes of `facts` to a Redis pipeline, one HSET per hash."""
    hashes: dict[str, dict[str, str]] = {}
    for name, field, value in facts:
        hashes.setdefault(name, {})[field] = value
    for name, mapping in hashes.items():
        pipe.hset(names.name(name), mapping=mapping)


async def remember(redis: Redis, names: Namespace, facts: Sequence[Fact]) -> None:
    """Write facts in one transaction. Raises StateUnavailable."""
    if not facts:
        return
    async with state_errors(), redis.pipeline(transaction=True) as pipe:
        queue_facts(pipe, names, facts)
        await pipe.execute()
