"""Figures: what there is to know about an account's sync at this moment, out of Redis alone."""

from __future__ import annotations

import time
from dataclasses import dataclass

from leadsync.amocrm.pace import Pace, pace_of
from leadsync.project import Connections
from leadsync.state.contact_index import ContactIndex, IndexState
from leadsync.state.workers import Worker, workers_of


@dataclass(frozen=True, slots=True)
class Waiting:
    """So many things wait, the oldest since `since` (unix seconds); None when there is none."""

    count: int = 0
    since: float | None = None

    def age(self, now: float) -> float:
        """Seconds for which the oldest waits; 0 when nothing does."""
        return 0.0 if self.since is None else max(0.0, now - self.since)


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one account at `at` (unix seconds).

    `refused` are records that wait for a person, `batches` those whose outcome is not known. `token_issued` is when the
    access token was given (unix seconds), None without one. `entries` counts phones and e-mails in the index.
    """

    at: float
    refused: Waiting
    batches: Waiting
    token_issued: float | None
    pace: Pace
    workers: tuple[Worker, ...]
    index: IndexState
    entries: int


async def figures_of(connections: Connections) -> Figures:
    """Ask Redis. Raises StateUnavailable, and ConfigurationError where something is sealed with a key not at hand."""
    redis, names, refused = connections.redis, connections.names, connections.refused
    open_batches = await connections.journal.entries()
    tokens = await connections.tokens.load() if connections.oauth is not None else None
    index = ContactIndex(redis, names, connections.project.file.defaults.country)
    return Figures(
        at=time.time(),
        refused=Waiting(await refused.count(), await refused.oldest()),
        batches=Waiting(len(open_batches), open_batches[0].at if open_batches else None),
        token_issued=tokens.issued_at if tokens is not None and tokens.access_token else None,
        pace=await pace_of(redis, names.prefix),
        workers=tuple(await workers_of(redis, names)),
        index=await index.state(),
        entries=await index.count(),
    )
