"""What a source is: something that finds raw records, and reads each one only when asked to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict
from redis.asyncio import Redis

from leadsync.records import Record

PAGE = 500
"""Raw records of a page at most, where the source does not say otherwise."""


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
    """A record not read yet. `place` says where it was found (`dialog:42`, `inbox/a.jsonl:17`), for people."""

    __slots__ = ("place",)

    def __init__(self, place: str) -> None:
        self.place = place

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
    """A place where talks lie. Found by the entry point group `leadsync.sources`, named in `type:`."""

    Options: ClassVar[type[SourceOptions]] = SourceOptions

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

    async def aclose(self) -> None:
        """Let go of what the source opened by itself."""
        return
