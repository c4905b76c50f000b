"""Stored: everything under our prefix in Redis, whatever its type, piece by piece."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors

PAGE = 1000


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a Redis key: `field` is what removes it (None: the whole key), `values` are what it says."""

    name: str
    type: str
    field: bytes | None
    values: tuple[bytes, ...]


async def names_of(redis: Redis, names: Namespace, pattern: str = "*") -> AsyncIterator[list[str]]:
    """The full names of our keys that match, by the page. Raises StateUnavailable."""
    cursor = 0
    while True:
        async with state_errors():
            answer: Any = await redis.scan(cursor, match=names.prefix + pattern, count=PAGE)
        cursor, found = answer
        if found:
            yield sorted({one.decode() for one in found})
        if not cursor:
            return


async def pieces_of(redis: Redis, name: str) -> AsyncIterator[Piece]:
    """The pieces of one key; none of one that has vanished. Raises StateUnavailable."""
    async with state_errors():
        answer: Any = await redis.type(name)
        kind = answer.decode()
        if kind == "string":
            value: Any = await redis.get(name)
            if value is not None:
                yield Piece(name, kind, None, (value,))
        elif kind == "hash":
            async for field, value in redis.hscan_iter(name, count=PAGE):
                yield Piece(name, kind, field, (field, value))
        elif kind == "set":
            async for one in redis.sscan_iter(name, count=PAGE):
                yield Piece(name, kind, one, (one,))
        elif kind == "zset":
            async for one, _ in redis.zscan_iter(name, count=PAGE):
                yield Piece(name, kind, one, (one,))
        elif kind == "list":
            values: Any = await redis.lrange(name, 0, -1)
            for one in values:
                yield Piece(name, kind, one, (one,))
        elif kind == "stream":
            async for piece in _of_stream(redis, name):
                yield piece


async def _of_stream(redis: Redis, name: str) -> AsyncIterator[Piece]:
    after = "-"
    while True:
        entries: Any = await redis.xrange(name, after, count=PAGE)
        for entry_id, fields in entries:
            yield Piece(name, "stream", entry_id, tuple(part for pair in fields.items() for part in pair))
        if len(entries) < PAGE:
            return
        after = f"({entries[-1][0].decode()}"
