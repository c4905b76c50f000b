"""Refused records: kept with their reason until they go through, somebody drops them, or their time is over.

`{prefix}refused` holds them by key, as the seal closes them, or by place where another of the key has to stay apart;
`{prefix}refused-at` says of each when it was tried last, and `{prefix}waiting` of those that go in by themselves later
when they came, so that nothing has to be opened to know what is too old and whose turn it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson
from redis.asyncio import Redis

from leadsync.errors import ConfigurationError, Remedy
from leadsync.merging import merged
from leadsync.records import UNKNOWN_SOURCE
from leadsync.sealing import PLAIN, Seal
from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors
from leadsync.state.refused_scripts import CHANGE_SAME, DROP_SAME, EXPIRE

DAY = 86_400

KEPT = 90.0 * DAY
"""Seconds after its last try for which a record is kept, where nobody says otherwise."""

SAMPLE = 10
"""Records by which it is told whether the right key is at hand."""

PUSHED = "push"
"""Where a pushed record comes from, in messages."""


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

    def holds(self, record: Mapping[str, Any] | None) -> bool:
        """Whether it says all that a pushed record says."""
        return record is None or (self.record is not None and merged(record, self.record) == self.record)


@dataclass(frozen=True, slots=True)
class Sealed(Refused):
    """One that nobody can read: the key that sealed it is not at hand. It stays as it is."""

    @classmethod
    def of(cls, key: str, at: float, error: ConfigurationError) -> Sealed:
        """What can be said of it; `error` says why it cannot be opened."""
        return cls(key, "", "", f"this record cannot be read: {error.what}", error.remedy, None, at, 0, error.do)

    def error(self) -> ConfigurationError:
        """For whoever needs what it says."""
        return ConfigurationError(self.reason, where=self.key, do=self.do)


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


def are_apart(known: Refused, one: Refused) -> bool:
    """Whether a record is not to be kept in the place of one with its key, nor as one with it.

    What a source gives and what is pushed go in by different ways, and a push that waits goes in by itself, whatever is
    wrong with another one of its talk.
    """
    if isinstance(known, Sealed):
        return True
    if known.since == one.since:
        return False  # the same, tried once more
    return is_pushed(known.place) != is_pushed(one.place) or known.waits != one.waits


def again(known: Refused, refused: Refused) -> Refused:
    """A record that is kept once more, with the tries of before; a push with what is kept of its talk already."""
    more = replace(refused, tries=known.tries + 1)
    if not (is_pushed(known.place) and is_pushed(refused.place) and known.record and refused.record):
        return more
    older, newer = sorted((known, refused), key=lambda one: one.since)
    return replace(more, record=merged(older.record or {}, newer.record or {}), came=newer.since)


def kept(one: Refused, known: Refused | None) -> Refused | None:
    """What is to be kept of a record; under its place where what has its key has to stay apart.

    Where one that nobody can read is in that place, too, its source still holds it; for a push ConfigurationError is
    raised.
    """
    if known is None:
        return one
    if are_apart(known, one) and one.key != one.place:
        return replace(one, key=one.place)
    if isinstance(known, Sealed):
        if is_pushed(one.place):
            raise known.error()
        return None
    return again(known, one)


class RefusedRecords:
    """The refused records of one account. One whose last try is `keep` seconds ago is there no more.

    One that cannot be opened, for its key is not at hand, is `Sealed` and stays as it is.
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
        """Keep records, counting the tries of those already here. Raises StateUnavailable, ConfigurationError.

        A push takes along what is kept of its talk already: a bot may push each message by itself.
        """
        await self._change(refused, kept)

    async def find(self, keys: Sequence[str]) -> dict[str, Refused]:
        """Those of `keys` that are refused. Raises StateUnavailable."""
        if not keys:
            return {}
        async with state_errors():
            raw: Any = await self._redis.hmget(self._name, list(keys))
        return {one.key: one for one in await self._opened(keys, raw)}

    async def all(self) -> list[Refused]:
        """Every refused record, the oldest first. Raises StateUnavailable."""
        async with state_errors():
            raw: Any = await self._redis.hgetall(self._name)
        return sorted(await self._opened([key.decode() for key in raw], list(raw.values())), key=lambda one: one.at)

    async def try_all_again(self, refused: Sequence[Refused]) -> None:
        """Let every item of these records be sent again, even one that amoCRM refused. Raises StateUnavailable."""

        def freed(one: Refused, known: Refused | None) -> Refused | None:
            if known is None or isinstance(known, Sealed):  # it went through meanwhile
                return None
            return replace(known, items=())

        await self._change(refused, freed)

    async def put_right(self, changes: Sequence[tuple[Refused, Refused]]) -> None:
        """Put records in the place of others, unless these have changed meanwhile. Raises StateUnavailable."""
        before = {one.key: one for one, _ in changes}

        def right(one: Refused, known: Refused | None) -> Refused | None:
            return one if known == before[one.key] else None

        await self._change([after for _, after in changes], right)

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

    async def drop_given(self, keys: Sequence[str]) -> None:
        """Forget those of these keys that a source gave; what was pushed stays. Raises StateUnavailable."""
        found = (await self.find(keys)).values()
        await self.drop([one.key for one in found if not (isinstance(one, Sealed) or is_pushed(one.place))])

    async def drop_older(self, times: Mapping[str, float]) -> None:
        """Forget those of these keys that came no later than at their times. Raises StateUnavailable."""
        if not times:
            return
        async with state_errors():
            raw: Any = await self._redis.hmget(self._name, list(times))
        stored = dict(zip(times, raw, strict=True))
        found = [one for one in await self._opened(list(times), raw) if not isinstance(one, Sealed)]
        parts = [part for one in found if one.since <= times[one.key] for part in (one.key, stored[one.key])]
        if parts:
            async with state_errors():
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
        """Open some of them. Raises ConfigurationError when the keys of none are at hand, StateUnavailable."""
        async with state_errors():
            found: Any = await self._redis.hrandfield(self._name, SAMPLE, withvalues=True)
        wrong = None
        for raw in found[1::2]:
            try:
                self._seal.open(raw)
            except ConfigurationError as error:
                wrong = error
            else:
                return
        if wrong is not None:
            raise wrong

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

    async def _opened(self, keys: Sequence[str], raw: Sequence[bytes | None]) -> list[Refused]:
        """What is stored under these keys, as far as it can be read and its time is not over."""
        found, closed = list[Refused](), dict[str, ConfigurationError]()
        for key, stored in zip(keys, raw, strict=True):
            try:
                found += [restored(self._seal.open(stored))] if stored else []
            except ConfigurationError as error:
                closed[key] = error
        if closed:
            async with state_errors():
                times: Any = await self._redis.zmscore(self._times, list(closed))
            found += [
                Sealed.of(key, self._clock() if at is None else at, error)
                for (key, error), at in zip(closed.items(), times, strict=True)
            ]
        return [one for one in found if one.at > self._until]

    async def _change(self, refused: Sequence[Refused], change: Change) -> None:
        """Store what becomes of these and what is kept under their keys; what somebody else has changed meanwhile is
        looked at again, so that nobody's word is lost, and so is what has to be kept under another key."""
        left, closed = list(refused), None
        while left:
            turn = {one.key: one for one in reversed(left)}
            left = [one for one in left if turn[one.key] is not one]
            async with state_errors():
                raw: Any = await self._redis.hmget(self._name, list(turn))
            opened = {one.key: one for one in await self._opened(list(turn), raw)}
            rows: list[Any] = []
            for one, stored in zip(turn.values(), raw, strict=True):
                try:
                    now = change(one, opened.get(one.key))
                except ConfigurationError as error:
                    now, closed = None, error
                if now is not None and now.key != one.key:
                    left.append(now)
                elif now is not None:
                    sealed = self._seal.close(orjson.dumps(asdict(now), default=str))
                    rows += [now.key, stored or b"", sealed, now.at, now.since if now.waits else ""]
            late: Any = ()
            if rows:
                async with state_errors():
                    late = await self._redis.eval(CHANGE_SAME, 3, self._name, self._times, self._waiting, *rows)
            left += [turn[one.decode()] for one in late]
        if closed is not None:
            raise closed

    async def _learn_times(self) -> None:
        """Read the times of records that were kept when nobody wrote them down."""
        async with state_errors(), self._redis.pipeline(transaction=True) as pipe:
            pipe.hlen(self._name)
            pipe.zcard(self._times)
            stored, timed = await pipe.execute()
            if stored == timed:
                return
            raw: Any = await self._redis.hgetall(self._name)
        times: dict[Any, float] = {key: self._time_in(one) for key, one in raw.items()}
        async with state_errors(), self._redis.pipeline(transaction=True) as pipe:
            pipe.unlink(self._times)
            if times:
                pipe.zadd(self._times, times)
            await pipe.execute()

    def _time_in(self, stored: bytes) -> float:
        """When it was tried last; now for one that cannot be read."""
        try:
            return restored(self._seal.open(stored)).at
        except ConfigurationError:
            return self._clock()
