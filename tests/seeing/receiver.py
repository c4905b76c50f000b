"""Somebody who is called by a webhook, and a reader of metrics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from prometheus_client.parser import text_string_to_metric_families

from leadsync.seeing.webhook import Tries
from leadsync.tasks import end_tasks

PATIENCE = 60.0
"""Seconds until a test gives up."""

EAGER = Tries(attempts=4, first_wait=0.01, longest_wait=0.05, timeout=2.0)
"""Tries that wait for nothing long."""


class Receiver:
    """A small HTTP server: it keeps what it is sent, and answers with `answers` first, then with 200."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.tries = 0
        self.answers: list[int] = []
        self.silent = False
        self.url = ""
        self._came = asyncio.Event()
        self._over = asyncio.Event()

    @property
    def states(self) -> list[str]:
        """The states that were told, in order."""
        return [one["state"] for one in self.calls]

    async def called(self, count: int) -> dict[str, Any]:
        """Wait until so many calls were taken; the last of them."""
        async with asyncio.timeout(PATIENCE):
            while len(self.calls) < count:
                self._came.clear()
                await self._came.wait()
        return self.calls[count - 1]

    async def tried(self, count: int) -> None:
        """Wait until it was called so often, taken or not."""
        async with asyncio.timeout(PATIENCE):
            while self.tries < count:
                self._came.clear()
                await self._came.wait()

    def hang_up(self) -> None:
        """Be silent no more."""
        self.silent = False
        self._over.set()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request, and answer it."""
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"post /hook/secret-7f3a http/1.1\r\n"), head
        assert b"content-type: application/json\r\n" in head
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        document = orjson.loads(await reader.readexactly(length))
        status = self.answers.pop(0) if self.answers else 200
        self.tries += 1
        if status == 200:
            self.calls.append(document)
        self._came.set()
        if self.silent:
            ends = [asyncio.create_task(reader.read()), asyncio.create_task(self._over.wait())]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)  # until who calls gives up, or we do
            await end_tasks(ends)
        writer.write(b"HTTP/1.1 %d Said\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
        writer.close()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a loopback port."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.answer, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook/secret-7f3a"
    try:
        yield receiver
    finally:
        server.close()


def samples_of(page: str) -> dict[str, float]:
    """Every sample of a page of metrics: `name{label="value"}` → number, labels in alphabetical order."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(page):
        for one in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(one.labels.items()))
            found[f"{one.name}{{{labels}}}" if labels else one.name] = one.value
    return found
