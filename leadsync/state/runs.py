"""Runs: what the last runs came to, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from redis.asyncio import Redis

from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors

KEPT = 100
"""How many runs are remembered."""

KEPT_REFUSED = 20
"""How many refused records of a run are remembered with it; the refused records themselves are kept elsewhere."""


async def keep_run(redis: Redis, names: Namespace, report: Mapping[str, Any]) -> None:
    """Remember one run. Raises StateUnavailable."""
    name = names.name("runs")
    report = {**report, "refused": report.get("refused", [])[:KEPT_REFUSED]}
    async with state_errors(), redis.pipeline(transaction=True) as pipe:
        pipe.lpush(name, orjson.dumps(report))
        pipe.ltrim(name, 0, KEPT - 1)
        await pipe.execute()


async def last_runs(redis: Redis, names: Namespace, count: int = 10) -> list[dict[str, Any]]:
    """The last runs, newest first. Raises StateUnavailable."""
    async with state_errors():
        raw: Any = await redis.lrange(names.name("runs"), 0, count - 1)
    return [orjson.loads(one) for one in raw]
