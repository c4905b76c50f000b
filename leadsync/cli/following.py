"""`leadsync run --follow`: the service in a terminal or under systemd, with its signals."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

from pydantic import SecretStr

from leadsync.cli.addresses import Address, check_address
from leadsync.cli.endings import Terminated
from leadsync.cli.output import error_console
from leadsync.config.loader import Project, load_project
from leadsync.events import Event, StateChanged, Warned
from leadsync.follow.crew import Left
from leadsync.follow.service import Service
from leadsync.follow.watch import Watch
from leadsync.project import Listeners
from leadsync.safety import Limits
from leadsync.sync.results import RunReport
from leadsync.troubles import State

_DOING = {
    State.WORKING: "following",
    State.CRM: "amoCRM is unavailable, records wait",
    State.REDIS: "Redis is unavailable, records wait",
    State.SOURCE: "a source is unavailable",
    State.BANNED: "amoCRM has blocked us: nothing is sent, one try every 5 minutes",
    State.FORBIDDEN: "amoCRM forbids a call: nothing is sent, one try every 5 minutes",
    State.LOGIN: "a login is needed, records wait: leadsync auth login",
    State.DRAINING: "finishing what is under way; once more stops at once",
}


def follow(
    source: str | None,
    config: str | None,
    drain: float,
    max_new_leads: int | None = None,
    max_changed_share: float | None = None,
    metrics: Address | None = None,
) -> RunReport:
    """Follow a source, or all, until a signal comes; SIGHUP reads the files again. `metrics` are shown at an address.

    Raises ConfigurationError and StartRefused at the beginning; KeyboardInterrupt or Terminated after a second signal,
    and when what was under way took longer than `drain` seconds.
    """

    def load() -> Project:
        return load_project(Path(config) if config else None)

    def limits(project: Project) -> Limits:
        return Limits.of(project, max_new_leads, max_changed_share)

    project = load()  # what is wrong with the files is told before anything begins
    sources = [source] if source else list(project.sources)
    key = project.settings.leadsync_api_key
    if metrics is not None:
        check_address(metrics, key)
    watch, listeners = Watch(project), Listeners(Telling(sources))
    listeners.add(watch)
    service = Service(load, [source] if source else [], listener=listeners, limits=limits, drain=drain)
    told: list[signal.Signals] = []
    try:
        report = asyncio.run(_until_told(service, _watched(watch, metrics, key), told))
    except asyncio.CancelledError:
        raise _ending(told) from None
    _say_left(service.left)
    if service.left.broken:
        raise _ending(told)
    return report


@asynccontextmanager
async def _watched(watch: Watch, metrics: Address | None, key: SecretStr | None) -> AsyncIterator[None]:
    """Let machines see what goes on in the block."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(watch)
        if metrics is not None:
            from leadsync.cli.watching import shown  # noqa: PLC0415 - FastAPI is slow, and not needed without it

            await stack.enter_async_context(shown(watch, metrics, key))
        yield


async def _until_told(
    service: Service, watched: AbstractAsyncContextManager[None], told: list[signal.Signals]
) -> RunReport:
    task = asyncio.current_task()
    assert task is not None

    def end(number: signal.Signals) -> None:
        told.append(number)
        if len(told) == 1:
            service.end(number.name)
        else:
            task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number)
    loop.add_signal_handler(signal.SIGHUP, service.reload)
    async with watched:
        return await service.run()


def _ending(told: Sequence[signal.Signals]) -> KeyboardInterrupt:
    return Terminated() if told and told[-1] is signal.SIGTERM else KeyboardInterrupt()


class Telling:
    """A listener that says on stderr what the service is doing, whenever that changes."""

    def __init__(self, sources: Sequence[str]) -> None:
        self._sources = ", ".join(sources)

    def __call__(self, event: Event) -> None:
        if isinstance(event, StateChanged):
            doing = _DOING[State(event.state)]
            if event.state == State.WORKING:
                doing = f"{doing} {self._sources}"
            _say(f"{doing} ({event.why})" if event.why else doing)
        elif isinstance(event, Warned):
            _say(event.what)


def _say_left(left: Left) -> None:
    if left.broken:
        _say("what was under way did not finish in time; whoever comes next finishes it")
    counts = {"waiting": left.records, "not quiet yet": left.settling}
    said = " and ".join(f"{count} {what}" for what, count in counts.items() if count)
    _say(f"left: {said}, found again at the next start" if said else "nothing is left")


def _say(what: str) -> None:
    error_console().print(f"leadsync: {what}")
