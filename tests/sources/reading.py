"""What the tests of sources share: reading all there is, and telling records from refusals."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

from redis.asyncio import Redis

from leadsync.errors import UnreadableRecord
from leadsync.records import Record
from leadsync.sources.base import RawRecord, Source, SourceContext

MOSCOW = ZoneInfo("Europe/Moscow")


def context(redis: Redis, folder: Path = Path()) -> SourceContext:
    """What a source may use."""
    return SourceContext(redis, folder, MOSCOW)


async def found(source: Source) -> list[RawRecord]:
    """Every raw record there is."""
    return [raw async for raw in source.raw_records()]


async def outcome(source: Source) -> dict[str, Record | UnreadableRecord]:
    """What each place holds: a record, or why it is none."""
    return {raw.place: read(raw) for raw in await found(source)}


def read(raw: RawRecord) -> Record | UnreadableRecord:
    """The record, or why it is none."""
    try:
        return raw.read()
    except UnreadableRecord as error:
        return error
