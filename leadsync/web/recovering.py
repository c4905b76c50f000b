"""Recovering: whether pushes come through, as a state; while they do not, somebody looks whether it is over.

A push that meets a trouble changes the state, and one that goes through ends it. Between pushes amoCRM is asked with
growing pauses: who waits for the service to work again must not have to wait for the next customer. As long as what
was pushed waits, though, only a push that goes through shows that amoCRM takes more than questions.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Self

from leadsync.amocrm.ban import PAUSE
from leadsync.errors import LeadsyncError
from leadsync.events import Event, HeldBack, Listener, RecordFinished, StateChanged
from leadsync.tasks import end_tasks
from leadsync.troubles import State, state_of

FIRST, LONGEST, BANNED = 1.0, 30.0, PAUSE
"""Seconds: the first pause, the longest it grows to, and the one after a ban or a missing right."""

LASTING = 180.0
"""Seconds that a try of what waits may take where amoCRM answers no write: five times until it gives up, and a look
each time whether it was applied after all."""

STOPPED = (State.BANNED, State.FORBIDDEN)

THROUGH = ("create", "update")
"""What becomes of a push that amoCRM has taken."""


class Recovering:
    """A listener, and an async context manager. `look` asks amoCRM and raises what stands in the way; it says whether
    nothing that was pushed waits.

    `listener` is told of every change; `pauses` are in seconds: the first, the longest, the one after a ban. `lasting`
    is how long a try of what waits may take.
    """

    def __init__(
        self,
        look: Callable[[], Awaitable[bool]],
        listener: Listener,
        pauses: tuple[float, float, float] = (FIRST, LONGEST, BANNED),
        lasting: float = LASTING,
    ) -> None:
        self.state: State | None = None
        self._look = look
        self._listener = listener
        self._first, self._longest, self._banned = pauses
        self._lasting = lasting
        self._pause = 0.0
        self._held_back, self._held_until = "", 0.0
        self._trouble = asyncio.Event()
        self._now = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._looking = asyncio.create_task(self._look_after())
        return self

    async def __aexit__(self, *exc: object) -> None:
        await end_tasks([self._looking])

    def __call__(self, event: Event) -> None:
        if isinstance(event, HeldBack):
            state = State(event.state)
            self._held_back, self._held_until = event.why, time.monotonic() + self._after(state) + self._lasting
            self._become(state, event.why)
        elif isinstance(event, RecordFinished) and event.outcome in THROUGH:
            self._pause = 0.0
            self.worked()

    @property
    def held_back(self) -> str:
        """Why pushes do not come through, as the last one met it; empty once one went through, or when what waits was
        not held back again though it was time."""
        return self._held_back if time.monotonic() < self._held_until else ""

    def failed(self, error: LeadsyncError) -> None:
        """Something stands in the way; what no waiting cures is no state."""
        if (state := state_of(error)) is not None:
            self._become(state, error.what)

    def worked(self) -> None:
        """Nothing stands in the way."""
        self._held_until = 0.0
        self._become(State.WORKING, "")

    def look_now(self) -> None:
        """Somebody has done something about it."""
        self._now.set()

    async def _look_after(self) -> None:
        while True:
            await self._trouble.wait()
            # A trouble that is over for a moment only does not begin with the shortest pause again.
            self._pause = min(self._longest, max(self._first, 2 * self._pause))
            await self._wait(self._banned if self.state in STOPPED else self._pause)
            if not self._trouble.is_set():
                continue
            try:
                nothing_waits = await self._look()
            except LeadsyncError as error:
                self.failed(error)
            except TimeoutError:
                pass
            else:
                if nothing_waits or not self.held_back:
                    self.worked()

    def _after(self, state: State | None) -> float:
        """Seconds after which what waits has been tried again at the latest."""
        return self._banned if state in STOPPED else self._longest

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
