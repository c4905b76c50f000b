"""redis-dialogs: talks as bots keep them in Redis, as texts, hashes or lists of messages; found by SCAN, never KEYS."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

from pydantic import Field, field_validator
from redis.exceptions import ResponseError

from leadsync.sources.base import SHARE, RawRecord, Source, SourceContext, SourceOptions
from leadsync.sources.key_pattern import KeyPattern
from leadsync.sources.keyspace import KeyChanges
from leadsync.sources.redis_access import open_own, source_errors
from leadsync.sources.scanned import Scanned
from leadsync.sources.stored_dialogs import DialogReader, StoredHash, StoredList, StoredText, Unstored

_KEY = "{key}"
_OURS = b"leadsync:{"
"""How every key of our own memory begins (state.namespace): a wide glob such as `*` finds them too."""

RIGHTS = "SCAN and read"

WINDOW = 20_000
"""Keys that are sorted together: about two megabytes of them."""

SWEEP = 60.0
"""Seconds between two looks at all keys where Redis tells which ones change: it tells nobody who is away just then."""


class RedisDialogsOptions(SourceOptions):
    """What leadsync.yaml may say about talks in Redis."""

    match: str = Field(
        "dialog:*", min_length=1, description="glob of the keys; what its `*` matches is the record's id"
    )
    messages_key: str = Field("{key}:messages", description="where the messages of a hash lie; {key} is the hash's key")
    url: str | None = Field(None, description="a Redis of its own: redis://, rediss:// or unix://; else the project's")
    source: str | None = Field(None, min_length=1, description="the `source` of records that name none")
    order: Literal["auto", "oldest", "newest"] = Field(
        "auto", description="what stands first in a list of messages; auto knows LangChain's newest-first histories"
    )
    batch: int = Field(500, ge=1, le=10_000, description="keys read at once")

    @field_validator("messages_key")
    @classmethod
    def _has_key(cls, pattern: str) -> str:
        if pattern.count(_KEY) != 1 or pattern == _KEY:
            raise ValueError("write {key} once in it, and something beside: {key}:messages")
        return pattern


@dataclass(frozen=True, slots=True)
class _Found:
    """A key, its type, and its value as Redis gave it."""

    key: bytes
    type: bytes
    value: Any = None
    messages: Sequence[bytes] = ()


class RedisDialogs(Source):
    """Every key that matches the glob is one record.

    The record's id is what the glob's `*` matched; with two stars the first one is the source (see KeyPattern). A
    record without a source gets the option `source`, or the name this source has in leadsync.yaml. Keys that vanish
    while they are read are left out, and so is leadsync's own memory (`leadsync:{…}:…`); a key of another type, or one
    that cannot be decoded, is a refused record.
    """

    Options: ClassVar[type[SourceOptions]] = RedisDialogsOptions
    options: RedisDialogsOptions

    def __init__(self, name: str, options: RedisDialogsOptions, context: SourceContext) -> None:
        super().__init__(name, options, context)
        self._own = None if options.url is None else open_own(options.url, name)
        self._redis = self._own or context.redis
        self._reader = DialogReader(KeyPattern.of(options.match), context.zone, options.source or name, options.order)
        before, _, after = options.messages_key.encode().partition(_KEY.encode())
        self._messages_before, self._messages_after = before, after

    async def raw_records(self) -> AsyncIterator[RawRecord]:
        """Every record there is now; SCAN's repetitions are dropped. Raises StateUnavailable."""
        async for page in self.raw_pages():
            for raw in page:
                yield raw

    async def raw_pages(self) -> AsyncIterator[Sequence[RawRecord]]:
        """The same by the page. Raises StateUnavailable."""
        with source_errors(self.name, RIGHTS):
            async for keys in self._pages():
                yield await self._found(keys)

    async def changed(self, poll: float) -> AsyncGenerator[Sequence[RawRecord], None]:
        """All there are, then those that Redis tells were written to, and all again now and then.

        Where Redis tells nothing, all are looked through every `poll` seconds. Raises StateUnavailable.
        """
        with source_errors(self.name, RIGHTS):
            async with KeyChanges(self._redis, self._globs()) as changes:
                while True:
                    began = time.monotonic()
                    async for page in self.raw_pages():
                        yield page
                    pause = max(poll, SHARE * (time.monotonic() - began))
                    async for page in self._told(changes, pause):
                        yield page

    async def _told(self, changes: KeyChanges, pause: float) -> AsyncIterator[Sequence[RawRecord]]:
        """What changes until it is time to look at all keys again."""
        since = time.monotonic()
        while (left := since + (max(pause, SWEEP) if changes.reliable else pause) - time.monotonic()) > 0:
            keys = await changes.wait(min(left, pause))
            if keys is None:
                return
            told = sorted(self._meant(keys))
            for at in range(0, len(told), self.options.batch):
                yield await self._found(told[at : at + self.options.batch])

    async def again(self, places: Sequence[str]) -> Sequence[RawRecord]:
        """What these keys hold now. Raises StateUnavailable."""
        with source_errors(self.name, RIGHTS):
            return await self._found([one.encode() for one in places])

    def _globs(self) -> list[str]:
        """What the keys of talks look like, and those of the messages of hashes."""
        match = self.options.match
        return list(dict.fromkeys([match, self.options.messages_key.replace(_KEY, match)]))

    def _meant(self, keys: Iterable[bytes]) -> set[bytes]:
        """The talks that a write to these keys may have changed."""
        owners = {owner for key in keys if (owner := self._owner_of(key)) is not None}
        return {key for key in {*keys, *owners} if self._reader.pattern.has(key) and not key.startswith(_OURS)}

    async def _found(self, keys: Sequence[bytes]) -> Sequence[RawRecord]:
        """What these keys hold; nothing of those that have vanished."""
        values: Any = await self._redis.mget(keys) if keys else []
        texts = [StoredText(self._reader, key, one) for key, one in zip(keys, values, strict=True) if one is not None]
        others = [key for key, one in zip(keys, values, strict=True) if one is None]
        return [*texts, *map(self._raw_record, await self._read(others))] if others else texts

    async def aclose(self) -> None:
        """Close the connection of the option `url`."""
        if self._own is not None:
            await self._own.aclose()

    async def _pages(self) -> AsyncIterator[list[bytes]]:
        """Pages of keys, each key once and none of our own memory's, sorted where they are no more than WINDOW.

        SCAN's order changes whenever Redis restarts, or grows while it works, and of talks that share a person the
        first one makes the contact: a plan and the run after it are to agree.
        """
        async for keys in self._windows():
            keys.sort()
            for at in range(0, len(keys), self.options.batch):
                yield keys[at : at + self.options.batch]

    async def _windows(self) -> AsyncIterator[list[bytes]]:
        scanned, cursor, window = Scanned(), 0, list[bytes]()
        while True:
            cursor, keys = await self._redis.scan(cursor, match=self.options.match, count=self.options.batch)
            window += scanned.fresh(key for key in cast(list[bytes], keys) if not key.startswith(_OURS))
            if not cursor or len(window) >= WINDOW:
                yield window
                window = []
            if not cursor:
                return

    async def _read(self, keys: Sequence[bytes]) -> list[_Found]:
        """The values of keys that hold no text, in two round trips: types, then values."""
        typed = await self._typed(keys)
        pipe = self._redis.pipeline(transaction=False)
        for found in typed:
            _ask(pipe, found, self._messages_of(found.key))
        answers = iter(await pipe.execute(raise_on_error=False))
        return [read for found in typed if (read := _answered(found, answers)) is not None]

    async def _typed(self, keys: Sequence[bytes]) -> list[_Found]:
        """The keys that are records, with their types: not those that hold the messages of a hash."""
        owners = {key: owner for key in keys if (owner := self._owner_of(key)) is not None}
        pipe = self._redis.pipeline(transaction=False)
        for key in [*keys, *owners.values()]:
            pipe.type(key)
        types = await pipe.execute()
        owner_types = dict(zip(owners, types[len(keys) :], strict=True))
        return [
            _Found(key, type)
            for key, type in zip(keys, types[: len(keys)], strict=True)
            if type != b"none" and not (type == b"list" and owner_types.get(key) == b"hash")
        ]

    def _messages_of(self, key: bytes) -> bytes:
        return self._messages_before + key + self._messages_after

    def _owner_of(self, key: bytes) -> bytes | None:
        """The key whose messages would lie here, if the name has that shape."""
        before, after = self._messages_before, self._messages_after
        if not key.startswith(before) or not key.endswith(after) or len(key) <= len(before) + len(after):
            return None
        return key[len(before) : len(key) - len(after)]

    def _raw_record(self, found: _Found) -> RawRecord:
        if isinstance(found.value, ResponseError):
            return Unstored(found.key, "the key changed its type while it was read", "run again")
        if found.type == b"string":
            return StoredText(self._reader, found.key, found.value)
        if found.type == b"hash":
            return StoredHash(self._reader, found.key, found.value, found.messages)
        if found.type == b"list":
            return StoredList(self._reader, found.key, found.value)
        kind = found.type.decode(errors="replace")
        do = "keep a talk as a string (JSON), a hash or a list, or choose a `match` that leaves the key out"
        return Unstored(found.key, f"a key of the type {kind} is no talk", do)


def _ask(pipe: Any, found: _Found, messages_key: bytes) -> None:
    if found.type == b"string":
        pipe.get(found.key)
    elif found.type == b"list":
        pipe.lrange(found.key, 0, -1)
    elif found.type == b"hash":
        pipe.hgetall(found.key)
        pipe.lrange(messages_key, 0, -1)


def _answered(found: _Found, answers: Iterator[Any]) -> _Found | None:
    """The key with its value; None when it has vanished."""
    if found.type not in (b"string", b"list", b"hash"):
        return found
    value = next(answers)
    messages: Iterable[bytes] | ResponseError = next(answers) if found.type == b"hash" else ()
    if isinstance(messages, ResponseError):
        messages = ()  # something else lies at that key: the hash's own field counts
    vanished = value is None or value in ({}, [])
    return None if vanished else _Found(found.key, found.type, value, tuple(messages))
