"""Sizes: how much Redis holds of ours, kind by kind; an estimate, for people and metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors

SAMPLE = 40
"""Keys of one kind that are weighed; the others are taken to weigh as much."""

PAGE = 1000


@dataclass(slots=True)
class Size:
    """Keys of one kind: how many there are, and about how many bytes they weigh, None when Redis does not tell."""

    kind: str
    keys: int = 0
    weight: int | None = None
    sample: list[bytes] = field(default_factory=list)

    def add(self, name: bytes) -> None:
        """Count one more key."""
        self.keys += 1
        if len(self.sample) < SAMPLE:
            self.sample.append(name)


async def sizes_of(redis: Redis, names: Namespace) -> list[Size]:
    """Every kind there is (the first word of a name), the heaviest first. Raises StateUnavailable."""
    found: dict[str, Size] = {}
    before = len(names.prefix)
    async with state_errors():
        async for name in redis.scan_iter(match=f"{names.prefix}*", count=PAGE):
            kind = name[before:].partition(b":")[0].decode()
            found.setdefault(kind, Size(kind)).add(name)
        for size in found.values():
            size.weight = await _weight(redis, size)
    return sorted(found.values(), key=lambda one: (-(one.weight or 0), one.kind))


async def _weight(redis: Redis, size: Size) -> int | None:
    async with redis.pipeline(transaction=False) as pipe:
        for name in size.sample:
            pipe.memory_usage(name)
        try:
            weights: Any = await pipe.execute()
        except ResponseError:  # a managed server that does not know the command, or forbids it
            return None
    known = [one for one in weights if one is not None]  # a key may vanish meanwhile
    return round(sum(known) / len(known) * size.keys) if known else 0
