"""Whether a Redis keeps what it is told: a memory that forgets makes every lead a second time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

_TWICE = "leads would be made a second time"


async def persistence_warnings(client: Redis) -> list[str]:
    """What a person should know before trusting this Redis with our memory; empty when it keeps its data.

    Asks CONFIG GET, and where that is forbidden (managed servers) INFO, which knows less.
    Raises what Redis commands raise when it cannot be reached.
    """
    settings = await _settings(client)
    report = await _report(client)
    return [*_saving(settings, report), *_evicting(settings, report), *_failing(report)]


async def _settings(client: Redis) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for name in ("appendonly", "save", "maxmemory-policy"):
        try:
            found.update(cast(dict[str, Any], await client.config_get(name)))
        except ResponseError:  # an unknown command here, or no right to it
            return {}
    return found


async def _report(client: Redis) -> Mapping[str, Any]:
    try:
        return await client.info()
    except ResponseError:
        return {}


def _saving(settings: Mapping[str, Any], report: Mapping[str, Any]) -> list[str]:
    if settings.get("appendonly") == "yes" or settings.get("save") or report.get("aof_enabled"):
        return []
    if settings:
        return [f"this Redis keeps nothing on disk: after its restart {_TWICE}; set `appendonly yes` there"]
    if report.get("rdb_saves"):  # snapshots since it started
        return []
    return [f"this Redis does not tell whether it keeps data on disk: if not, after its restart {_TWICE}"]


def _evicting(settings: Mapping[str, Any], report: Mapping[str, Any]) -> list[str]:
    policy = settings.get("maxmemory-policy") or report.get("maxmemory_policy") or "noeviction"
    if policy == "noeviction":
        return []
    return [
        f"this Redis throws keys away when its memory is full (maxmemory-policy {policy}): then {_TWICE}; "
        "set `maxmemory-policy noeviction` there"
    ]


def _failing(report: Mapping[str, Any]) -> list[str]:
    failing = [name for name in ("aof_last_write_status", "rdb_last_bgsave_status") if report.get(name, "ok") != "ok"]
    return [f"the last save of this Redis failed ({name}): make room on its disk, and see its log" for name in failing]
