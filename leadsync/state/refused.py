"""Refused records: kept with their reason until they go through, somebody drops them, or their time is over.

`{prefix}refused` holds them by key, as the seal closes them; `{prefix}refused-at` says of each key when it was tried
last, so that nothing has to be opened to know what is too old.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson
from redis.asyncio import Redis

from leadsync.sealing import PLAIN, Seal
from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors

DAY = 86_400

KEPT = 90.0 * DAY
"""Seconds after its last try for which a record is kept, where nobody says otherwise."""

# KEYS: the records, their times. ARGV: the time up to which they go. Answers how many went.
EXPIRE = """
local old = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1])
local gone = 0
for _, key in ipairs(old) do
  gone = gone + redis.call('HDEL', KEYS[1], key)
  redis.call('ZREM', KEYS[2], key)
end
return gone
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
    be read: a pushed one is tried again from here, for no source holds it.
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


def restored(plain: bytes) -> Refused:
    """A record from its JSON."""
    data = orjson.loads(plain)
    return Refused(**data | {"items": [RefusedItem(**one) for one in data["items"]]})


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
        self._seal = seal
        self._keep = keep
        self._clock = clock

    async def keep(self, refused: Sequence[Refused]) -> None:
        """Keep records, counting the tries of those already here. Raises StateUnavailable."""
        if not refused:
            return
        known = await self.find([one.key for one in refused])
        again = {one.key: known[one.key].tries + 1 for one in refused if one.key in known}
        await self._store([replace(one, tries=again.get(one.key, one.tries)) for one in refused])

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
        if refused:
            await self._store([replace(one, items=()) for one in refused])

    async def drop(self, keys: Sequence[str]) -> int:
        """Forget records that went through or are given up; how many there were. Raises StateUnavailable."""
        if not keys:
            return 0
        async with state_errors(), self._redis.pipeline(transaction=True) as pipe:
            pipe.hdel(self._name, *keys)
            pipe.zrem(self._times, *keys)
            dropped, _ = await pipe.execute()
        return int(dropped)

    async def drop_all(self) -> int:
        """Forget all of them, also those that nobody can read; how many there were. Raises StateUnavailable."""
        async with state_errors(), self._redis.pipeline(transaction=True) as pipe:
            pipe.hlen(self._name)
            pipe.unlink(self._name, self._times)
            dropped, _ = await pipe.execute()
        return int(dropped)

    async def expire(self) -> int:
        """Forget those whose time is over; how many there were. Raises StateUnavailable."""
        await self._learn_times()
        async with state_errors():
            return int(await self._redis.eval(EXPIRE, 2, self._name, self._times, self._until))

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

    async def _store(self, refused: Sequence[Refused]) -> None:
        rows: dict[Any, Any] = {one.key: self._seal.close(orjson.dumps(asdict(one), default=str)) for one in refused}
        async with state_errors(), self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(self._name, mapping=rows)
            pipe.zadd(self._times, {one.key: one.at for one in refused})
            await pipe.execute()

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
