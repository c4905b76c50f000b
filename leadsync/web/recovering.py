"""Recovering: whether pushes come through, as a state; while they do not, somebody looks whether it is over.

A push that meets a trouble changes the state, and one that goes through ends it. Between pushes amoCRM is asked with
growing pauses: who waits for the service to work again must not have to wait for the next customer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self

from leadsync.errors import LeadsyncError
from leadsync.events import Event, HeldBack, Listener, RecordFinished, StateChanged
from leadsync.tasks import end_tasks
from leadsync.troubles import State, state_of

FIRST, LONGEST, BANNED = 1.0, 30.0, 300.0
"""Seconds: the first pause, the longest it grows to, and the one after a ban or a missing right."""

THROUGH = ("create", "update")
"""What becomes of a push that amoCRM has taken."""


class Recovering:
    """A listener, and an async context manager. `look` asks amoCRM and raises what stands in the way.

    `listener` is told of every change; `pauses` are in seconds: the first, the longest, the one after a ban.
    """

    def __init__(
        self,
        look: Callable[[], Awaitable[object]],
        listener: Listener,
        pauses: tuple[float, float, float] = (FIRST, LONGEST, BANNED),
    ) -> None:
        self.state: State | None = None
        self._look = look
        self._listener = listener
        self._first, self._longest, self._banned = pauses
        self._pause = 0.0
        self._trouble = asyncio.Event()
        self._now = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._looking = asyncio.create_task(self._look_after())
        return self

    async def __aexit__(self, *exc: object) -> None:
        await end_tasks([self._looking])

    def __call__(self, event: Event) -> None:
        if isinstance(event, HeldBack):
            self._become(State(event.state), event.why)
        elif isinstance(event, RecordFinished) and event.outcome in THROUGH:
            self._pause = 0.0
            self.worked()

    def failed(self, error: LeadsyncError) -> None:
        """Something stands in the way; what no waiting cures is no state."""
        if (state := state_of(error)) is not None:
            self._become(state, error.what)

    def worked(self) -> None:
        """Nothing stands in the way."""
        self._become(State.WORKING, "")

    def look_now(self) -> None:
        """Somebody has done something about it."""
        self._now.set()

    async def _look_after(self) -> None:
        while True:
            await self._trouble.wait()
            # A trouble that is over for a moment only does not begin with the shortest pause again.
            self._pause = min(self._longest, max(self._first, 2 * self._pause))
            await self._wait(self._banned if self.state in (State.BANNED, State.FORBIDDEN) else self._pause)
            if not self._trouble.is_set():
                continue
            try:
                await self._look()
            except LeadsyncError as error:
                self.failed(error)
            except TimeoutError:
                pass
            else:
                self.worked()

    async def _wait(self, seconds: float) -> None:
        self._now.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._now.wait()
        except TimeoutError:
            pass

    def _become(self, state: State, why: str) -> None:
        if state is self.state or self._looking.done():
            return  # the end of the service holds pushes back, too
        self.state = state
        if state is State.WORKING:
            self._trouble.clear()
        else:
            self._trouble.set()
        self._listener(StateChanged(state, why))
