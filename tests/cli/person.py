"""A person at a terminal: reads what a command shows, and types answers."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

_STYLES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(slots=True)
class Person:
    """Sits before a command that has a terminal for stdin, stdout and stderr."""

    process: asyncio.subprocess.Process
    terminal: int
    seen: str = field(default="")

    async def sees(self, text: str) -> str:
        """Wait until the screen shows a text; everything shown so far."""
        while text not in self.seen:
            part = await asyncio.to_thread(self._read)
            if part is None:
                raise AssertionError(f"the screen never showed {text!r}: {self.seen}")
            self.seen += part
        return self.seen

    def types(self, text: str) -> None:
        """Type a line."""
        os.write(self.terminal, f"{text}\n".encode())

    async def ended(self) -> int:
        """Read to the end; the exit code."""
        while (part := await asyncio.to_thread(self._read)) is not None:
            self.seen += part
        return await self.process.wait()

    def _read(self) -> str | None:
        try:
            read = os.read(self.terminal, 65536).decode(errors="replace")
        except OSError:  # EIO: the command has ended
            return None
        return _STYLES.sub("", read).replace("\r", "")


@asynccontextmanager
async def at_terminal(folder: Path, *arguments: str, columns: int = 80) -> AsyncIterator[Person]:
    """Start a command on a terminal of its own; it is killed at the end of the block if it still runs."""
    ours, its = os.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "leadsync", *arguments),
            cwd=folder,
            stdin=its,
            stdout=its,
            stderr=its,
            env={**os.environ, "COLUMNS": str(columns), "TERM": "xterm"},
            start_new_session=True,
        )
    finally:
        os.close(its)
    try:
        yield Person(process, ours)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)
