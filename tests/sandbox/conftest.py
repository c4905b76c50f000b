"""A sandbox per test, and a client that is logged in; both over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from crm import Api, Clock

from leadsync.sandbox import Sandbox


@pytest.fixture
def clock() -> Clock:
    """The account's clock, in the test's hands."""
    return Clock()


@pytest.fixture
async def sandbox(clock: Clock) -> AsyncIterator[Sandbox]:
    """A fresh sandbox without a limit of requests."""
    async with Sandbox(rate=0, clock=clock) as sandbox:
        yield sandbox


@pytest.fixture
async def api(sandbox: Sandbox) -> AsyncIterator[Api]:
    """The administrator's client."""
    headers = {"Authorization": f"Bearer {sandbox.long_lived_token()}"}
    async with httpx.AsyncClient(base_url=sandbox.url, headers=headers) as http:
        yield Api(http, sandbox)
