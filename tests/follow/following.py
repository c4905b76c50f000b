"""A service that follows, inside the test or as a process of its own, with an ear for what it tells."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import orjson
from redis.asyncio import Redis

from leadsync.config.loader import Project, load_project
from leadsync.errors import LeadsyncError
from leadsync.events import Event, Listener, RecordFinished, StateChanged, Warned, ignore
from leadsync.follow.service import Service
from leadsync.follow.states import Pauses
from leadsync.pipeline import Pipeline
from leadsync.project import Listeners
from tests.world import QUICK, SETTLE, SHORT, World

SOON = Pauses(first=0.05, longest=0.2, banned=1.0)

Told = TypeVar("Told", bound=Event)


class Ear:
    """A listener that remembers, and can be waited with."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._came = asyncio.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self._came.set()

    async def hears(
        self, kind: type[Told], wanted: Callable[[Told], bool] = lambda event: True, count: int = 1
    ) -> Told:
        """Wait until so many events were told that are wanted; the last of them."""
        async with asyncio.timeout(20):
            while len(found := [one for one in self.events if isinstance(one, kind) and wanted(one)]) < count:
                self._came.clear()
                await self._came.wait()
        return found[count - 1]

    async def state(self, state: str, count: int = 1) -> StateChanged:
        """Wait until the service went into a state."""
        return await self.hears(StateChanged, lambda one: one.state == state, count)

    async def finished(self, count: int) -> RecordFinished:
        """Wait until so many records are done with."""
        return await self.hears(RecordFinished, count=count)

    @property
    def states(self) -> list[str]:
        """Every state there was, in order."""
        return [one.state for one in self.events if isinstance(one, StateChanged)]

    @property
    def warnings(self) -> list[str]:
        """What else was said."""
        return [one.what for one in self.events if isinstance(one, Warned)]

    def outcomes(self) -> list[str]:
        """What became of the records that are done with."""
        return [one.outcome for one in self.events if isinstance(one, RecordFinished)]


def impatient(project: Project, listener: Listener) -> Pipeline:
    """A pipeline that waits for nothing long."""
    return Pipeline(project, listener=listener, retry=QUICK, timeouts=SHORT, settle=SETTLE)


@asynccontextmanager
async def following(
    world: World, *sources: str, drain: float = 5.0, watch: Listener = ignore
) -> AsyncIterator[tuple[Service, Ear]]:
    """A service of this world's project; at the end of the block it is told to end, and does."""
    ear = Ear()
    listeners = Listeners(watch)
    listeners.add(ear)
    service = service_of(world.folder, sources, listeners, drain)
    running = asyncio.create_task(service.run())
    try:
        yield service, ear
        service.end("the test is over")
        async with asyncio.timeout(drain + 15):
            await running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def service_of(folder: Path, sources: Sequence[str], listener: Listener, drain: float = 5.0) -> Service:
    """A service that is not patient."""
    path = folder / "leadsync.yaml"
    return Service(lambda: load_project(path), sources, make=impatient, listener=listener, pauses=SOON, drain=drain)


def follow(folder: Path) -> None:
    """The work of a process: follow all sources until SIGTERM."""

    async def life() -> None:
        service = service_of(folder, (), lambda event: None)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, service.end, "SIGTERM")
        await service.run()

    try:
        asyncio.run(life())
    except LeadsyncError as error:
        print(error, file=sys.stderr, flush=True)
        sys.exit(error.exit_code)


STREAM = {"type": "redis-stream", "stream": "talks", "mapping": "mapping.yaml"}
"""A source section."""


async def add(redis: Redis, *talks: dict[str, Any]) -> list[bytes]:
    """Write talks into the stream; the entries' ids."""
    return [await redis.xadd("talks", {"record": orjson.dumps(one)}) for one in talks]


async def until(holds: Callable[[], Awaitable[bool]], patience: float = 20.0) -> None:
    """Wait until something holds in Redis, which tells nobody."""
    async with asyncio.timeout(patience):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.02)


async def pending(redis: Redis) -> int:
    """How many entries somebody has and did not accept."""
    found: Any = await redis.xpending("talks", "leadsync")
    return int(found["pending"])
