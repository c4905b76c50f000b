"""Contact index: which contacts of the account hold a phone or an e-mail, so that nobody has to be searched for.

It is a cache of the account's own list and may be wrong: a hit is verified before it is written to. Contact keys are
kept as digests, 8 bytes each.
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
"""Contacts that are remembered for one phone or e-mail, the first that were found: the oldest."""

# KEYS: the index. ARGV: the most contacts of a key, then pairs of key and contact id.
ADD = """
for at = 2, #ARGV, 2 do
  local before = redis.call('HGET', KEYS[1], ARGV[at])
  if not before then
    redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
  elseif not string.find(',' .. before .. ',', ',' .. ARGV[at + 1] .. ',', 1, true) then
    local _, commas = string.gsub(before, ',', '')
    if commas + 1 < tonumber(ARGV[1]) then redis.call('HSET', KEYS[1], ARGV[at], before .. ',' .. ARGV[at + 1]) end
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
    the CRM's clock) up to which it knows every change, `checked` when that was asked last (unix seconds of Redis's).

    `looked` counts the searches made for want of an index since it was last built or given up; `pages` is how many
    pages of contacts the account has at least, as far as a try to build it has come.
    """

    whole: bool = False
    newest: int = 0
    checked: float = 0.0
    looked: int = 0
    pages: int = 0
    now: float = 0.0

    @property
    def age(self) -> float:
        """Seconds since the account was last asked what is new."""
        return self.now - self.checked


class ContactIndex:
    """The index in Redis, one per account. Every method raises StateUnavailable."""

    def __init__(self, redis: Redis, names: Namespace) -> None:
        self._redis = redis
        self._index = names.name("index")
        self._state = names.name("index-state")

    async def state(self) -> IndexState:
        """How far the index goes, with the present time."""
        async with state_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.hgetall(self._state)
            pipe.time()
            raw, (seconds, micros) = await pipe.execute()
        now = seconds + micros / 1e6
        return IndexState(
            raw.get(b"whole") == b"1",
            int(raw.get(b"newest", 0)),
            float(raw.get(b"checked", 0)),
            int(raw.get(b"looked", 0)),
            int(raw.get(b"pages", 0)),
            now,
        )

    async def keep(self, **state: float) -> None:
        """Remember parts of the state: `whole` (1 or 0), `newest`, `checked`, `looked`, `pages`."""
        async with state_errors():
            await self._redis.hset(self._state, mapping={name: repr(value) for name, value in state.items()})

    async def searched(self, count: int) -> None:
        """Count searches that were made for want of an index."""
        async with state_errors():
            await self._redis.hincrby(self._state, "looked", count)

    async def add(self, pairs: Sequence[tuple[str, int]]) -> None:
        """Take in contact keys with the contacts that hold them."""
        async with state_errors(), self._redis.pipeline(transaction=False) as pipe:
            for start in range(0, len(pairs), PAIRS_AT_ONCE):
                flat = [part for key, one in pairs[start : start + PAIRS_AT_ONCE] for part in (_digest(key), one)]
                pipe.eval(ADD, 1, self._index, MOST_TWINS, *flat)
            await pipe.execute()

    async def find(self, keys: Sequence[str]) -> dict[str, tuple[int, ...]]:
        """The contacts of many contact keys, the oldest first; only keys that are in the index."""
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


def _digest(key: str) -> bytes:
    return blake2b(key.encode(), digest_size=8).digest()


def _ids(raw: bytes) -> tuple[int, ...]:
    return tuple(sorted(map(int, raw.split(b","))))
