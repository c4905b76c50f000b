"""Cost: the requests that sending some plans takes, counted as they would be made."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from redis.asyncio import Redis

from leadsync.state.journal import JournalItem
from leadsync.state.marks import load_mark
from leadsync.state.namespace import Namespace
from leadsync.sync.batch_sizes import LARGEST, Size
from leadsync.sync.changes import Route, Step
from leadsync.sync.recover import listed_of
from leadsync.sync.send import MARK_LIFE, cut


@dataclass(slots=True)
class WriteCost:
    """Counts the requests that carry steps; `sizes` are as they are before the first, and grow with every clean answer
    as a run's would. A route that is not among them takes the largest batches."""

    sizes: dict[Route, Size] = field(default_factory=dict)
    requests: int = 0

    def add(self, steps: Sequence[Step]) -> None:
        """Count steps that are sent together: each route's in batches of its own."""
        for route in Route:
            size = self.sizes.setdefault(route, Size(LARGEST))
            left: Sequence[JournalItem] = [
                JournalItem(one.change.key, one.request_id, {}, ()) for one in steps if one.route is route
            ]
            while left:
                batch, left = cut(left, size.now)
                size.went(len(batch), more=bool(left))
                self.requests += 1


async def mark_reads(redis: Redis, names: Namespace, routes: Iterable[Route]) -> int:
    """How many newest ids are asked for before the first batch of these routes. Raises StateUnavailable."""
    since = time.time() - MARK_LIFE
    lists = {listed for route in routes if (listed := listed_of(route)) is not None}
    return sum([await load_mark(redis, names, listed, since=since) is None for listed in lists])
