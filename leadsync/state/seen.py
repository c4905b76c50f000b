"""Seen: which raw records did not change since they were accepted, so that nothing of them need be parsed again.

One hash per source holds, for each place, a digest of its bytes and what became of the record; it belongs to one
wording of the mappings and goes when they change. A look at many records costs one round trip, and Redis compares.

A mark says what amoCRM holds. So it is taken away before anything of its record is sent, and kept again while the
record is still claimed: of two workers the last to send is the last to keep.

Talks vanish from their sources, and nobody says so. A mark holds the month in which it was last of use, and whoever
keeps marks looks at a few others and takes away those that were of none for long. To lose a mark costs one more look at
its record.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Any

from redis.asyncio import Redis

from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors

UNCHANGED, SKIPPED, NEW = b"u", b"s", b"-"

AT_ONCE = 1000

MONTH = 30 * 86_400

MONTHS = 3
"""How many may have begun since a mark was of use."""

OTHERS = 4
"""Marks that are looked at for each that is kept: so many vanished ones go for one that comes, at most."""

# KEYS: the wording, the hash. ARGV: the wording of now, marks of 16 bytes, the month. Answers one letter for each.
COMPARE = """
local marks, places, found, late = ARGV[2], {}, {}, {}
local of_now = {['u' .. ARGV[3]] = 'u', ['s' .. ARGV[3]] = 's'}
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return string.rep('-', #marks / 16) end
for at = 1, #marks, 16 do places[#places + 1] = string.sub(marks, at, at + 7) end
local known = redis.call('HMGET', KEYS[2], unpack(places))
for number = 1, #places do
  local value, at = known[number], number * 16 - 7
  if value and string.sub(value, 1, 8) == string.sub(marks, at, at + 7) then
    found[number] = of_now[string.sub(value, 9)]
    if not found[number] then
      found[number] = string.sub(value, 9, 9)
      late[#late + 1], late[#late + 2] = places[number], string.sub(value, 1, 9) .. ARGV[3]
    end
  else found[number] = '-' end
end
if #late > 0 then redis.call('HSET', KEYS[2], unpack(late)) end
return table.concat(found)
"""

# KEYS: the wording, the hash. ARGV: the wording of now.
BEGIN = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  redis.call('UNLINK', KEYS[2])
  redis.call('SET', KEYS[1], ARGV[1])
end
"""

# KEYS: the wording, the hash. ARGV: the wording of now, the month, then places and what is kept of them.
KEEP = f"""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return end
redis.call('HSET', KEYS[2], unpack(ARGV, 3))
local month, count = string.byte(ARGV[2]), (#ARGV - 2) / 2
local others = redis.call('HRANDFIELD', KEYS[2], -{OTHERS} * count, 'WITHVALUES')
for at = 1, #others, 2 do
  local place, value = others[at], others[at + 1]
  local last = string.byte(value, 10)
  if not last then redis.call('HSET', KEYS[2], place, value .. ARGV[2])
  elseif (month - last) % 256 > {MONTHS} then redis.call('HDEL', KEYS[2], place) end
end
"""


def mark_of(place: str, fingerprint: bytes) -> bytes:
    """What is remembered of a raw record: 8 bytes of its place's digest, then 8 of its own."""
    return blake2b(place.encode("utf-8", "surrogatepass"), digest_size=8).digest() + fingerprint[:8]


class Seen:
    """What was seen of one source under one `wording` of its mappings; empty marks are passed over.

    Every method raises StateUnavailable.
    """

    def __init__(
        self, redis: Redis, names: Namespace, source: str, wording: bytes, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._redis = redis
        self._names = (names.name("wording", source), names.name("seen", source))
        self._wording = wording
        self._clock = clock

    async def check(self) -> None:
        """Raise StateUnavailable when Redis does not answer."""
        async with state_errors():
            await self._redis.ping()

    async def begin(self) -> None:
        """Forget what was seen under another wording; a process that still works by that one keeps nothing more."""
        async with state_errors():
            await self._redis.eval(BEGIN, 2, *self._names, self._wording)

    async def compare(self, marks: Sequence[bytes]) -> bytes:
        """One letter a mark: UNCHANGED, SKIPPED (it was not wanted, and is the same), or NEW."""
        answers = []
        for start in range(0, len(marks), AT_ONCE):
            some = b"".join(marks[start : start + AT_ONCE])
            async with state_errors():
                answer: Any = await self._redis.eval(COMPARE, 2, *self._names, self._wording, some, self._month)
            answers.append(answer)
        return b"".join(answers)

    async def forget(self, marks: Iterable[bytes]) -> None:
        """Have the records of these places looked at again."""
        places = [mark[:8] for mark in marks if mark]
        if places:
            async with state_errors():
                await self._redis.hdel(self._names[1], *places)

    async def keep(self, accepted: Iterable[tuple[bytes, bytes]]) -> None:
        """Remember marks with UNCHANGED or SKIPPED: what amoCRM has accepted, or what is not wanted."""
        month = self._month
        found = [(mark[:8], mark[8:] + letter + month) for mark, letter in accepted if mark]
        for start in range(0, len(found), AT_ONCE):
            flat = [part for one in found[start : start + AT_ONCE] for part in one]
            async with state_errors():
                await self._redis.eval(KEEP, 2, *self._names, self._wording, month, *flat)

    @property
    def _month(self) -> bytes:
        """The month of now, in one byte."""
        return bytes([int(self._clock() // MONTH) % 256])
