"""In which order talks come out of a Redis."""

from __future__ import annotations

from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from redis.asyncio import Redis

from leadsync.sources.base import SourceContext
from leadsync.sources.redis_dialogs import RedisDialogs, RedisDialogsOptions


async def test_talks_come_by_their_keys(redis: Redis, tmp_path: Path, seed: int) -> None:
    """Thousands of talks come in the order of their keys, whatever SCAN says: a person is made for the first talk."""
    keys = [f"dialog:{number}" for number in range(1000, 6000)]
    await redis.mset(dict.fromkeys(Random(seed).sample(keys, len(keys)), "[]"))
    source = RedisDialogs("talks", RedisDialogsOptions(), SourceContext(redis, tmp_path, ZoneInfo("UTC")))
    assert [raw.place async for raw in source.raw_records()] == keys
