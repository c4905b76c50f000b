"""Refused records: kept with their reason until they go through, somebody drops them, or their time is over.

`{prefix}refused` holds them by key, as the seal closes them; `{prefix}refused-at` says of each key when it was tried
last, and `{prefix}waiting` of those that go in by themselves later when they came, so that nothing has to be opened to
know what is too old and whose turn it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson
from redis.asyncio import Redis

from leadsync.errors import Remedy
from leadsync.merging import merged
from leadsync.records import UNKNOWN_SOURCE
from leadsync.sealing import PLAIN, Seal
from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors

DAY = 86_400

KEPT = 90.0 * DAY
"""Seconds after its last try for which a record is kept, where nobody says otherwise."""

PUSHED = "push"
"""Where a pushed record comes from, in messages."""

# KEYS: the records, their times, those that wait. ARGV: the time up to which they go. Answers how many went.
EXPIRE = """
local old = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1])
local gone = 0
for _, key in ipairs(old) do
  gone = gone + redis.call('HDEL', KEYS[1], key)
  redis.call('ZREM', KEYS[2], key)
  redis.call('ZREM', KEYS[3], key)
end
return gone
"""

# KEYS: as above. ARGV: keys, each with what is stored there: one that holds something else by now stays.
DROP_SAME = """
for index = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[index]) == ARGV[index + 1] then
    redis.call('HDEL', KEYS[1], ARGV[index])
    redis.call('ZREM', KEYS[2], ARGV[index])
    redis.call('ZREM', KEYS[3], ARGV[index])
  end
