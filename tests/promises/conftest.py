"""A world per test, written with the plain mapping of tests/world.py."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from leadsync.sandbox import Sandbox
from tests.world import World

pytest.register_assert_rewrite("tests.promises.promises")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AMOCRM_", "LEADSYNC_", "REDIS_")):
            monkeypatch.delenv(name)


@pytest.fixture
async def world(redis: Redis, valkey_server: Any, tmp_path: Path) -> AsyncIterator[World]:
    """A fresh CRM without a limit of requests, an empty Redis, and a project folder; batches are small."""
    async with Sandbox(rate=0) as sandbox:
        made = World(sandbox, redis, valkey_server.url, tmp_path)
        made.write(amocrm={"batch_size": 10})
        yield made
