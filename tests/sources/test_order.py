"""In which order talks come out of a Redis."""

from __future__ import annotations

from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from redis.asyncio import Redis

from leadsync.sources.base import SourceContext
from leadsync.sources.redis_dialogs import RedisDialogs, RedisDialogsOptions


async def test_talks_of_a_page_come_by_their_keys(redis: Redis, tmp_path: Path, seed: int) -> None:
    """Few talks come in the order of their keys, whatever SCAN says: the person of two talks is made for the first."""
    keys = [f"dialog:{number}" for number in range(100, 200)]
    for key in Random(seed).sample(keys, len(keys)):
        await redis.set(key, "[]")
    source = RedisDialogs("talks", RedisDialogsOptions(), SourceContext(redis, tmp_path, ZoneInfo("UTC")))
    assert [raw.place async for raw in source.raw_records()] == keys
