"""Freshness: what a push needs to know of the account is asked in the background while pushes come, so that none of
them has to wait for it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Self

from leadsync.errors import LeadsyncError
from leadsync.sync.contact_list import FRESH, ContactList
from leadsync.sync.rebuild import Rebuild
from leadsync.tasks import end_tasks

logger = logging.getLogger("leadsync")

LASTING = 600.0
"""Seconds after the last push for which the account is still asked."""


class Freshness:
    """Asks the account every `every` seconds who and what is new, from the first push until LASTING after the last one.

    Use as an async context manager. A CRM or a Redis that does not answer is no matter: the next push asks by itself.
    """

    def __init__(
        self,
        contacts: ContactList,
        rebuild: Rebuild,
        *,
        every: float = FRESH / 2,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._contacts = contacts
        self._rebuild = rebuild
        self._every = every
        self._clock = clock
        self._pushed = 0.0
        self._keeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._keeping is not None:
            await end_tasks([self._keeping])

    def wanted(self) -> None:
        """A push came."""
        self._pushed = self._clock()
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        while self._clock() - self._pushed < LASTING:
            await asyncio.sleep(self._every)
            await self._ask()

    async def _ask(self) -> None:
        try:
            await self._contacts.keep_fresh()
            await self._rebuild.catch_up()
        except LeadsyncError as error:
            logger.debug("what is new in the account could not be asked in the background: %s", error.what)
        except Exception as error:  # of something unforeseen the next push tells, to whoever made it
            logger.warning("asking in the background what is new failed: %s", type(error).__name__)
