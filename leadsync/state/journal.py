"""Journal: what is about to be sent, written down before it is; what is found here was perhaps applied, perhaps not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import orjson
from redis.asyncio import Redis

from leadsync.sealing import PLAIN, Seal
from leadsync.state.facts import WRITE, Fact, packed
from leadsync.state.marks import Mark
from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors

# KEYS: the journal, who looks, the marks, when they were asked for. ARGV: facts, the batch, then perhaps a list, an id
# in it, and when that was the newest. Facts that Redis does not take leave the batch where it is.
CLOSE = f"""{WRITE}
if ARGV[3] then
  redis.call('ZADD', KEYS[3], 'GT', ARGV[4], ARGV[3])
  redis.call('ZADD', KEYS[4], 'GT', ARGV[5], ARGV[3])
end
redis.call('HDEL', KEYS[1], ARGV[2])
redis.call('SREM', KEYS[2], ARGV[2])
"""


@dataclass(frozen=True, slots=True)
class JournalItem:
    """One item of a batch, with its references replaced by ids; `facts` become true once amoCRM accepts it."""

    key: str
    request_id: str
    payload: Mapping[str, Any]
    facts: Sequence[Fact]


@dataclass(frozen=True, slots=True)
class Entry:
    """A batch on the wire. `mark` is an id that every entity created by it is above; `at` is unix seconds."""

    id: str
    owner: str
    route: str
    mark: int
    at: float
    items: Sequence[JournalItem]


def _entry(raw: bytes) -> Entry:
    data = orjson.loads(raw)
    items = [
        JournalItem(one["key"], one["request_id"], one["payload"], [tuple(fact) for fact in one["facts"]])
        for one in data.pop("items")
    ]
    return Entry(**data, items=items)


class Journal:
    """The open batches of one account, over all processes, stored as `seal` closes them.

    What is sealed with a key that is not at hand raises ConfigurationError: nobody knows whether it was applied.
    """

    def __init__(self, redis: Redis, names: Namespace, seal: Seal = PLAIN) -> None:
        self._redis = redis
        self._names = names
        self._seal = seal
        self._name = names.name("journal")
        self._looking = names.name("looking")

    async def open(self, owner: str, route: str, mark: int, at: float, items: Sequence[JournalItem]) -> Entry:
        """Write a batch down before it is sent. Raises StateUnavailable: then it must not be sent."""
        entry = Entry(uuid4().hex, owner, route, mark, at, items)
        async with state_errors():
            await self._redis.hset(self._name, entry.id, self.stored(entry))
        return entry

    def stored(self, entry: Entry) -> bytes:
        """A batch as it is stored."""
        return self._seal.close(orjson.dumps(entry))

    async def is_open(self, entry: Entry) -> bool:
        """Whether nobody has closed it yet. Raises StateUnavailable."""
        async with state_errors():
            return bool(await self._redis.hexists(self._name, entry.id))

    async def looking(self, entry: Entry) -> None:
        """Say that a batch is no longer on the wire but being looked for. Raises StateUnavailable."""
        async with state_errors():
            await self._redis.sadd(self._looking, entry.id)

    async def looked_for(self) -> set[str]:
        """The ids of the batches that somebody is looking for. Raises StateUnavailable."""
        async with state_errors():
            found: Any = await self._redis.smembers(self._looking)
        return {one.decode() for one in found}

    async def close(self, entry: Entry, facts: Sequence[Fact] = (), mark: Mark | None = None) -> None:
        """Remember what became true and take the batch out, in one transaction. Raises StateUnavailable."""
        marks = (self._names.name("marks"), self._names.name("marked"))
        raised = () if mark is None else (*mark, entry.at)
        async with state_errors():
            await self._redis.eval(
                CLOSE, 4, self._name, self._looking, *marks, packed(self._names, facts), entry.id, *raised
            )

    async def entries(self, but: Collection[str] = ()) -> list[Entry]:
        """Every open batch, the oldest first, but those with these ids. Raises StateUnavailable."""
        async with state_errors():
            names: Any = await self._redis.hkeys(self._name)
            ids = [one for one in names if one.decode() not in but]
            raw: Any = await self._redis.hmget(self._name, ids) if ids else []
        # One that was closed meanwhile is nobody's to look for.
        return sorted((_entry(self._seal.open(one)) for one in raw if one is not None), key=lambda one: one.at)
