"""Waiting: pushed records that the trouble of amoCRM held back go in by themselves once it is over.

Every process that pushes looks; one at a time brings in what it finds, the oldest first. One record goes ahead: as long
as it is held back too, the others stay where they are.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from leadsync.amocrm.ban import PAUSE
from leadsync.done import Done
from leadsync.errors import LeadsyncError, Remedy, StateUnavailable
from leadsync.held_back import is_held_back
from leadsync.project import Connections
from leadsync.retrying import Push, bring_kept
from leadsync.state.claims import Claims
from leadsync.state.refused import Sealed
from leadsync.tasks import end_tasks

logger = logging.getLogger("leadsync")

Named = Callable[[str], Mapping[str, str]]
CLAIM = "waiting"
"""What the process has claimed that brings them in."""

MOST = 10_000
"""Keys that are looked at in one go."""

PART = 50
"""Records that are brought in together: pushes that come meanwhile stand behind no more than these."""


ENOUGH = 4
"""Times that one record goes ahead; then the next one does, for it may be this one only that cannot go in."""


@dataclass(frozen=True, slots=True)
class Looks:
    """Seconds between two looks: where nothing waits, in trouble (from, to), and after a ban or a missing right."""

    idle: float = 5.0
    first: float = 1.0
    longest: float = 30.0
    stopped: float = PAUSE


class Waiting:
    """Looks for records that wait, from the first `wanted` to its end. Use as an async context manager."""

    def __init__(self, connections: Connections, push: Push, named: Named, looks: Looks | None = None) -> None:
        """`named` gives what a log line may say of a key."""
        self._refused = connections.refused
        self._push = push
        self._named = named
        self._looks = looks or Looks()
        self._claims = Claims(connections.redis, connections.names)
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._failures = 0
        self._told: set[str] = set()
        self._is_leaving = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Break off; what was not brought in yet waits on."""
        if self._task is not None:
            await end_tasks([self._task])

    def leave(self) -> None:
        """Begin with nothing more: others do."""
        self._is_leaving = True
        self._woken.set()

    async def finished(self) -> None:
        """Return when what was begun is brought in; to be called after `leave`."""
        if self._task is not None:
            await asyncio.wait([self._task])

    def wanted(self) -> None:
        """Begin to look."""
        if self._task is None and not self._is_leaving:
            self._task = asyncio.create_task(self._work())

    def wake(self) -> None:
        """Look now: what stood in the way may be gone."""
        self.wanted()
        self._woken.set()

    def heard(self, done: Done) -> None:
        """What became of a push: one that is held back is tried again soon, one that went through ends the trouble."""
        if is_held_back(done) and not self._failures:
            asyncio.get_running_loop().call_later(self._looks.first, self._woken.set)
        elif self._failures and not is_held_back(done):
            self.wake()

    async def _work(self) -> None:
        while not self._is_leaving:
            try:
                async with self._claims:
                    while not self._is_leaving:
                        await self._pause(await self._look())
            except StateUnavailable:
                pass  # whoever pushes is told
            except LeadsyncError as error:
                self._tell(error.what, "what waits cannot be brought in (%s)", error.what)
            await self._pause(self._looks.idle)

    def _tell(self, what: str, said: str, *parts: str, **named: str) -> None:
        """Say something in the log, once."""
        if what not in self._told:
            self._told.add(what)
            logger.error(said, *parts, extra=named)

    async def _pause(self, seconds: float) -> None:
        if self._is_leaving:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()

    async def _look(self) -> float:
        """Bring in what waits; seconds until the next look. Raises StateUnavailable."""
        await self._claims.revive()
        await self._refused.expire()
        keys = await self._readable(await self._refused.waiting(MOST))
        if not keys or not (await self._claims.take([[CLAIM]]))[0]:
            self._failures = 0
            return self._looks.idle
        try:
            trouble = await self._bring_all(keys)
        finally:
            await self._claims.release([CLAIM])
        if trouble is None:
            self._failures = 0
            return self._looks.idle
        self._failures += 1
        if trouble is Remedy.STOP:
            return self._looks.stopped
        return min(self._looks.longest, self._looks.first * 2.0 ** min(self._failures - 1, 10))

    async def _readable(self, keys: Sequence[str]) -> list[str]:
        """Those of these keys that were not found to be of records which nobody can read, and still are."""
        found = await self._refused.find([key for key in keys if key in self._told])
        return [key for key in keys if not isinstance(found.get(key), Sealed)]

    async def _bring_all(self, keys: Sequence[str]) -> Remedy | None:
        """Bring records in until all of some are held back; the remedy of that. Raises StateUnavailable."""
        ahead = keys[self._failures // ENOUGH % len(keys)]
        rest = [key for key in keys if key != ahead]
        for part in [[ahead], *(rest[start : start + PART] for start in range(0, len(rest), PART))]:
            if self._is_leaving:
                break
            found = await self._refused.find(part)
            for one in (one for one in found.values() if isinstance(one, Sealed)):
                said = "a record that waits cannot be read: `leadsync failed list` says what to do"
                self._tell(one.key, said, **self._named(one.key))
            done = await bring_kept(self._refused, self._push, [one for one in found.values() if one.waits])
            held = [one for one in done if is_held_back(one)]
            if held and len(held) == len(done):
                return held[0].remedy
            if done:
                logger.info("records that had to wait and were brought in: %d", len(done) - len(held))
        return None
