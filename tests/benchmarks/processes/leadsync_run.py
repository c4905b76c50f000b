"""One run of the project in this folder; prints when its requests began and ended: `[[began, ended], …]` in seconds."""

from __future__ import annotations

import asyncio
import sys
import time

import orjson

from leadsync.events import Event, RequestFinished
from leadsync.pipeline import Pipeline


async def main() -> None:
    """Run the project's only source."""
    moments: list[tuple[float, float]] = []

    def listen(event: Event) -> None:
        if isinstance(event, RequestFinished):
            now = time.monotonic()
            moments.append((now - event.seconds, now))

    async with Pipeline.from_file("leadsync.yaml", listener=listen) as pipeline:
        report = await pipeline.run()
    sys.stdout.buffer.write(orjson.dumps({"requests": moments, "created": report.created, "seconds": report.seconds}))


asyncio.run(main())
