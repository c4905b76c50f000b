"""SIGTERM (systemd, `docker stop`) ends every command as cleanly as Ctrl-C does."""

from __future__ import annotations

import fcntl
import signal
from pathlib import Path

import pytest

from leadsync.state.kept_catalogue import drop_catalogue
from tests.cli.terminal import run, running
from tests.world import MAPPING, NAMES, World, talk

SAID = "leadsync: interrupted; what was finished is remembered"


@pytest.mark.parametrize("name", ["dry-run", "run", "failed retry", "rebuild", "validate", "fields"])
async def test_every_command_ends_with_143(world: World, name: str) -> None:
    """A command that waits for amoCRM is cancelled, says so, and ends with 143."""
    world.write({**MAPPING, "key_field": "ID диалога"})
    await world.store([talk("1", phone="123")])
    await run(world.folder, "run")
    await drop_catalogue(world.redis, NAMES)  # else the account is not asked within the hour
    world.sandbox.requests.clear()
    world.sandbox.faults.add("GET /api/v4/account late seconds=30")
    async with running(world.folder, *name.split()) as command:
        await asked(world)
        ended = await command.ended(signal.SIGTERM)
    assert (ended.code, ended.out, ended.err.strip()) == (143, "", SAID)


async def test_the_shared_server_is_left(world: World) -> None:
    """The embedded Redis is stopped, not left behind without users; a second SIGTERM does not break that off."""
    world.write(redis={"url": "embedded"})
    world.sandbox.faults.add("GET /api/v4/account late seconds=30")
    async with running(world.folder, "run") as command:
        await asked(world)
        server = world.folder / ".leadsync/valkey.pid"
        assert not free(server)
        command.process.send_signal(signal.SIGTERM)
        ended = await command.ended(signal.SIGTERM)
    assert (ended.code, ended.err.strip()) == (143, SAID)
    assert free(server)


def free(path: Path) -> bool:
    """Whether no server holds its file."""
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


async def asked(world: World) -> None:
    """Wait until the command has asked for the account."""
    while not world.requests("GET", "/api/v4/account"):
        await world.sandbox.requests.reached(world.sandbox.requests.total + 1)
