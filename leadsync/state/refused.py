"""Refused records: kept with their reason until they go through or somebody drops them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from redis.asyncio import Redis

from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors


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


def _restored(raw: bytes) -> Refused:
    data = orjson.loads(raw)
    return Refused(**data | {"items": [RefusedItem(**one) for one in data["items"]]})


class RefusedRecords:
    """The refused records of one account."""

    def __init__(self, redis: Redis, names: Namespace) -> None:
        self._redis = redis
        self._name = names.name("refused")

    async def keep(self, refused: Sequence[Refused]) -> None:
        """Keep records, counting the tries of those already here. Raises StateUnavailable."""
        if not refused:
            return
        known = await self.find([one.key for one in refused])
        rows: dict[Any, Any] = {}
        for one in refused:
            before = known.get(one.key)
            tries = before.tries + 1 if before else one.tries
            rows[one.key] = orjson.dumps(asdict(one) | {"tries": tries}, default=str)
        async with state_errors():
            await self._redis.hset(self._name, mapping=rows)

    async def find(self, keys: Sequence[str]) -> dict[str, Refused]:
        """Those of `keys` that are refused. Raises StateUnavailable."""
        if not keys:
            return {}
        async with state_errors():
            found: Any = await self._redis.hmget(self._name, list(keys))
        return {key: _restored(raw) for key, raw in zip(keys, found, strict=True) if raw}

    async def all(self) -> list[Refused]:
        """Every refused record, the oldest first. Raises StateUnavailable."""
        async with state_errors():
            raw: Any = await self._redis.hgetall(self._name)
        return sorted((_restored(one) for one in raw.values()), key=lambda one: one.at)

    async def try_all_again(self, refused: Sequence[Refused]) -> None:
        """Let every item of these records be sent again, even one that amoCRM refused. Raises StateUnavailable."""
        if refused:
            rows: dict[Any, Any] = {one.key: orjson.dumps(asdict(one) | {"items": []}) for one in refused}
            async with state_errors():
                await self._redis.hset(self._name, mapping=rows)

    async def drop(self, keys: Sequence[str]) -> int:
        """Forget records that went through or are given up; how many there were. Raises StateUnavailable."""
        if not keys:
            return 0
        async with state_errors():
            return int(await self._redis.hdel(self._name, *keys))

    async def count(self) -> int:
        """How many are kept. Raises StateUnavailable."""
        async with state_errors():
            return int(await self._redis.hlen(self._name))
