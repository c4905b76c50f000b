"""Remember every talk of the project in this folder as a run remembers it once amoCRM has accepted it.

A run over a hundred thousand new talks takes minutes: here the talks that were really brought in lend the others a copy
of what is kept of each (its link, and what was written to its contact and its lead), and leadsync's own code keeps the
marks by which it knows them again.
"""

from __future__ import annotations

import asyncio
from itertools import cycle

from redis.asyncio import Redis

from leadsync.chunks import raw_pages
from leadsync.pipeline import Pipeline
from leadsync.project import Connections
from leadsync.state.seen import UNCHANGED, Seen, mark_of


async def main() -> None:
    """Of the project's only source."""
    async with Pipeline.from_file("leadsync.yaml") as pipeline:
        connections = pipeline.connections
        intake = pipeline._intakes.of(next(iter(pipeline.project.sources)))
        seen = Seen(connections.redis, connections.names, intake.source.name, intake.wording)
        patterns = {kind: await _names(connections, kind) for kind in ("link:*", "wrote:contact:*", "wrote:lead:*")}
        number = 0
        async for page in raw_pages(connections, intake):
            await seen.keep([(mark_of(raw.place, raw.fingerprint()), UNCHANGED) for raw in page])
            for kind, names in patterns.items():
                copies = [f"{connections.names.prefix}{kind[:-1]}copy:{number + at}" for at in range(len(page))]
                await _copy(connections.redis, names, copies)
            number += len(page)


async def _names(connections: Connections, kind: str) -> list[bytes]:
    pattern = connections.names.prefix.replace("{", "[{]").replace("}", "[}]") + kind
    return [name async for name in connections.redis.scan_iter(match=pattern, count=1000)]


async def _copy(redis: Redis, names: list[bytes], copies: list[str]) -> None:
    async with redis.pipeline(transaction=False) as pipe:
        for name, copy in zip(cycle(names), copies, strict=False):
            pipe.copy(name, copy)
        await pipe.execute()


asyncio.run(main())
