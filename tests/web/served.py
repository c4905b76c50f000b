"""`leadsync serve` as people run it: a process with an address, and a bot that knows it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from tests.cli.terminal import Ended, Running, running
from tests.web.serving import LEADS, bearer
from tests.world import World

JSON = {"id": "42", "user_name": "Иван", "phone": "8 916 123-45-67"}


@dataclass(frozen=True, slots=True)
class Service:
    """A running `leadsync serve`, and a bot that knows its address and its key."""

    command: Running
    client: httpx.AsyncClient

    async def push(self, **fields: str) -> httpx.Response:
        """Post a talk."""
        return await self.client.post(LEADS, json=JSON | fields)

    async def ended(self, send: signal.Signals = signal.SIGTERM) -> Ended:
        """Wait for its end, after a signal."""
        return await self.command.ended(send)


@asynccontextmanager
async def served(world: World, *options: str) -> AsyncIterator[Service]:
    """Run it on a free port; it is killed at the end of the block if it still runs."""
    async with running(world.folder, "serve", "--port", "0", *options) as command:
        address = await command.line()
        async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=30, headers=bearer()) as client:
            yield Service(command, client)


async def posted(world: World, path: str) -> None:
    """Wait until something was POSTed to a path of amoCRM."""
    while not world.requests("POST", path):
        await world.sandbox.requests.reached(world.sandbox.requests.total + 1)


async def refuses(client: httpx.AsyncClient) -> None:
    """Wait until nobody new is let in."""
    host, port = client.base_url.host, client.base_url.port
    while True:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except ConnectionRefusedError:
            return
        except ConnectionResetError:  # it closed just then
            continue
        writer.close()
