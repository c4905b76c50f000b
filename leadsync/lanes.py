"""Lanes: steps that work side by side in one process, each to the others like another process, with its own claims."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Self

from leadsync.state.claims import Claims
from leadsync.steps import Shared, Steps

MOST = 4
"""Lanes at a time: with answers after 700 ms, that many chunks of two requests each keep seven a second under way."""


class Lanes:
    """The lanes of one process; each is opened when it is needed first. Use as an async context manager."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._open: list[tuple[Claims, Steps]] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def steps(self, number: int) -> Steps:
        """The steps of a lane, counted from 0. Raises StateUnavailable."""
        while len(self._open) <= number:
            claims = Claims(self._shared.connections.redis, self._shared.connections.names)
            await self._stack.enter_async_context(claims)
            self._open.append((claims, Steps(self._shared, claims)))
        return self._open[number][1]

    def planner(self) -> Steps:
        """Steps that plan only; lane 0 must be open."""
        return Steps(self._shared, self._open[0][0], promises={})

    async def check(self) -> None:
        """Raise StateUnavailable when a lane was silent for so long that others may have taken what it holds.

        What it holds stays its own for a whole lease from here, so that this may be asked ahead of a write. A lane that
        holds nothing writes nothing; it goes on under a new name when it is needed.
        """
        busy = [one for one, _ in self._open if one.held]
        if not busy:
            return
        living = await busy[0].prolong(one.owner for one in busy)
        for one in busy:
            if one.owner not in living:
                await one.check()

    def taken_warnings(self) -> list[str]:
        """What there was to tell since the last time, each once."""
        return list(dict.fromkeys(one for _, steps in self._open for one in steps.taken_warnings()))
