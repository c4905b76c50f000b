"""Runs: what the last runs came to, newest first, and how they ended."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any, Literal

import orjson
from redis.asyncio import Redis

from leadsync.errors import LeadsyncError
from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors

KEPT = 100
"""How many runs are remembered."""

KEPT_REFUSED = 20
"""How many refused records of a run are remembered with it; the refused records themselves are kept elsewhere."""


Ended = Literal["ok", "failed", "interrupted"]

INTERRUPTIONS = (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit)


async def keep_run(
    redis: Redis, names: Namespace, report: Mapping[str, Any], error: BaseException | None = None
) -> None:
    """Remember one run, and what ended it before its time. Raises StateUnavailable."""
    name = names.name("runs")
    report = {**report, "refused": report.get("refused", [])[:KEPT_REFUSED], **ending(error)}
    async with state_errors(), redis.pipeline(transaction=True) as pipe:
        pipe.lpush(name, orjson.dumps(report))
        pipe.ltrim(name, 0, KEPT - 1)
        await pipe.execute()


def ending(error: BaseException | None) -> dict[str, Any]:
    """How a run ended: `ended`, and for one that failed `error` with its class, what happened and what to do.

    The words of an error that is none of ours stay away: they may quote a value.
    """
    ended: Ended = "ok" if error is None else "interrupted" if isinstance(error, INTERRUPTIONS) else "failed"
    if ended != "failed":
        return {"ended": ended, "error": None}
    what, do = (error.what, error.do) if isinstance(error, LeadsyncError) else (None, None)
    return {"ended": ended, "error": {"class": type(error).__name__, "what": what, "do": do}}


def without_rows(stored: bytes, names: Collection[str]) -> tuple[bytes, int]:
    """A stored report without the refused records of these keys or places, and how many there were."""
    report = orjson.loads(stored)
    rows = report.get("refused", [])
    left = [row for row in rows if row["key"] not in names and row["place"] not in names]
    return orjson.dumps(report | {"refused": left}), len(rows) - len(left)


async def last_runs(redis: Redis, names: Namespace, count: int = 10) -> list[dict[str, Any]]:
    """The last runs, newest first. Raises StateUnavailable."""
    async with state_errors():
        raw: Any = await redis.lrange(names.name("runs"), 0, count - 1)
    return [orjson.loads(one) for one in raw]
