"""Facts: what becomes true once amoCRM has accepted an item, as plain hash writes that can lie in a journal.

A fact is `(hash, field, value)`. In the hash and in the value, NEW_ID stands for the id that amoCRM is about to give.
Facts of one batch are written in one transaction with the removal of its journal entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import orjson
from redis.asyncio import Redis

from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors

Fact = tuple[str, str, str]

NEW_ID = "\0"
"""The id that the answer will bring; no key of a record can hold this character (the mapper refuses it)."""


# ARGV[1]: facts, packed. What Redis refuses (no memory left) ends the script before whatever stands behind this.
WRITE = """
for _, hash in ipairs(cjson.decode(ARGV[1])) do
  for field, value in pairs(hash[2]) do redis.call('HSET', hash[1], field, value) end
end
"""


def with_id(facts: Iterable[Fact], entity_id: int) -> list[Fact]:
    """The same facts with the id in place."""
    new = str(entity_id)
    return [(name.replace(NEW_ID, new), field, value.replace(NEW_ID, new)) for name, field, value in facts]


def packed(names: Namespace, facts: Iterable[Fact]) -> bytes:
    """Facts as WRITE takes them: thousands of them go to Redis in no time as one argument, not as one each."""
    hashes: dict[str, dict[str, str]] = {}
    for name, field, value in facts:
        hashes.setdefault(name, {})[field] = value
    return orjson.dumps([[names.name(name), fields] for name, fields in hashes.items()])


async def remember(redis: Redis, names: Namespace, facts: Sequence[Fact]) -> None:
    """Write facts in one transaction. Raises StateUnavailable."""
    if not facts:
        return
    async with state_errors():
        await redis.eval(WRITE, 1, names.prefix, packed(names, facts))
