"""Flow: when the items of each route may go: a lead as soon as its own contact is there, not when all contacts are.

So the leads of one batch of contacts are on their way while the next contacts are, and every request that the account
allows in a second is used. Items wait for a whole batch, or for the end of everything before them: nothing is sent in
more requests than it takes, and the items of a route go in the order of the plan.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from leadsync.sync.changes import RecordPlan, Route, Step, contact_ref, lead_ref

MAKES = {Route.CREATE_CONTACTS: contact_ref, Route.CREATE_LEADS: lead_ref}
"""Which references a route gives ids to."""

_NUMBERS = {route: number for number, route in enumerate(Route)}


@dataclass(frozen=True, slots=True)
class Signals:
    """What all who send for one flow tell each other: the first batch `began` (or there was none to begin), and nobody
    begins another (`stop`)."""

    began: asyncio.Event = field(default_factory=asyncio.Event)
    stop: asyncio.Event = field(default_factory=asyncio.Event)


class Flow:
    """The steps of some plans on their way, route by route; `ids` are those that references have got so far."""

    def __init__(self, plans: Iterable[RecordPlan]) -> None:
        self.ids: dict[str, int] = {}
        self.signals = Signals()
        self._waiting: dict[Route, deque[Step]] = {}
        for step in (step for plan in plans for step in plan.steps):
            self._waiting.setdefault(step.route, deque()).append(step)
        self._owed = {MAKES[route](step.key): route for route in MAKES for step in self._waiting.get(route, ())}
        self.routes = sorted(self._waiting, key=_NUMBERS.__getitem__)
        self._open = list(self.routes)
        self._moved = asyncio.Event()

    async def ready(self, route: Route, size: Callable[[], int]) -> bool:
        """Wait until `take` has something to give: a batch of that size, or the last of the route. False when nothing
        is left, or something went wrong."""
        while not self.signals.stop.is_set() and self._count(route, size()) == 0:
            await self._moved.wait()
        return bool(self._waiting[route]) and not self.signals.stop.is_set()

    def take(self, route: Route, size: int) -> tuple[list[Step], bool]:
        """The next batch of a route, in the order of the plan, and whether more of it will follow; empty when it has to
        be waited for."""
        waiting = self._waiting[route]
        steps = [waiting.popleft() for _ in range(max(0, self._count(route, size)))]
        self._tell()
        return steps, bool(waiting)

    @contextmanager
    def or_stop(self) -> Iterator[None]:
        """Around a part of the work: when it fails nobody begins another request."""
        try:
            yield
        except BaseException:
            self.signals.stop.set()
            self._tell()
            raise

    def left(self, route: Route) -> int:
        """How many steps of a route are still to be taken."""
        return len(self._waiting[route])

    def _count(self, route: Route, size: int) -> int:
        """How many steps may go together now; -1 when there are none left."""
        waiting = self._waiting[route]
        if not waiting:
            return -1
        end = batch_end(waiting, size)
        is_full = end >= size or end < len(waiting)
        if self._open[0] is route or (is_full and all(self._is_known(one, route) for one in islice(waiting, end))):
            return end
        return 0

    def _is_known(self, step: Step, route: Route) -> bool:
        """Whether everything that a step refers to has an id, or gets none from any route before its own."""
        return all(_NUMBERS[self._owed.get(one, route)] >= _NUMBERS[route] for one in step.references)

    def decided(self, route: Route, steps: Iterable[Step], ids: Mapping[str, int]) -> None:
        """Steps of a route were accepted, with their ids by request_id, or refused."""
        if route in MAKES:
            for step in steps:
                ref = MAKES[route](step.key)
                self._owed.pop(ref, None)
                if step.request_id in ids:
                    self.ids[ref] = ids[step.request_id]
            self._tell()

    def ended(self, route: Route) -> None:
        """Nothing of a route is under way any more, or will be."""
        self.signals.began.set()
        self._open.remove(route)
        self._tell()

    def _tell(self) -> None:
        """Let everybody who waits look again."""
        self._moved.set()
        self._moved = asyncio.Event()


class Keyed(Protocol):
    """Something that belongs to the record of a key."""

    @property
    def key(self) -> str:
        """The record's key."""
        ...


def batch_end(items: Sequence[Keyed], size: int) -> int:
    """How many of the next items make a batch: `size`, fewer or more where that keeps a record's own together.

    The parts of a long note go in one request: in two, under way at a time, they could stand in the wrong order, and
    between two the talk could grow, and the parts change.
    """
    end = min(size, len(items))
    while 0 < end < len(items) and items[end - 1].key == items[end].key:
        end -= 1
    return end or next((at for at, one in enumerate(items) if one.key != items[0].key), len(items))
