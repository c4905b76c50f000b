"""Contact index: which contacts of the account hold a phone or an e-mail, so that nobody has to be searched for.

It is a cache of the account's own list and may be wrong: a hit is verified before it is written to. Contact keys are
kept as digests, 8 bytes each. How far the index goes stands in the same hash: Redis cannot lose one without the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from redis.asyncio import Redis

from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors

MOST_TWINS = 5
"""Contacts that are remembered for one phone or e-mail: the oldest. That there are more is remembered, too."""

FACTS = ("whole", "newest", "checked", "first", "top", "listed", "looked", "pages")
"""Fields of the hash that say how far the index goes; digests have 8 bytes, and none of these."""

# KEYS: the index. ARGV: the most contacts of a key, then pairs of key and contact id. A key's value is `12,40`, or
# `12,40,…,+` when more contacts hold it than are remembered.
ADD = """
local most = tonumber(ARGV[1])
for at = 2, #ARGV, 2 do
  local id, before = ARGV[at + 1], redis.call('HGET', KEYS[1], ARGV[at])
  if not before then
    redis.call('HSET', KEYS[1], ARGV[at], id)
  elseif not string.find(',' .. before .. ',', ',' .. id .. ',', 1, true) then
    local ids, more = {id}, ''
    for one in string.gmatch(before, '[^,]+') do
      if one == '+' then more = ',+' else ids[#ids + 1] = one end
    end
    table.sort(ids, function(one, other) return tonumber(one) < tonumber(other) end)
    if #ids > most then ids[#ids], more = nil, ',+' end
    redis.call('HSET', KEYS[1], ARGV[at], table.concat(ids, ',') .. more)
  end
end
"""

# KEYS: the index. ARGV: pairs of key and contact id.
CORRECT = """
for at = 1, #ARGV, 2 do
  local before = redis.call('HGET', KEYS[1], ARGV[at])
  if before then
    local left = {}
    for one in string.gmatch(before, '[^,]+') do
      if one ~= ARGV[at + 1] then left[#left + 1] = one end
    end
    if #left == 0 then redis.call('HDEL', KEYS[1], ARGV[at])
    else redis.call('HSET', KEYS[1], ARGV[at], table.concat(left, ',')) end
  end
end
"""

PAIRS_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class IndexState:
    """How far the index goes. `whole`: it holds every contact there was; `newest` is the `updated_at` (unix seconds of
    the CRM's clock) up to which it knows every change, `first` a digest of the latest changes as they were listed, and
    `top` the highest id it knows; `checked` and `listed` say when the account was asked last what has changed, and what
    is new by id (unix seconds of Redis's clock, as `now`).

    `looked` counts the searches made since the list was last read as far as it was needed, and `pages` the pages that a
    try to do so has read before it was given up.
    """

    whole: bool = False
    newest: int = 0
    checked: float = 0.0
    first: int = 0
    top: int = 0
    listed: float = 0.0
    looked: int = 0
    pages: int = 0
    now: float = 0.0

    def is_fresh(self, seconds: float) -> bool:
        """Whether the account was asked for changes so many seconds ago at most; a clock may have been set back."""
        return self.whole and 0 <= self.now - self.checked < seconds


class ContactIndex:
    """The index in Redis, one per account and `country` in which phones without a country are read.

    Every method raises StateUnavailable.
    """

    def __init__(self, redis: Redis, names: Namespace, country: str) -> None:
        self._redis = redis
        self._index = names.name("index", country)

    async def state(self) -> IndexState:
        """How far the index goes, with the present time."""
        async with state_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.hmget(self._index, FACTS)
            pipe.time()
            facts, (seconds, micros) = await pipe.execute()
        whole, newest, checked, first, top, listed, looked, pages = (one or b"0" for one in facts)
        return IndexState(
            whole == b"1",
            int(newest),
            float(checked),
            int(first),
            int(top),
            float(listed),
            int(looked),
            int(pages),
            seconds + micros / 1e6,
        )

    async def count(self) -> int:
        """How many phones and e-mails are in the index."""
        async with state_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.hlen(self._index)
            pipe.hmget(self._index, FACTS)
            fields, facts = await pipe.execute()
        return int(fields) - sum(one is not None for one in facts)

    async def keep(self, **facts: float) -> None:
        """Remember parts of the state, by the names of FACTS (`whole` is 1 or 0)."""
        async with state_errors():
            await self._redis.hset(self._index, mapping={name: repr(value) for name, value in facts.items()})

    async def searched(self, count: int) -> None:
        """Count searches that were made for want of a whole and fresh index."""
        async with state_errors():
            await self._redis.hincrby(self._index, "looked", count)

    async def add(self, pairs: Sequence[tuple[str, int]]) -> None:
        """Take in contact keys with the contacts that hold them."""
        if not pairs:
            return
        async with state_errors(), self._redis.pipeline(transaction=False) as pipe:
            for start in range(0, len(pairs), PAIRS_AT_ONCE):
                flat = [part for key, one in pairs[start : start + PAIRS_AT_ONCE] for part in (_digest(key), one)]
                pipe.eval(ADD, 1, self._index, MOST_TWINS, *flat)
            await pipe.execute()

    async def find(self, keys: Sequence[str]) -> dict[str, tuple[int, ...]]:
        """The contacts of many contact keys, the oldest first; only keys that are in the index.

        An empty tuple stands for a key of which only contacts are left that are not remembered.
        """
        if not keys:
            return {}
        async with state_errors():
            raw: Any = await self._redis.hmget(self._index, [_digest(key) for key in keys])
        return {key: _ids(one) for key, one in zip(keys, raw, strict=True) if one}

    async def correct(self, wrong: Iterable[tuple[str, int]]) -> None:
        """Take out contacts that do not hold a contact key (any more)."""
        flat = [part for key, one in wrong for part in (_digest(key), one)]
        if flat:
            async with state_errors():
                await self._redis.eval(CORRECT, 1, self._index, *flat)


def entry_of(key: str) -> bytes:
    """The name of a contact key's entry."""
    return _digest(key)


def _digest(key: str) -> bytes:
    return blake2b(key.encode(), digest_size=8).digest()


def _ids(raw: bytes) -> tuple[int, ...]:
    return tuple(int(one) for one in raw.split(b",") if one != b"+")
