"""Keyspace notifications: Redis tells which keys were written to, where `notify-keyspace-events` is switched on.

They are sent once and kept for nobody (redis.io/docs: keyspace-notifications), so they wake whoever waits and replace
no look at all keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from leadsync.tasks import end_tasks

MOST_KEYS = 10_000
"""Keys that are remembered; where more are written to before anybody looks, all are looked at."""

GATHER = 0.05
"""Seconds in which the writes of one bot gather: a hash and its messages are written one after the other."""

QUIET = 5.0
"""Seconds for which one question for a message waits: below every time-out of a connection."""

_NEEDED = frozenset("gl$h")
"""The kinds of events that tell of talks: of any key, of lists, of texts, of hashes."""


class KeyChanges:
    """The keys of some globs that were written to. Use as an async context manager; what it does raises RedisError.

    `reliable`: Redis is known to tell.
    """

    def __init__(self, redis: Redis, globs: Sequence[str]) -> None:
        self._redis = redis
        database = redis.connection_pool.connection_kwargs.get("db") or 0
        self._before = f"__keyspace@{database}__:".encode()
        self._globs = [self._before + glob.encode() for glob in globs]
        self._pubsub = redis.pubsub(ignore_subscribe_messages=True)
        self._listener: asyncio.Task[None] | None = None
        self._keys: set[bytes] = set()
        self._came = asyncio.Event()
        self.reliable = False

    async def __aenter__(self) -> Self:
        self.reliable = await self._is_told()
        await self._pubsub.psubscribe(*self._globs)
        self._listener = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._listener is not None:
            await end_tasks([self._listener])
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]

    async def wait(self, seconds: float) -> set[bytes] | None:
        """The keys written to since the last time, as soon as there are any; None: too many to remember."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._came.wait()
                await asyncio.sleep(GATHER)
        if self._listener is not None and self._listener.done():
            self._listener.result()  # raises what ended it
        keys, self._keys = self._keys, set()
        self._came.clear()
        return keys if len(keys) < MOST_KEYS else None

    async def _listen(self) -> None:
        try:
            while True:
                message: Any = await self._pubsub.get_message(timeout=QUIET)
                if message is not None:
                    self.reliable = True
                    if len(self._keys) < MOST_KEYS:
                        self._keys.add(message["channel"].removeprefix(self._before))
                    self._came.set()
        finally:
            self._came.set()

    async def _is_told(self) -> bool:
        """Whether the server says that it tells; one that does not let us ask (a hosted one) shows it by telling."""
        try:
            found: Any = await self._redis.config_get("notify-keyspace-events")
        except ResponseError:
            return False
        said = next(iter(found.values()), "")
        flags = frozenset(said.decode() if isinstance(said, bytes) else said)
        return "K" in flags and ("A" in flags or flags >= _NEEDED)
