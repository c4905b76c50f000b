"""Whether pushes come through, as a state: an answer to a question does not show that amoCRM takes leads."""

from __future__ import annotations

import asyncio

from leadsync.events import Event, HeldBack, RecordFinished, StateChanged
from leadsync.web.recovering import Recovering

WENT = RecordFinished("push", "create", 0.1)


class Looks:
    """Looks that find amoCRM answering, while something waits or nothing; a listener, too."""

    def __init__(self, *, waits: bool) -> None:
        self.waits = waits
        self.states: list[str] = []
        self.count = 0
        self._moved = asyncio.Event()

    async def __call__(self) -> bool:
        self.count += 1
        self._moved.set()
        return not self.waits

    def hear(self, event: Event) -> None:
        """Remember a state."""
        assert isinstance(event, StateChanged)
        self.states.append(event.state)
        self._moved.set()

    async def until(self, *, count: int = 0, states: int = 0) -> None:
        """Return after so many looks and states."""
        async with asyncio.timeout(20):
            while self.count < count or len(self.states) < states:
                self._moved.clear()
                await self._moved.wait()


async def test_while_pushes_wait_only_a_push_ends_it() -> None:
    """A right that is missing for leads alone is one trouble, however often amoCRM answers meanwhile."""
    looks = Looks(waits=True)
    async with Recovering(looks, looks.hear, (0.01, 60.0, 0.01)) as recovering:
        recovering(HeldBack("forbidden", "a right is missing"))
        await looks.until(count=3)
        assert (looks.states, recovering.held_back) == (["forbidden"], "a right is missing")
        recovering(WENT)
        assert (looks.states, recovering.held_back) == (["forbidden", "working"], "")


async def test_where_nothing_waits_an_answer_is_enough() -> None:
    """Who waits for the service to work again need not wait for the next customer."""
    looks = Looks(waits=False)
    async with Recovering(looks, looks.hear, (0.01, 60.0, 60.0)) as recovering:
        recovering(HeldBack("crm unavailable", "away"))
        await looks.until(states=2)
        assert (looks.states, recovering.held_back) == (["crm unavailable", "working"], "")


async def test_one_that_is_stuck_is_not_for_ever_a_trouble() -> None:
    """When what waits was not held back again though it was time, amoCRM's answers count."""
    looks = Looks(waits=True)
    async with Recovering(looks, looks.hear, (0.01, 0.02, 0.02), lasting=0.02) as recovering:
        recovering(HeldBack("crm unavailable", "away"))
        await looks.until(states=2)
        assert looks.states == ["crm unavailable", "working"]
