"""A consumer group of a Redis stream: who has which entry, whose are free again, and the newest of each talk.

    {stream}                            the stream; its group holds who has which entry (XPENDING)
    leadsync:{STREAM}:newest:GROUP:…    the newest entry of one talk that anybody was given, for a day

A consumer is named like an owner of state.owners, so that one of this machine that died is known at once; one of
another machine counts as dead when it asked for nothing in SILENCE seconds. Its entries go to whoever looks first, all
in one step on the server, and a consumer that is gone and has nothing any more is taken out of the group.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence
from functools import cache
from hashlib import blake2b
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from leadsync.state.owners import new_owner, surely_dead

SILENCE = 30.0
"""Seconds after which a consumer that asked for nothing counts as dead."""

LEFT = b"left"
"""The consumer that holds what those who left gave back; it never lives."""

REMEMBERED = 86_400
"""Seconds for which the newest entry of a talk is known: longer than two workers can be apart."""

# KEYS: the stream. ARGV: group, the new owner, the old one, how many. Answers entries, or nil when there were none.
TAKE_OVER = """
local found = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', ARGV[4], ARGV[3])
if #found == 0 then
  redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[3])
  return nil
end
local ids = {}
for at, one in ipairs(found) do ids[at] = one[1] end
return redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(ids))
"""

# KEYS: the stream. ARGV: group, who leaves, who holds what was left. Answers whether there is more.
GIVE_BACK = """
local found = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1000, ARGV[2])
if #found == 0 then
  redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
  return 0
end
local ids = {}
for at, one in ipairs(found) do ids[at] = one[1] end
ids[#ids + 1] = 'JUSTID'
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], 0, unpack(ids))
return 1
"""

# KEYS: how every name begins. ARGV: seconds, then pairs of talk and entry.
REGISTER = """
for at = 2, #ARGV, 2 do
  local name = KEYS[1] .. ARGV[at]
  local known = redis.call('GET', name)
  if not known or known <= ARGV[at + 1] then redis.call('SET', name, ARGV[at + 1], 'EX', ARGV[1]) end
end
"""

MOST_COUNTED = 1000
"""Entries that are counted one by one, where Redis does not know their number."""

Entry = tuple[bytes, dict[bytes, bytes]]
"""An entry's id and its fields; no fields: it was deleted while somebody had it."""


@cache
def _consumer_of(process: int) -> str:
    return new_owner()


