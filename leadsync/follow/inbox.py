"""Inbox: the records of one source that wait for a lane, a bounded number, each place once and in order of arrival."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from leadsync.sources.base import RawRecord

ROOM = 500
"""Records that wait at most: a source is read on when some are brought in."""


@dataclass(slots=True)
class Item:
    """A record that waits. `mark` is what is known of its bytes, `since` when it was written or found (unix seconds).

    `not_before` (monotonic) and `tries`: another worker had it, it is looked at again then.
    """

    raw: RawRecord
    mark: bytes
    since: float
    not_before: float = 0.0
    tries: int = 0


@dataclass(slots=True)
class Inbox:
    """What waits and what is under way, by place; `woken` is told when anything changes."""

    woken: Callable[[], None]
    waiting: dict[str, Item] = field(default_factory=dict)
    under_way: dict[str, Item] = field(default_factory=dict)
    _room: asyncio.Event = field(default_factory=asyncio.Event)

    def knows(self, place: str, mark: bytes) -> bool:
        """Whether this record, with these bytes, is here already."""
        here = (self.waiting.get(place), self.under_way.get(place))
        return any(known is not None and known.mark == mark for known in here)

    async def put(self, items: Iterable[Item]) -> None:
        """Take records in, each as soon as there is room; a newer one takes the place of the one that waits."""
        for item in items:
            while len(self.waiting) >= ROOM and item.raw.place not in self.waiting:
                self._room.clear()
                await self._room.wait()
            self.waiting[item.raw.place] = item
            self.woken()

    def ready(self) -> list[Item]:
        """What may be taken now, in order: nothing whose place is under way."""
        now = time.monotonic()
        return [one for one in self.waiting.values() if one.not_before <= now and one.raw.place not in self.under_way]

    def until_ready(self) -> float | None:
        """Seconds until something that waits for its time is ready; None: nothing does."""
        times = [one.not_before for one in self.waiting.values() if one.raw.place not in self.under_way]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def take(self, items: Collection[Item]) -> None:
        """These are under way now."""
        for one in items:
            del self.waiting[one.raw.place]
            self.under_way[one.raw.place] = one
        self._room.set()

    def finish(self, items: Collection[Item]) -> None:
        """These are done with."""
        for one in items:
            self.under_way.pop(one.raw.place, None)
        self.woken()

    def give_back(self, items: Sequence[Item]) -> None:
        """These wait again, before all others, unless newer ones have taken their places."""
        again = {one.raw.place: one for one in items if one.raw.place not in self.waiting}
        self.waiting = again | self.waiting
        self.finish(items)

    @property
    def oldest(self) -> float | None:
        """Since when the record waits that waits longest (unix seconds)."""
        return min((one.since for one in (*self.waiting.values(), *self.under_way.values())), default=None)
