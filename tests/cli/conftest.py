"""A project folder in a world of its own, without the variables of the person who runs the tests."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from leadsync.sandbox import Sandbox
from tests.conftest import Valkey
from tests.world import World


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AMOCRM_", "LEADSYNC_", "REDIS_")):
            monkeypatch.delenv(name)


@pytest.fixture
async def world(redis: Redis, valkey_server: Valkey, tmp_path: Path) -> AsyncIterator[World]:
    """A look-alike without a limit of requests, an empty Valkey, and a written project that logs in with a token."""
    async with Sandbox(rate=0) as sandbox:
        made = World(sandbox, redis, valkey_server.url, tmp_path)
        made.write()
        yield made