end
"""


# KEYS: as above. ARGV: rows of five: a key, what was found there (empty for nothing), what is to stand there, when it
# was tried last, and when it came where it waits (empty where it does not). Answers the keys that hold something else.
CHANGE_SAME = """
local late = {}
for index = 1, #ARGV, 5 do
  local key = ARGV[index]
  if (redis.call('HGET', KEYS[1], key) or '') ~= ARGV[index + 1] then
    late[#late + 1] = key
  else
    redis.call('HSET', KEYS[1], key, ARGV[index + 2])
    redis.call('ZADD', KEYS[2], ARGV[index + 3], key)
    if ARGV[index + 4] == '' then
      redis.call('ZREM', KEYS[3], key)
    else
      redis.call('ZADD', KEYS[3], ARGV[index + 4], key)
    end
  end
end
return late
"""


@dataclass(frozen=True, slots=True)
class RefusedItem:
    """One item that amoCRM refused; `sent` is a digest of it, so that the same item is not sent again in vain."""

    request_id: str
    sent: str
    reason: str
    field: str | None
    answer: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """One refused record. `place` is where its source found it, `where` the place in the mapping that
    asked for it, `at` unix seconds of the last try.

    `payload` is the item amoCRM refused, `request` the call that carried it and `answer` what it said, when it came
    that far; `items` are those that need not be sent again as they are. `record` is the record itself, where it could
    be read: a pushed one is tried again from here, for no source holds it. `came` is when it was pushed or read (unix
    seconds), None for one that was kept when nobody wrote that down.
    """

    key: str
    source: str
    place: str
    reason: str
    remedy: str
    field: str | None
    at: float
    tries: int = 1
    do: str | None = None
    where: str | None = None
    request: str | None = None
    payload: Mapping[str, Any] | None = None
    answer: Mapping[str, Any] | None = None
    record: Mapping[str, Any] | None = None
    items: Sequence[RefusedItem] = ()
    came: float | None = None

    @property
    def since(self) -> float:
        """When it came, as far as that is known (unix seconds)."""
        return self.at if self.came is None else self.came

    @property
    def waits(self) -> bool:
        """Whether it goes in by itself later: it was pushed, and neither it nor its mapping is at fault."""
        is_answered = self.request is not None and self.remedy != Remedy.WAIT  # amoCRM does not want this item
        held_back = not Remedy(self.remedy).blames_record and not is_answered
        return held_back and is_pushed(self.place) and self.record is not None


Change = Callable[[Refused, Refused | None], Refused | None]
"""What is to be kept of a record, given what is kept under its key; None: nothing changes."""


def is_pushed(place: str) -> bool:
    """Whether a record with this place was pushed: no source holds it."""
    return place.startswith(f"{PUSHED}:")


def pushed_place(source: object, record_id: object) -> str:
    """Where a pushed record is, for people; one that could not be read is kept under this name."""
    return f"{PUSHED}:{source or UNKNOWN_SOURCE}:{record_id}"


def restored(plain: bytes) -> Refused:
    """A record from its JSON."""
    data = orjson.loads(plain)
    return Refused(**data | {"items": [RefusedItem(**one) for one in data["items"]]})


def again(known: Refused, refused: Refused) -> Refused:
    """A record that is kept once more, with the tries of before, and with what had to wait already.

    What came before something that waits is not kept in its place: as if it had been refused first.
    """
    more = replace(refused, tries=known.tries + 1)
    if not (known.waits and known.record and refused.record):
        return more
    if known.since > refused.since and not refused.waits:
        return replace(known, tries=more.tries)
    older, newer = sorted((known, refused), key=lambda one: one.since)
    return replace(more, record=merged(older.record or {}, newer.record or {}), came=newer.since)


class RefusedRecords:
    """The refused records of one account. One whose last try is `keep` seconds ago is there no more.

    What is sealed with a key that is not at hand raises ConfigurationError.
    """

    def __init__(
        self,
        redis: Redis,
        names: Namespace,
        seal: Seal = PLAIN,
        keep: float = KEPT,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._redis = redis
        self._name = names.name("refused")
        self._times = names.name("refused-at")
        self._waiting = names.name("waiting")
        self._seal = seal
        self._keep = keep
        self._clock = clock

    async def keep(self, refused: Sequence[Refused]) -> None:
        """Keep records, counting the tries of those already here. Raises StateUnavailable.

        A record that waits takes along what waits under its key already: a bot may push each message by itself.
        """

        def kept(one: Refused, known: Refused | None) -> Refused:
            return one if known is None else again(known, one)

        await self._change(refused, kept)

    async def find(self, keys: Sequence[str]) -> dict[str, Refused]:
        """Those of `keys` that are refused. Raises StateUnavailable."""
        if not keys:
            return {}
        async with state_errors():
            raw: Any = await self._redis.hmget(self._name, list(keys))
        return {one.key: one for one in self._opened(raw)}

    async def all(self) -> list[Refused]:
        """Every refused record, the oldest first. Raises StateUnavailable."""
        async with state_errors():
            raw: Any = await self._redis.hgetall(self._name)
        return sorted(self._opened(raw.values()), key=lambda one: one.at)

    async def try_all_again(self, refused: Sequence[Refused]) -> None:
        """Let every item of these records be sent again, even one that amoCRM refused. Raises StateUnavailable."""

        def freed(one: Refused, known: Refused | None) -> Refused | None:
            return None if known is None else replace(known, items=())  # else it went through meanwhile

        await self._change(refused, freed)

    async def drop(self, keys: Sequence[str]) -> int:
        """Forget records that went through or are given up; how many there were. Raises StateUnavailable."""
        if not keys:
            return 0
        async with state_errors(), self._redis.pipeline(transaction=True) as pipe:
            pipe.hdel(self._name, *keys)
            pipe.zrem(self._times, *keys)
            pipe.zrem(self._waiting, *keys)
            dropped, *_ = await pipe.execute()
        return int(dropped)

    async def drop_older(self, times: Mapping[str, float]) -> None:
        """Forget those of these keys that came no later than at their times. Raises StateUnavailable."""
        if not times:
            return
        async with state_errors():
            raw: Any = await self._redis.hmget(self._name, list(times))
        pairs = [(key, one) for key, one in zip(times, raw, strict=True) if one]
        older = [pair for pair in pairs if restored(self._seal.open(pair[1])).since <= times[pair[0]]]
        if older:
            async with state_errors():
                parts = [part for pair in older for part in pair]
                await self._redis.eval(DROP_SAME, 3, self._name, self._times, self._waiting, *parts)

    async def waiting(self, most: int) -> list[str]:
        """The keys of those that go in by themselves, the oldest first. Raises StateUnavailable."""
        async with state_errors():
            found: Any = await self._redis.zrange(self._waiting, 0, most - 1)
        return [one.decode() for one in found]

    async def count_waiting(self) -> int:
        """How many go in by themselves. Raises StateUnavailable."""
        async with state_errors():
            return int(await self._redis.zcard(self._waiting))

    async def drop_all(self) -> int:
        """Forget all of them, also those that nobody can read; how many there were. Raises StateUnavailable."""
        async with state_errors(), self._redis.pipeline(transaction=True) as pipe:
            pipe.hlen(self._name)
            pipe.unlink(self._name, self._times, self._waiting)
            dropped, _ = await pipe.execute()
        return int(dropped)

    async def expire(self) -> int:
        """Forget those whose time is over; how many there were. Raises StateUnavailable."""
        await self._learn_times()
        async with state_errors():
            return int(await self._redis.eval(EXPIRE, 3, self._name, self._times, self._waiting, self._until))

    async def expired_warnings(self) -> list[str]:
        """Forget those whose time is over, and say how many there were, if any. Raises StateUnavailable."""
        gone = await self.expire()
        if not gone:
            return []
        days = f"{self._keep / DAY:g} days"
        one = "refused record was" if gone == 1 else "refused records were"
        return [f"{gone} {one} dropped: the last try was more than {days} ago (redis.keep_refused)"]

    async def check(self) -> None:
        """Open one of them. Raises ConfigurationError when the key that sealed it is not at hand, StateUnavailable."""
        async with state_errors():
            found: Any = await self._redis.hrandfield(self._name, 1, withvalues=True)
        for raw in found[1:2]:
            self._seal.open(raw)

    async def count(self) -> int:
        """How many are kept. Raises StateUnavailable."""
        async with state_errors(), self._redis.pipeline(transaction=True) as pipe:
            pipe.hlen(self._name)
            pipe.zcount(self._times, "-inf", self._until)
            stored, old = await pipe.execute()
        return int(stored) - int(old)

    async def oldest(self) -> float | None:
        """When the one that waits longest was tried last (unix seconds). Raises StateUnavailable."""
        await self._learn_times()
        async with state_errors():
            found: Any = await self._redis.zrangebyscore(
                self._times, f"({self._until}", "+inf", start=0, num=1, withscores=True
            )
        return float(found[0][1]) if found else None

    @property
    def _until(self) -> float:
        """The time of a last try that is over."""
        return self._clock() - self._keep

    def _opened(self, raw: Iterable[bytes | None]) -> list[Refused]:
        found = [restored(self._seal.open(one)) for one in raw if one]
        return [one for one in found if one.at > self._until]

    async def _change(self, refused: Sequence[Refused], change: Change) -> None:
        """Store what becomes of these and what is kept under their keys; what somebody else has changed meanwhile is
        looked at again, so that nobody's word is lost."""
        left = {one.key: one for one in refused}
        while left:
            async with state_errors():
                found: Any = await self._redis.hmget(self._name, list(left))
            rows: list[Any] = []
            for one, raw in zip(left.values(), found, strict=True):
                now = change(one, next(iter(self._opened([raw])), None))
                if now is not None:
                    sealed = self._seal.close(orjson.dumps(asdict(now), default=str))
                    rows += [now.key, raw or b"", sealed, now.at, now.since if now.waits else ""]
            if not rows:
                return
            async with state_errors():
                late: Any = await self._redis.eval(CHANGE_SAME, 3, self._name, self._times, self._waiting, *rows)
            left = {key: left[key] for key in (one.decode() for one in late)}

    async def _learn_times(self) -> None:
        """Read the times of records that were kept when nobody wrote them down."""
        async with state_errors(), self._redis.pipeline(transaction=True) as pipe:
            pipe.hlen(self._name)
            pipe.zcard(self._times)
            stored, timed = await pipe.execute()
            if stored == timed:
                return
            raw: Any = await self._redis.hgetall(self._name)
        times: dict[Any, float] = {key: restored(self._seal.open(one)).at for key, one in raw.items()}
        async with state_errors(), self._redis.pipeline(transaction=True) as pipe:
            pipe.unlink(self._times)
            if times:
                pipe.zadd(self._times, times)
            await pipe.execute()
