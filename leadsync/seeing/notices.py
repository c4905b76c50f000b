"""Notices: somebody is told when the state of an account's services changes: once, over all processes.

What was said last lies in Redis, and whoever says something else first is the one who tells. While Redis is away each
process can only tell for itself; the first that is back tells that it is over.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

import stamina

from leadsync.config.loader import Project
from leadsync.errors import LeadsyncError
from leadsync.events import Event, Listener, RequestFinished, StateChanged, WebhookCalled
from leadsync.seeing.metrics import Connect
from leadsync.seeing.webhook import NotDelivered, Tries, Webhook
from leadsync.state.standing import UNKNOWN, Move, move
from leadsync.tasks import end_tasks
from leadsync.troubles import State

logger = logging.getLogger("leadsync.seeing")

PATIENCE = 3.0
"""Seconds in which Redis is asked whether somebody has told already."""

FAREWELL = 5.0
"""Seconds in which the end waits for calls that are under way, where nobody says otherwise."""

MOST = 50
"""Changes that wait to be told; of more the oldest are not."""

DO = {
    State.WORKING: "nothing",
    State.CRM: "nothing, it is tried again by itself; look at amoCRM when it lasts",
    State.REDIS: "see that Redis runs and can be reached",
    State.SOURCE: "see that the source can be reached",
    State.BANNED: "write to amoCRM's support; it is tried again every 5 minutes",
    State.FORBIDDEN: "give the user of the token the right, or the integration the scope, that is missing",
    State.LOGIN: "leadsync auth login",
}
"""What a person has to do in each state that is told."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change that waits to be told."""

    state: State
    why: str
    at: datetime


class Notices:
    """A listener. Use as an async context manager; nothing it does keeps anybody waiting.

    Without LEADSYNC_WEBHOOK only Redis learns of a change. `listener` hears of the calls, `farewell` is
    for how many seconds the end waits for them.
    """

    def __init__(
        self,
        project: Project,
        connections: Connect,
        listener: Listener,
        tries: Tries | None = None,
    ) -> None:
        self._tries = tries
        self.use(project)
        self._connections = connections
        self._listener = listener
        self._queue: asyncio.Queue[Change] = asyncio.Queue()
        self._held: StateChanged | None = None
        self._answered = False
        self._last: State | None = None
        self._alone = False
        self._mark = UNKNOWN
        self.farewell = FAREWELL

    def use(self, project: Project) -> None:
        """Call the webhook of a project from now on, and name its account."""
        self._account = project.file.amocrm.subdomain
        address = project.settings.leadsync_webhook
        self._webhook = None if address is None else Webhook(address, self._tries)

    async def __aenter__(self) -> Self:
        self._telling = asyncio.create_task(self._tell_all())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        """Tell what waits to be told, within `farewell`; nothing any more when the end is not a regular one."""
        try:
            if kind is None:
                async with asyncio.timeout(self.farewell):
                    await self.told()
        except TimeoutError:
            logger.warning("the end does not wait for a change of state that could not be told yet")
        finally:
            await end_tasks([self._telling])

    async def told(self) -> None:
        """Return when every change so far was told, or could not be."""
        await self._queue.join()

    def __call__(self, event: Event) -> None:
        if isinstance(event, StateChanged):
            self._hear(event)
        elif isinstance(event, RequestFinished) and event.status is not None and event.status < 400:
            self._answered = True
            if self._held is not None:
                self._hear(self._held)

    def _hear(self, event: StateChanged) -> None:
        """Take a change in. A process that has only just begun does not know yet whether amoCRM answers."""
        state, self._held = State(event.state), None
        if state is State.DRAINING:
            return
        if state is State.WORKING and not self._answered and self._last is not State.REDIS:
            self._held = event
            return
        if self._queue.qsize() >= MOST:
            self._queue.get_nowait()
            self._queue.task_done()
            logger.warning("more changes of state than can be told: the oldest is left out")
        self._last, before = state, self._last
        if state is not before:
            self._queue.put_nowait(Change(state, event.why, datetime.now(UTC)))

    async def _tell_all(self) -> None:
        before: State | None = None
        while True:
            change = await self._queue.get()
            found = await self._moved(change, before)
            before = change.state
            if found.is_new:
                await self._tell(change, found.before)
            self._queue.task_done()

    async def _moved(self, change: Change, before: State | None) -> Move:
        """Whether this is news to everybody; without Redis, to this process."""
        try:
            found = await self._said(change)
        except (LeadsyncError, TimeoutError):
            self._alone = True
            return Move(before is not None or change.state is not State.WORKING, before, self._mark)
        if self._alone:  # Redis does not know what we have told
            found = replace(found, before=before)
        self._alone, self._mark = False, found.mark
        return found

    async def _said(self, change: Change) -> Move:
        """Say a change in Redis; where it is not Redis that is away, more than once."""
        alone = self._mark if self._alone else None
        attempts = 1 if change.state in (State.REDIS, State.SOURCE) else 5
        async for attempt in stamina.retry_context(
            on=(LeadsyncError, TimeoutError), attempts=attempts, wait_initial=0.2, wait_max=2.0, wait_jitter=0.2
        ):
            with attempt:
                async with asyncio.timeout(PATIENCE), self._connections() as to:
                    state, why = change.state, change.why
                    return await move(to.redis, to.names, state, why, calm=State.WORKING, alone=alone)
        raise AssertionError("stamina ends with a result or an error")  # pragma: no cover

    async def _tell(self, change: Change, before: str | None) -> None:
        if self._webhook is None:
            return
        try:
            await self._webhook.call(self._document(change, before))
        except NotDelivered as error:
            logger.warning("LEADSYNC_WEBHOOK was not told that the state is %s: %s", change.state, error)
            self._listener(WebhookCalled(False))
        else:
            self._listener(WebhookCalled(True))

    def _document(self, change: Change, before: str | None) -> dict[str, Any]:
        why = f": {change.why}" if change.why else ""
        return {
            "format_version": 1,
            "state": change.state,
            "before": before,
            "why": change.why,
            "do": DO[change.state],
            "account": self._account,
            "at": change.at.isoformat(timespec="seconds"),
            "host": socket.gethostname(),
            "text": f"leadsync {self._account}: {change.state}{why}",
        }
