"""Seen: which raw records did not change since they were accepted, so that nothing of them need be parsed again.

One hash per source holds, for each place, a digest of its bytes and what became of the record; it belongs to one
wording of the mappings and goes when they change. A look at many records costs one round trip, and Redis compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any

from redis.asyncio import Redis

from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors

SIZE = 16
"""Bytes of a mark: 8 of the place's digest, then 8 of the record's."""

UNCHANGED, SKIPPED, NEW = b"u", b"s", b"-"

AT_ONCE = 1000

# KEYS: the hash. ARGV: marks, one after the other. Answers one letter for each.
COMPARE = """
local marks, places, found = ARGV[1], {}, {}
for at = 1, #marks, 16 do places[#places + 1] = string.sub(marks, at, at + 7) end
local known = redis.call('HMGET', KEYS[1], unpack(places))
for number = 1, #places do
  local value, at = known[number], number * 16 - 7
  if value and string.sub(value, 1, 8) == string.sub(marks, at, at + 7) then found[number] = string.sub(value, 9, 9)
  else found[number] = '-' end
end
return table.concat(found)
"""

# KEYS: the wording, the hash. ARGV: the wording of now.
BEGIN = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  redis.call('UNLINK', KEYS[2])
  redis.call('SET', KEYS[1], ARGV[1])
end
"""


def mark_of(place: str, fingerprint: bytes) -> bytes:
    """What is remembered of a raw record: SIZE bytes."""
    return blake2b(place.encode("utf-8", "surrogateescape"), digest_size=8).digest() + fingerprint[:8]


class Seen:
    """What was seen of one source under one `wording` of its mappings. Every method raises StateUnavailable."""

    def __init__(self, redis: Redis, names: Namespace, source: str, wording: bytes) -> None:
        self._redis = redis
        self._wording_name = names.name("wording", source)
        self._name = names.name("seen", source)
        self._wording = wording
        self._begun = False

    async def compare(self, marks: Sequence[bytes]) -> bytes:
        """One letter a mark: UNCHANGED, SKIPPED (it was not wanted, and is the same), or NEW."""
        await self._begin()
        answers = []
        for start in range(0, len(marks), AT_ONCE):
            some = b"".join(marks[start : start + AT_ONCE])
            async with state_errors():
                answer: Any = await self._redis.eval(COMPARE, 1, self._name, some)
            answers.append(answer)
        return b"".join(answers)

    async def keep(self, accepted: Iterable[tuple[bytes, bytes]]) -> None:
        """Remember marks with UNCHANGED or SKIPPED: what amoCRM has accepted, or what is not wanted."""
        found: dict[Any, Any] = {mark[:8]: mark[8:] + letter for mark, letter in accepted if mark}
        if found:
            await self._begin()
            async with state_errors():
                await self._redis.hset(self._name, mapping=found)

    async def _begin(self) -> None:
        if not self._begun:
            async with state_errors():
                await self._redis.eval(BEGIN, 2, self._wording_name, self._name, self._wording)
            self._begun = True
