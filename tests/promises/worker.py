"""A process of its own that brings talks in, until it is done or its time has come.

It is started by fork from a server that has imported everything, so that a life costs little.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import selectors
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leadsync.errors import LeadsyncError
from leadsync.pipeline import Pipeline
from leadsync.sync.results import PushResult
from tests.world import QUICK, SETTLE, SHORT

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["pytest", "tests.promises.worker"])


class Clock(selectors.DefaultSelector):
    """Every turn of the event loop waits here once; after the last one something happens.

    Between two turns lies everything that a process does on the wire: to die at any of them is to die anywhere.
    """

    turns: int | None = None
    on_last: Callable[[], object] = staticmethod(lambda: os.kill(os.getpid(), signal.SIGKILL))

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(timeout)
        if self.turns is not None:
            self.turns -= 1
            if self.turns <= 0:
                self.turns = None
                self.on_last()
        return ready


@dataclass(frozen=True, slots=True)
class Fate:
    """How many turns a process has left: from its start, or from when it stands connected (None: as many as needed)."""

    from_start: int | None = None
    from_open: int | None = None


LONG_LIFE = Fate()


def run(folder: Path, fate: Fate = LONG_LIFE) -> None:
    """Bring the whole source in; ends with the exit code that the command would have."""
    _live(folder, _run, fate)


def apply(folder: Path, fate: Fate = LONG_LIFE) -> None:
    """Send the saved plan of the folder, plan.json."""

    async def work(pipeline: Pipeline) -> int:
        report = await pipeline.run(plan=folder / "plan.json")
        return 3 if report.refused else 0

    _live(folder, work, fate)


def push(folder: Path, talks: Sequence[Mapping[str, Any]], fate: Fate = LONG_LIFE) -> None:
    """Push these talks, a few at a time; ends with 1 unless each went through."""

    async def work(pipeline: Pipeline) -> int:
        return await _push(pipeline, talks)

    _live(folder, work, fate)


def _live(folder: Path, work: Callable[[Pipeline], Coroutine[Any, Any, int]], fate: Fate) -> None:
    clock = Clock()
    clock.turns = fate.from_start

    async def life() -> int:
        async with Pipeline.from_file(folder / "leadsync.yaml", retry=QUICK, timeouts=SHORT, settle=SETTLE) as pipeline:
            clock.turns = fate.from_open
            return await work(pipeline)

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(clock)) as runner:
        try:
            code = runner.run(life())
        except LeadsyncError as error:
            print(error, file=sys.stderr, flush=True)
            code = error.exit_code
    sys.exit(code)


async def _run(pipeline: Pipeline) -> int:
    report = await pipeline.run()
    for row in report.refused:
        print(row, file=sys.stderr, flush=True)
    return 3 if report.refused else 0


async def _push(pipeline: Pipeline, talks: Sequence[Mapping[str, Any]]) -> int:
    turn = asyncio.Semaphore(8)

    async def bring(talk: Mapping[str, Any]) -> PushResult:
        async with turn:
            return await pipeline.push(talk)

    results = await asyncio.gather(*(bring(one) for one in talks))
    failed = [one.message for one in results if not one.success]
    print("\n".join(failed), file=sys.stderr, flush=True)
    return 1 if failed else 0


class Life:
    """One worker process."""

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        self._process = PROCESSES.Process(target=work, args=arguments, daemon=True)
        self._process.start()
        self._ended = False

    @property
    def process_id(self) -> int:
        """While it lives."""
        assert self._process.pid is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL, from outside, unless it has ended."""
        if not self._ended:
            self._process.kill()

    def terminate(self) -> None:
        """SIGTERM, from outside, unless it has ended."""
        if not self._ended:
            self._process.terminate()

    async def end(self) -> int:
        """Wait for its end; the exit code, minus the number of the signal that killed it."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._process.sentinel, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._process.sentinel)
        self._process.join()
        code = self._process.exitcode
        self._ended = True
        self._process.close()
        assert code is not None
        return code


async def live(work: Callable[..., None], *arguments: Any) -> int:
    """One whole life of a worker; its exit code."""
    return await Life(work, *arguments).end()