class ConsumerGroup:
    """One group of one stream, as this process sees it. Every method raises RedisError."""

    def __init__(self, redis: Redis, stream: str, group: str) -> None:
        self._redis = redis
        self._stream = stream
        self._group = group
        self._newest = f"leadsync:{{{stream}}}:newest:{group}:"
        # The same in every life of the source in this process: what one was given the next one finds.
        self.me = _consumer_of(os.getpid())

    async def create(self) -> None:
        """Make stream and group where they are not there; the group then begins with the oldest entry."""
        try:
            await self._redis.xgroup_create(self._stream, self._group, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    async def new(self, count: int, block: float | None = None) -> list[Entry]:
        """The next entries that nobody was given; waits up to `block` seconds for one."""
        milliseconds = None if block is None else max(1, int(block * 1000))
        answer: Any = await self._redis.xreadgroup(
            self._group, self.me, {self._stream: ">"}, count=count, block=milliseconds
        )
        return list(answer[0][1]) if answer else []

    async def mine(self, count: int, after: bytes = b"0") -> list[Entry]:
        """Entries that this process was given and did not accept yet. To ask shows that it lives."""
        answer: Any = await self._redis.xreadgroup(self._group, self.me, {self._stream: after}, count=count)
        return list(answer[0][1]) if answer else []

    async def taken_over(self, count: int) -> AsyncGenerator[list[Entry], None]:
        """What the dead have left, this process's from now on."""
        consumers: Any = await self._redis.xinfo_consumers(self._stream, self._group)
        for one in consumers:
            if one["name"] != self.me.encode() and _is_dead(one["name"], one["idle"] / 1000):
                keys = (self._stream, self._group, self.me, one["name"], count)
                while (taken := await self._redis.eval(TAKE_OVER, 1, *keys)) is not None:
                    yield [_entry(raw) for raw in taken if raw]

    async def accept(self, ids: Sequence[bytes | str]) -> None:
        """These are done with, whoever had them."""
        if ids:
            await self._redis.xack(self._stream, self._group, *ids)

    async def leave(self) -> None:
        """Give back what was not accepted, for somebody else to take at once."""
        while await self._redis.eval(GIVE_BACK, 1, self._stream, self._group, self.me, LEFT):
            pass

    async def between(self, first: str, last: str, count: int) -> list[Entry]:
        """Entries from one id to another, given to somebody or not."""
        found: Any = await self._redis.xrange(self._stream, first, last, count)
        return [one for one in found if one[1]]

    async def last_id(self) -> str:
        """The newest entry's id; 0-0 for a stream that is not there."""
        newest: Any = await self._redis.xrevrange(self._stream, count=1)
        return newest[0][0].decode() if newest else "0-0"

    async def open_ids(self) -> tuple[list[bytes], bytes]:
        """The ids that somebody was given and did not accept, and the last one that was given at all."""
        for group in await self._groups():
            if group["name"] == self._group.encode():
                pending: Any = await self._redis.xpending_range(
                    self._stream, self._group, "-", "+", max(1, group["pending"])
                )
                return [one["message_id"] for one in pending], group["last-delivered-id"]
        return [], b"0-0"

    async def waiting(self) -> tuple[int, bytes | None]:
        """How many entries are not accepted yet, given to somebody or not, and the id of the oldest.

        Where entries were deleted from the middle, those nobody was given are counted up to MOST_COUNTED.
        """
        for group in await self._groups():
            if group["name"] == self._group.encode():
                pending: Any = await self._redis.xpending(self._stream, self._group)
                last, lag = group["last-delivered-id"].decode(), group.get("lag")
                new = await self.between(f"({last}", "+", 1 if lag is not None else MOST_COUNTED)
                oldest = [one for one in (pending["min"], *(id for id, _ in new[:1])) if one]
                return pending["pending"] + (len(new) if lag is None else lag), min(oldest, key=_order, default=None)
        first = await self.between("-", "+", 1)
        return (await self._redis.xlen(self._stream), first[0][0]) if first else (0, None)

    async def _groups(self) -> Any:
        return await self._redis.xinfo_groups(self._stream) if await self._redis.exists(self._stream) else []

    async def register(self, known: Sequence[tuple[str, str]]) -> None:
        """Remember entries (talk, order) as the newest of their talks, unless a newer one is known."""
        if known:
            pairs = [part for talk, order in known for part in (_digest(talk), order)]
            await self._redis.eval(REGISTER, 1, self._newest, REMEMBERED, *pairs)

    async def newest(self, talks: Sequence[str]) -> list[str]:
        """The newest entry known of each talk, as its order; empty where none is."""
        if not talks:
            return []
        found: Any = await self._redis.mget([self._newest + _digest(one) for one in talks])
        return [(one or b"").decode() for one in found]


def _is_dead(consumer: bytes, idle: float) -> bool:
    if consumer == LEFT or idle > SILENCE:
        return True
    try:
        return surely_dead(consumer.decode())
    except ValueError:
        return False  # somebody gave it a name of his own


def _entry(raw: Any) -> Entry:
    id, fields = raw
    return id, dict(zip(fields[::2], fields[1::2], strict=True))


def _order(id: bytes) -> tuple[int, ...]:
    return tuple(map(int, id.split(b"-")))


def _digest(talk: str) -> str:
    return blake2b(talk.encode("utf-8", "replace"), digest_size=12).hexdigest()
