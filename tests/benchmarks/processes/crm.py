"""The look-alike as a process of its own whose account was filled long ago: `crm.py ADDRESS_FILE CONTACTS`."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path

import orjson

from leadsync.sandbox import Sandbox
from leadsync.sandbox.seeding import seed

LONG_AGO = 30 * 86_400
"""Seconds: the people of an account were not made just now."""


class Clock:
    """Unix seconds, some of them behind."""

    behind = 0.0

    def __call__(self) -> float:
        return time.time() - self.behind


async def main(address: Path, contacts: int) -> None:
    """Serve without a limit of requests until SIGTERM."""
    clock, stop = Clock(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Sandbox(rate=0, clock=clock) as sandbox:
        clock.behind = LONG_AGO
        seed(sandbox.account, contacts)
        clock.behind = 0.0
        part = address.with_suffix(".part")
        part.write_bytes(orjson.dumps({"url": sandbox.url, "token": sandbox.long_lived_token()}))
        part.replace(address)
        await stop.wait()


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
