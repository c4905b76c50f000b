"""Reloading: a service reads its files again when it is asked to, and says what came of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Self

from leadsync.errors import ConfigurationError, LeadsyncError, StartRefused
from leadsync.tasks import end_tasks

logger = logging.getLogger("leadsync")

USED = "the new files are used from now on"

Reload = Callable[[], Awaitable[Sequence[str]]]
"""Reads the files and goes on with them; what there is to say of that. Raises why they cannot be used."""


class Reloading:
    """One reading after the other; asked once more during one, it reads again after it: files may have changed since.

    Use as an async context manager; asked before its beginning, it reads when it begins. `say` tells a person.
    """

    def __init__(self, reload: Reload, say: Callable[[str], None]) -> None:
        self._reload = reload
        self._say = say
        self._asked = asyncio.Event()
        self._is_over = False

    async def __aenter__(self) -> Self:
        self._working = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Break off what is under way."""
        await end_tasks([self._working])

    def ask(self) -> None:
        """Read the files again."""
        if self._is_over:
            self._tell(logging.WARNING, "the service is ending: the files are not read again")
        self._asked.set()

    def leave(self) -> None:
        """Read nothing any more: the service is about to end."""
        self._is_over = True

    async def _work(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            if not self._is_over:
                await self._read()

    async def _read(self) -> None:
        logger.info("the files are read again")
        try:
            remarks = await self._reload()
        except (ConfigurationError, StartRefused) as error:
            self._tell(logging.WARNING, f"the new files are not used, the old ones stay: {error}")
        except LeadsyncError as error:
            self._tell(logging.WARNING, f"the new files cannot be tried now, the old ones stay: {error.what}")
        except Exception as error:
            # A mistake, of ours or of a plugin: its text may quote anything.
            said = f"{type(error).__name__}, a mistake in leadsync or a plugin"
            self._tell(logging.ERROR, f"the new files are not used, the old ones stay: {said}")
        else:
            if not self._is_over:
                self._tell(logging.INFO, USED)
            for one in remarks:
                self._tell(logging.WARNING, one)

    def _tell(self, level: int, what: str) -> None:
        logger.log(level, "%s", what)
        self._say(what)
