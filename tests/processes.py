"""Several commands at once, each a process of its own, as cron and people start them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.cli.terminal import Ended, running


async def process(folder: Path, *arguments: str) -> Ended:
    """Run a command in a folder to its end."""
    async with running(folder, *arguments) as command:
        return await command.ended()


async def processes(count: int, folder: Path, *arguments: str) -> list[Ended]:
    """The same command so many times at once."""
    return await asyncio.gather(*(process(folder, *arguments) for _ in range(count)))
