"""The one task of a command: SIGTERM (systemd, `docker stop`) ends it as cleanly as Ctrl-C does."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from leadsync.cli.endings import Terminated

Result = TypeVar("Result")


def run_async(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's work to its end. Raises what it raises, KeyboardInterrupt on Ctrl-C, Terminated on SIGTERM."""
    terminated = asyncio.Event()
    try:
        return asyncio.run(_listening(work, terminated))
    except asyncio.CancelledError:
        if terminated.is_set():
            raise Terminated from None
        raise


async def _listening(work: Coroutine[Any, Any, Result], terminated: asyncio.Event) -> Result:
    task = asyncio.current_task()
    assert task is not None

    def terminate() -> None:
        if not terminated.is_set():  # a second one must not break off the closing
            terminated.set()
            task.cancel()

    # Windows has no such handlers, and a thread that is not the main one cannot set them.
    with suppress(NotImplementedError, RuntimeError, ValueError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
    return await work
