"""States: what keeps a service from sending, and when it tries again.

A trouble is no reason to end: records wait in their source, one lane tries again after growing pauses, and when that
went well the others follow. Only a ban, or a missing right, is met with long silence.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from leadsync.amocrm.ban import PAUSE
from leadsync.errors import AmoCRMAPIError, AmoCRMBanned, LeadsyncError
from leadsync.events import Event, Listener, RequestFinished, StateChanged
from leadsync.troubles import State, state_of

logger = logging.getLogger("leadsync.follow")


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds: the first pause after a trouble, the longest it grows to, and the one after a ban or a missing right."""

    first: float = 1.0
    longest: float = 30.0
    banned: float = PAUSE


class Gate:
    """Whether records may be sent now. A listener: it hears which requests amoCRM has answered well."""

    def __init__(self, listener: Listener, pauses: Pauses, clock: Callable[[], float] = time.monotonic) -> None:
        self.state: State | None = None
        self.why = ""
        self._listener = listener
        self._pauses = pauses
        self._clock = clock
        self._trouble = State.REDIS
        self._trouble_said = ""
        self._until = 0.0
        self._pause = 0.0
        self._troubles = 0
        self._answers = 0
        self._silent: dict[str, str] = {}
        self._open = asyncio.Event()

    def __call__(self, event: Event) -> None:
        if isinstance(event, RequestFinished) and event.status is not None and event.status < 400:
            self._answers += 1

    @property
    def is_open(self) -> bool:
        """Whether nothing keeps anybody from sending."""
        return self._open.is_set()

    async def passes(self, *, first: bool) -> None:
        """Return when one may send: while there is trouble only the first lane, after the pause."""
        while not self.is_open:
            if not first:
                await self._open.wait()
            elif (left := self._until - self._clock()) > 0:
                await asyncio.sleep(left)
            else:
                return

    def begin(self) -> tuple[int, int]:
        """To be called before sending: what `worked` compares with."""
        return self._troubles, self._answers

    def worked(self, begun: tuple[int, int], *, surely: bool = False) -> None:
        """Sending went well: a trouble of before is over, if amoCRM has answered meanwhile (or `surely`)."""
        troubles, answers = begun
        if troubles == self._troubles and (surely or self._answers > answers):
            self._pause = 0.0
            self._open.set()
            self._tell()

    def failed(self, error: LeadsyncError, begun: tuple[int, int]) -> float:
        """Nobody sends for a while; how long, in seconds. Raises the error when no waiting cures it."""
        state = state_of(error)
        if state is None:
            raise error
        if begun[0] == self._troubles or state is not self._trouble:  # else several met the same trouble
            self._troubles += 1
            self._pause = self._pause_after(error, state)
            self._until = max(self._until, self._clock() + self._pause)
        self._open.clear()
        self._trouble, self._trouble_said = state, error.what
        self._tell()
        return self._pause

    def check(self) -> None:
        """Raise AmoCRMBanned while the account is blocked: who is in the middle of a batch stops there, too."""
        if not self.is_open and self._trouble is State.BANNED and self._clock() < self._until:
            raise AmoCRMBanned(self._trouble_said, status=403, do="wait: it is tried again by itself")

    def source(self, name: str, why: str | None) -> None:
        """A source does not answer, or (None) does."""
        if why is not None:
            self._silent[name] = f"{name}: {why}"
        else:
            self._silent.pop(name, None)
        if self.state is not None:
            self._tell()

    def drains(self, why: str) -> None:
        """The service is about to leave."""
        self._become(State.DRAINING, why)

    def _tell(self) -> None:
        if not self.is_open:
            self._become(self._trouble, self._trouble_said)
        elif self._silent:
            self._become(State.SOURCE, next(iter(self._silent.values())))
        else:
            self._become(State.WORKING, "")

    def _pause_after(self, error: LeadsyncError, state: State) -> float:
        if state in (State.BANNED, State.FORBIDDEN):
            return self._pauses.banned
        asked = (error.retry_after or 0.0) if isinstance(error, AmoCRMAPIError) else 0.0
        grown = min(self._pauses.longest, max(self._pauses.first, 2 * self._pause))
        return max(grown, min(asked, self._pauses.banned))

    def _become(self, state: State, why: str) -> None:
        if state is not self.state and self.state is not State.DRAINING:
            self.state, self.why = state, why
            logger.log(logging.INFO if state is State.WORKING else logging.WARNING, "%s%s", state, why and f": {why}")
            self._listener(StateChanged(state, why))
