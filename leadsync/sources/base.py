"""What a source is: something that finds raw records, and reads each one only when asked to.

A source needs `raw_records` and its `Options`, nothing else: every source can be run, and followed (it is looked
through again and again). One that knows better what is new says so in `changed`; one from which each record is taken
once, a queue, sets `consumes`.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict
from redis.asyncio import Redis

from leadsync.amounts import Waiting
from leadsync.records import Record

PAGE = 500
"""Raw records of a page at most, where the source does not say otherwise."""

SHARE = 4
"""Looking through a source again and again takes at most one part in so many and one of the time."""


class SourceOptions(BaseModel):
    """The keys a source takes in leadsync.yaml beside `type` and `mapping`; every source has its own subclass."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a source may use: the project's Redis, its folder (for relative paths), and the zone of naive times."""

    redis: Redis
    folder: Path
    zone: ZoneInfo


class RawRecord(ABC):
    """A record not read yet. `place` says where it was found (`dialog:42`, `inbox/a.jsonl:17`), for people.

    `lasting` is false when its source will not hold it any more once it was accepted or refused.
    """

    __slots__ = ("place",)

    lasting: ClassVar[bool] = True

    def __init__(self, place: str) -> None:
        self.place = place

    @property
    def talk(self) -> str:
        """What names the talk, where several raw records may be of one; else its place."""
        return self.place

    def written_at(self) -> float | None:
        """When it was written (unix seconds), where the source knows that without reading it."""
        return None

    @abstractmethod
    def fingerprint(self) -> bytes:
        """16 bytes that change whenever a byte of the raw record does; nothing is parsed for it."""

    def as_found(self) -> str | None:
        """What the source found, as text for people; None where a source does not show it."""
        return None

    @abstractmethod
    def read(self) -> Record:
        """Parse it. Raises UnreadableRecord with the reason and what to do."""


class Source(ABC):
    """A place where talks lie. Found by the entry point group `leadsync.sources`, named in `type:`.

    `consumes` is true for a queue: each record is one worker's until it is `accepted`, and is not found again then.
    """

    Options: ClassVar[type[SourceOptions]] = SourceOptions
    consumes: ClassVar[bool] = False

    def __init__(self, name: str, options: Any, context: SourceContext) -> None:
        self.name = name
        self.options = options
        self.context = context

    @abstractmethod
    def raw_records(self) -> AsyncIterator[RawRecord]:
        """Every record there is now, one by one, with bounded memory. Raises ConfigurationError, StateUnavailable."""

    async def raw_pages(self) -> AsyncIterator[Sequence[RawRecord]]:
        """The same records by the handful, for a source that finds them so."""
        page: list[RawRecord] = []
        async for raw in self.raw_records():
            page.append(raw)
            if len(page) == PAGE:
                yield page
                page = []
        if page:
            yield page

    def open_pages(self, *, take: bool) -> AsyncIterator[Sequence[RawRecord]]:
        """Records that nobody has brought in yet, as far as the source knows: here all there are.

        With `take` they are this process's, until they are accepted or the source is closed.
        """
        return self.raw_pages()

    async def changed(self, poll: float) -> AsyncGenerator[Sequence[RawRecord], None]:
        """Records that may be new or have changed, by the page and for ever; at first all there are.

        Here the source is looked through every `poll` seconds; one that takes long, less often. The same record may
        come any number of times: whoever follows compares it with what was accepted. Raises what `raw_pages` raises;
        called again after that it begins anew.
        """
        while True:
            began = time.monotonic()
            async for page in self.raw_pages():
                yield page
            await asyncio.sleep(max(poll, SHARE * (time.monotonic() - began)))

    async def again(self, places: Sequence[str]) -> Sequence[RawRecord] | None:
        """What lies at these places now; None from a source that must be looked through to find them."""
        return None

    async def outdated(self, raws: Sequence[RawRecord]) -> Collection[str]:
        """The places of those that a newer record of the same talk has replaced. Raises StateUnavailable."""
        return ()

    async def accepted(self, places: Sequence[str]) -> None:
        """The CRM has these records, or they are kept as refused: a queue lets go of them. Raises StateUnavailable."""
        return

    async def queue(self) -> Waiting | None:
        """What waits for any worker, and since when; None from a source that is no queue. Nothing is taken.

        Raises StateUnavailable.
        """
        return None

    async def aclose(self) -> None:
        """Let go of what the source opened by itself."""
        return
