"""Figures: what there is to know about an account's sync at this moment, out of Redis alone.

`leadsync status` shows them to people, `/metrics` to Prometheus.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from leadsync import plugins
from leadsync.amocrm.pace import Pace, pace_of
from leadsync.amounts import Waiting
from leadsync.errors import StateUnavailable
from leadsync.project import Connections
from leadsync.sources.base import Source, SourceContext
from leadsync.state.contact_index import ContactIndex, IndexState
from leadsync.state.standing import Standing, standing_of
from leadsync.state.workers import Worker, workers_of

SOURCE_PATIENCE = 1.0
"""Seconds in which a source says what waits in it: it may have a Redis of its own."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one account at `at` (unix seconds).

    `refused` are refused records: `held_back` of them are pushes that go in by themselves, others wait for a person.
    `batches` are those whose outcome is not known. `queues` holds what waits in each source that is a queue, None for
    one that does not answer. `token_issued` is when the access token was given (unix seconds), None without one. `rate`
    are the requests per second that all may make together. `entries` counts phones and e-mails in the index. `standing`
    is what services said last, None when none ever ran.
    """

    at: float
    refused: Waiting
    held_back: int
    batches: Waiting
    queues: Mapping[str, Waiting | None]
    token_issued: float | None
    rate: float
    pace: Pace
    workers: tuple[Worker, ...]
    index: IndexState
    entries: int
    standing: Standing | None

    @property
    def used(self) -> float:
        """The part of the rate that was used over the last ten seconds or so."""
        return self.pace.spent / self.rate


async def figures_of(connections: Connections) -> Figures:
    """Ask Redis. Raises StateUnavailable, and ConfigurationError where something is sealed with a key not at hand."""
    redis, names, refused = connections.redis, connections.names, connections.refused
    open_batches = await connections.journal.entries()
    tokens = await connections.tokens.load() if connections.oauth is not None else None
    index = ContactIndex(redis, names, connections.project.file.defaults.country)
    return Figures(
        at=time.time(),
        refused=Waiting(await refused.count(), await refused.oldest()),
        held_back=await refused.count_waiting(),
        batches=Waiting(len(open_batches), open_batches[0].at if open_batches else None),
        queues=await queues_of(connections),
        token_issued=tokens.issued_at if tokens is not None and tokens.access_token else None,
        rate=connections.project.file.amocrm.requests_per_second,
        pace=await pace_of(redis, names.prefix),
        workers=tuple(await workers_of(redis, names)),
        index=await index.state(),
        entries=await index.count(),
        standing=await standing_of(redis, names),
    )


async def queues_of(connections: Connections) -> dict[str, Waiting | None]:
    """What waits in each source that is a queue; None for one that does not answer. Raises ConfigurationError."""
    project = connections.project
    context = SourceContext(connections.redis, project.folder, ZoneInfo(project.file.defaults.timezone))
    kinds = {name: plugins.load("sources", one.section.type) for name, one in project.sources.items()}
    queues = {name: kind(name, project.sources[name].options, context) for name, kind in kinds.items() if kind.consumes}
    return dict(zip(queues, await asyncio.gather(*map(_queue, queues.values())), strict=True))


async def _queue(source: Source) -> Waiting | None:
    try:
        async with aclosing(source), asyncio.timeout(SOURCE_PATIENCE):
            return await source.queue()
    except (StateUnavailable, TimeoutError):
        return None
