"""Tasks: how to end one for sure, and how one lets the others have their turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Coroutine, Iterable
from typing import Any, TypeVar

Thing = TypeVar("Thing")

BREATH = 0.001
"""Seconds of work after which a bot's other tasks, and requests whose turn has come, are let go on."""

AGAIN = 0.1
"""Seconds after which a task that did not end is cancelled once more."""


class Breath:
    """How long this task has worked without letting others go on."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until = time.monotonic() + BREATH

    @property
    def is_over(self) -> bool:
        """Whether it is time to `draw` a new one."""
        return time.monotonic() > self._until

    async def draw(self) -> None:
        """Let others go on."""
        await asyncio.sleep(0)
        self._until = time.monotonic() + BREATH


async def end_tasks(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they have ended, whatever with.

    One cancel is not always enough: in Python 3.11 a task that is just opening a connection may miss it
    (github.com/python/cpython/issues/86296: wait_for swallows it when what it waits for is done in the same moment).
    """
    left = {one for one in tasks if not one.done()}
    while left:
        for one in left:
            one.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN)
    for one in tasks:
        if not one.cancelled():
            one.exception()  # whoever ends a task does not want to hear of it any more


async def unless(told: asyncio.Event, work: Coroutine[Any, Any, Thing]) -> asyncio.Task[Thing]:
    """Some work as a task that has ended: by itself, or cancelled when the event came first."""
    task, telling = asyncio.create_task(work), asyncio.create_task(told.wait())
    try:
        await asyncio.wait((task, telling), return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end_tasks([telling, task])
    return task


async def in_breaths(things: Iterable[Thing]) -> AsyncIterator[Thing]:
    """The same things, with a moment for other tasks whenever the work on some of them took a BREATH."""
    breath = Breath()
    for one in things:
        yield one
        if breath.is_over:
            await breath.draw()
