"""Metrics: the page that Prometheus reads: what this process counted, what Redis holds, and what the process needs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager

from prometheus_client import CollectorRegistry, GCCollector, Metric, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from leadsync.errors import LeadsyncError
from leadsync.figures import Figures, figures_of
from leadsync.project import Connections
from leadsync.seeing.gauges import gauges_of

logger = logging.getLogger("leadsync.seeing")

PATIENCE = 3.0
"""Seconds in which Redis is asked; Prometheus gives up after 10 where nobody says otherwise."""

Connect = Callable[[], AbstractAsyncContextManager[Connections]]
"""Gives what is open, or opens it; it stays open in the block. Raises LeadsyncError."""


class Metrics:
    """The page. `registries` are shown one after the other."""

    def __init__(self, registries: Sequence[CollectorRegistry], connections: Connect) -> None:
        self._registries = registries
        self._connections = connections

    async def page(self, accept: str) -> tuple[bytes, str]:
        """The page and its media type, for a header `Accept`. Raises nothing, and takes PATIENCE at most."""
        encode, media_type = choose_encoder(accept)
        shown = _Shown(self._registries, list(gauges_of(await self._figures())))
        return encode(shown), media_type

    async def _figures(self) -> Figures | None:
        """What Redis holds; None when it does not answer."""
        try:
            async with asyncio.timeout(PATIENCE), self._connections() as connections:
                return await figures_of(connections)
        except (LeadsyncError, TimeoutError) as error:
            logger.debug("metrics without what Redis holds: %s", type(error).__name__)
            return None


class _Shown(CollectorRegistry):
    """Several registries, and families of this moment, as one."""

    def __init__(self, registries: Sequence[CollectorRegistry], more: Sequence[Metric]) -> None:
        super().__init__()
        self._shown = registries
        self._more = more

    def collect(self) -> Iterator[Metric]:
        yield from self._more
        for one in self._shown:
            yield from one.collect()


def process_registry() -> CollectorRegistry:
    """What the process needs: memory, CPU, open files."""
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return registry
