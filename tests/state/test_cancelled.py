"""A cancel reaches whoever asks Redis, in whatever moment it comes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from leadsync.sources.redis_access import open_own
from leadsync.state.redis import open_redis
from tests.conftest import Valkey

MOMENTS = 60


async def ask_until_cancelled(redis: Redis, moment: int) -> bool:
    """Cancel a question after so many turns of the event loop; whether it was still under way, and heard it."""
    asking = asyncio.create_task(redis.echo(str(moment)))
    for _ in range(moment):
        await asyncio.sleep(0)
    if not asking.cancel():
        assert await asking == str(moment).encode()
        return False
    with pytest.raises(asyncio.CancelledError):
        await asking
    return True


@pytest.mark.parametrize("own", [False, True], ids=["the project's", "a source's own"])
@pytest.mark.parametrize("warm", [False, True], ids=["while it connects", "on an open connection"])
async def test_no_cancel_is_missed(valkey_server: Valkey, tmp_path: Path, own: bool, warm: bool) -> None:
    """Whoever is cancelled while a command is sent or answered ends, and the next one gets its own answer."""
    heard = 0
    for moment in range(MOMENTS):
        redis = open_own(valkey_server.url, "talks") if own else (await open_redis(valkey_server.url, tmp_path)).client
        if warm:
            await redis.ping()
        else:
            await redis.connection_pool.disconnect()
        heard += await ask_until_cancelled(redis, moment)
        assert await redis.echo("next") == b"next"
        await redis.aclose()
    assert heard > 2
