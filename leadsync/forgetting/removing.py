"""Removing: look, wait until no worker is busy with the person, look again, and remove what was found."""

from __future__ import annotations

import asyncio

from leadsync.amocrm.imagined import ImaginedCatalogue
from leadsync.errors import StateUnavailable
from leadsync.forgetting.asked import Asked
from leadsync.forgetting.held import Held
from leadsync.forgetting.looking import Looking
from leadsync.intake import Intakes, compile_mappings
from leadsync.project import Connections
from leadsync.state.claims import Claims
from leadsync.state.redis import state_errors

PATIENCE = 60.0
"""Seconds for which a worker may be busy with the person."""


class Forgetting:
    """Forgets one person. amoCRM is not asked, and nothing is changed there.

    Every method raises StateUnavailable, and ConfigurationError where something is sealed with a key that is not at
    hand: nobody knows whether it is the person's.
    """

    def __init__(self, connections: Connections, asked: Asked, *, patience: float = PATIENCE) -> None:
        self._connections = connections
        self._asked = asked
        self._patience = patience
        project = connections.project
        self._intakes = Intakes(project, ImaginedCatalogue(), compile_mappings(project))

    async def look(self) -> Held:
        """What is remembered; nothing is removed."""
        return await Looking(self._connections, self._intakes, self._asked).look()

    async def forget(self) -> Held:
        """Remove everything that is remembered; what it was."""
        held = await self.look()
        async with Claims(self._connections.redis, self._connections.names) as claims:
            await self._wait(claims, held.claims)
            try:
                held = await self.look()  # a worker may have been at it until now
                await remove(self._connections, held)
            finally:
                await claims.release(claims.held)
        return held

    async def _wait(self, claims: Claims, names: list[str]) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await claims.wait_for(names)
        except TimeoutError:
            what = "a worker is busy with this person; nothing was removed"
            raise StateUnavailable(what, do="try again in a minute, or end the worker first") from None


async def remove(connections: Connections, held: Held) -> None:
    """Remove what was found, in one transaction. Raises StateUnavailable."""
    async with state_errors(), connections.redis.pipeline(transaction=True) as pipe:
        for part in held.parts:
            part.queue(pipe)
        await pipe.execute()
