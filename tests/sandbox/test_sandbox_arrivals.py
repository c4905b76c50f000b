"""When requests came, on a machine that is too busy to read them at once."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Sequence

import httpx
import pytest
from crm import Api

from leadsync.sandbox import Sandbox

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="no other kernel notes when something came")

PAUSE = 0.3
REQUEST = "GET /api/v4/account HTTP/1.1\r\nHost: sandbox\r\nAuthorization: Bearer {}\r\n\r\n"


def send_from(clients: Sequence[socket.socket], token: str) -> None:
    """A request from each, a pause apart; nobody in this process reads meanwhile."""
    for one in clients:
        time.sleep(PAUSE)
        one.sendall(REQUEST.format(token).encode())


async def ticks(sandbox: Sandbox, clients: Sequence[socket.socket]) -> list[float]:
    """When a request from each came, by the look-alike's log."""
    heard = sandbox.requests.total
    send_from(clients, sandbox.long_lived_token())
    await sandbox.requests.reached(heard + len(clients))
    return [one.tick for one in list(sandbox.requests)[heard:]]


async def test_a_request_that_is_read_late_came_when_it_was_sent(sandbox: Sandbox) -> None:
    """However late the look-alike gets to it, a request counts when its bytes came, also over a connection in use."""
    address = httpx.URL(sandbox.url)
    clients = [socket.create_connection((address.host, address.port)) for _ in range(2)]
    try:
        for _ in range(2):
            first, second = sorted(await ticks(sandbox, clients))
            assert second - first > 0.9 * PAUSE
    finally:
        for one in clients:
            one.close()


async def test_control_requests_leave_nothing_behind(sandbox: Sandbox, api: Api) -> None:
    """A request that is not logged does not lend its moment to the next one on its connection."""
    await api.control("GET", "switches")
    asked = time.monotonic()
    await api.get("account")
    assert sandbox.requests[-1].noted
    assert sandbox.requests[-1].tick > asked - 0.001
