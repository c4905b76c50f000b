"""The warnings about a Redis that may forget, against real servers set up in both ways."""

from __future__ import annotations

import shutil

import pytest
from redis.asyncio import Redis

from leadsync.state.persistence import persistence_warnings
from leadsync.state.redis import open_redis

NOTHING_KEPT = "keeps nothing on disk"
UNTOLD = "does not tell whether it keeps data"
EVICTS = "throws keys away"


async def test_the_embedded_server_keeps_its_data(tmp_path):
    """Our own server gives no reason to warn."""
    async with await open_redis("embedded", tmp_path) as redis:
        assert await persistence_warnings(redis.client) == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--save", "", "--appendonly", "yes"], []),
        (["--save", "3600 1", "--appendonly", "no"], []),
        (["--save", "", "--appendonly", "no"], [NOTHING_KEPT]),
        (["--save", "", "--appendonly", "yes", "--maxmemory-policy", "allkeys-lru"], [EVICTS]),
        (["--save", "", "--appendonly", "yes", "--maxmemory-policy", "volatile-ttl"], [EVICTS]),
        (["--save", "", "--appendonly", "no", "--maxmemory-policy", "allkeys-lfu"], [NOTHING_KEPT, EVICTS]),
    ],
)
@pytest.mark.parametrize("forbidden", [[], ["-config"], ["-config", "-info"]], ids=["open", "no CONFIG", "nothing"])
async def test_a_redis_that_may_forget_is_warned_about(options, expected, forbidden, start_valkey):
    """No persistence and eviction are each one warning; what a managed server hides is at least said to be unknown."""
    valkey = start_valkey(*options)
    async with Redis(unix_socket_path=str(valkey.socket)) as redis:
        await redis.acl_setuser("u", enabled=True, nopass=True, commands=["+@all", *forbidden], keys=["*"])
    async with Redis(unix_socket_path=str(valkey.socket), username="u", password="any") as redis:
        warnings = await persistence_warnings(redis)
    if "-info" in forbidden:
        expected = [UNTOLD]
    elif forbidden and "yes" not in options:
        expected = [UNTOLD, *(warning for warning in expected if warning is EVICTS)]
    assert [any(part in warning for warning in warnings) for part in expected] == [True] * len(expected)
    assert len(warnings) == len(expected)


async def test_snapshots_seen_in_the_report_are_enough(start_valkey):
    """Where CONFIG is forbidden, a server that has taken a snapshot is believed to keep its data."""
    valkey = start_valkey("--save", "3600 1")
    async with Redis(unix_socket_path=str(valkey.socket)) as redis:
        await redis.save()
        await redis.acl_setuser("u", enabled=True, nopass=True, commands=["+@all", "-config"], keys=["*"])
        await redis.execute_command("AUTH", "u", "any")
        assert await persistence_warnings(redis) == []


async def test_a_save_that_failed_is_warned_about(start_valkey):
    """A server that wants to save and cannot (its disk is full or gone) may forget too."""
    valkey = start_valkey("--save", "3600 1")
    async with Redis(unix_socket_path=str(valkey.socket)) as redis:
        shutil.rmtree((await redis.config_get("dir"))["dir"])
        await redis.bgsave()
        while (await redis.info("persistence"))["rdb_bgsave_in_progress"]:
            """It is under way."""
        (warning,) = await persistence_warnings(redis)
    assert "the last save of this Redis failed (rdb_last_bgsave_status)" in warning
