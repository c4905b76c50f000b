"""Cost: the requests that sending some plans takes, counted as they would be made."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from redis.asyncio import Redis

from leadsync.state.journal import JournalItem
from leadsync.state.marks import load_mark
from leadsync.state.namespace import Namespace
from leadsync.sync.changes import Route, Step
from leadsync.sync.recover import listed_of
from leadsync.sync.send import MARK_LIFE, cut


def write_requests(steps: Sequence[Step], batch_size: int) -> int:
    """How many requests carry these steps when they are sent together: each route's in batches of its own."""
    total = 0
    for route in Route:
        left: Sequence[JournalItem] = [
            JournalItem(one.change.key, one.request_id, {}, ()) for one in steps if one.route is route
        ]
        while left:
            _, left = cut(left, batch_size)
            total += 1
    return total


async def mark_reads(redis: Redis, names: Namespace, routes: Iterable[Route]) -> int:
    """How many newest ids are asked for before the first batch of these routes. Raises StateUnavailable."""
    since = time.time() - MARK_LIFE
    lists = {listed for route in routes if (listed := listed_of(route)) is not None}
    return sum([await load_mark(redis, names, listed, since=since) is None for listed in lists])
