"""One request as the routes see it, and the log of all of them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson

KEPT = 5_000


@dataclass(slots=True)
class Call:
    """A request that was read whole. `user_id` is who the token belongs to, 0 outside the API.

    `ignore_filters` and `search_lag` (seconds) are set by faults that bend reading, `largest_page` by a switch.
    """

    method: str
    path: str
    base: str
    raw_query: str
    headers: dict[str, str]
    body: bytes
    client: str = ""
    user_id: int = 0
    parts: dict[str, Any] = field(default_factory=dict)
    ignore_filters: bool = False
    search_lag: float = 0.0
    largest_page: int = 250
    query: list[tuple[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        self.query = parse_qsl(self.raw_query, keep_blank_values=True)

    def param(self, name: str, default: str = "") -> str:
        """The last value of a query parameter."""
        return next((value for key, value in reversed(self.query) if key == name), default)

    def wanted(self, name: str = "with") -> set[str]:
        """The words of a comma-separated parameter."""
        return {word.strip() for word in self.param(name).split(",") if word.strip()}

    @property
    def url(self) -> str:
        """The address without its query."""
        return self.base + self.path


@dataclass(slots=True)
class Logged:
    """One request that came in. `status` is None when the connection was dropped; `fault` names the rule's kind.

    `applied` tells whether anything in the account changed; `at` is Unix seconds, `tick` the monotonic clock's: when it
    came, where the kernel has `noted` that, else when it was read.
    """

    number: int
    method: str
    path: str
    query: str
    raw_body: bytes
    at: float = field(default_factory=time.time)
    tick: float = field(default_factory=time.monotonic)
    status: int | None = None
    applied: bool = False
    fault: str | None = None
    noted: bool = False

    @property
    def body(self) -> Any:
        """The JSON that was sent; the text when it is no JSON; None without a body."""
        if not self.raw_body:
            return None
        try:
            return orjson.loads(self.raw_body)
        except orjson.JSONDecodeError:
            return self.raw_body.decode("utf-8", "replace")

    def shown(self) -> dict[str, Any]:
        """The entry as `GET /_sandbox/requests` shows it."""
        keys = ("number", "method", "path", "query", "at", "tick", "status", "applied", "fault", "body")
        return {key: getattr(self, key) for key in keys}


class RequestLog:
    """The last requests, oldest first, and how many there were of each kind. Control routes are not in it."""

    def __init__(self) -> None:
        self._entries: deque[Logged] = deque(maxlen=KEPT)
        self.counts: Counter[str] = Counter()
        self.total = 0
        self._came = asyncio.Event()

    def open(self, call: Call, came: float | None = None) -> Logged:
        """A new entry for a request that was just read; `came` is when it came in, as far as the kernel tells."""
        self.total += 1
        self.counts[f"{call.method} {call.path}"] += 1
        entry = Logged(self.total, call.method, call.path, call.raw_query, call.body)
        if came is not None:
            entry.tick, entry.noted = came, True
        self._entries.append(entry)
        woken, self._came = self._came, asyncio.Event()
        woken.set()
        return entry

    async def reached(self, total: int) -> None:
        """Waits until so many requests have come in."""
        while self.total < total:
            await self._came.wait()

    def clear(self) -> None:
        """Forgets everything."""
        self._entries.clear()
        self.counts.clear()
        self.total = 0

    def of(self, method: str, path: str) -> list[Logged]:
        """The kept requests of one method and path."""
        return [entry for entry in self._entries if (entry.method, entry.path) == (method, path)]

    def __iter__(self) -> Iterator[Logged]:
        return iter(list(self._entries))

    def __getitem__(self, index: int) -> Logged:
        return self._entries[index]

    def __len__(self) -> int:
        return len(self._entries)
