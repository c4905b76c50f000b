"""Pushes of new talks, one after the other, on a pipeline that is warm; `push.py FIRST COUNT`.

Prints of each push `[requests, seconds, seconds of waiting for amoCRM, seconds of processor time]`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from leadsync.events import Event, RequestFinished
from leadsync.pipeline import Pipeline
from tests.benchmarks.talks import talk

WARMING = 5
"""Pushes that are not counted: modules, connections and templates are used for the first time."""

BETWEEN = 0.01
"""Seconds between two pushes: what the pipeline does when nobody waits is done."""


class Waiting:
    """Whom the pipeline waits for: the spans of the requests, as far as they have ended."""

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, RequestFinished):
            now = time.perf_counter()
            self.spans.append((now - event.seconds, now))

    def seconds(self) -> float:
        """How long at least one of them was under way."""
        total, until = 0.0, 0.0
        for began, ended in sorted(self.spans):
            total += max(0.0, ended - max(began, until))
            until = max(until, ended)
        return total


async def main(first: int, count: int) -> None:
    """Push so many talks."""
    waiting = Waiting()
    measured: list[tuple[int, float, float, float]] = []
    async with Pipeline.from_file("leadsync.yaml", listener=waiting) as pipeline:
        for number in range(first, first + WARMING + count):
            one = talk(number)
            await asyncio.sleep(BETWEEN)
            waiting.spans.clear()
            started, before = time.perf_counter(), time.process_time()
            result = await pipeline.push(one)
            seconds, busy = time.perf_counter() - started, time.process_time() - before
            assert result.success, result.message
            measured.append((len(waiting.spans), seconds, waiting.seconds(), busy))
    print(json.dumps(measured[WARMING:]))


asyncio.run(main(*map(int, sys.argv[1:])))
