"""A server shared by the processes of one folder: who starts it, who stops it, and what a crash leaves behind."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from leadsync.errors import StateUnavailable
from leadsync.servers import Health, SharedServer, private_folder
from leadsync.state.valkey import EmbeddedValkey

USER = """
import asyncio, sys
from pathlib import Path
from leadsync.state.valkey import EmbeddedValkey

async def main():
    async with EmbeddedValkey.of(Path(sys.argv[1])).server():
        print("joined", flush=True)
        await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
print("left", flush=True)
"""


class User:
    """A process of its own that uses the embedded Valkey of a folder until it is told to leave, or killed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        assert process.stdin is not None
        assert process.stdout is not None
        self.stdin, self.stdout = process.stdin, process.stdout

    async def joined(self) -> User:
        assert await self.stdout.readline() == b"joined\n"
        return self

    async def leaves(self) -> None:
        self.stdin.write(b"\n")
        assert await self.stdout.readline() == b"left\n"
        assert await self.process.wait() == 0

    async def is_killed(self) -> None:
        self.process.kill()
        await self.process.wait()


@pytest.fixture
async def start_user(tmp_path: Path) -> AsyncIterator[Callable[[], Awaitable[User]]]:
    users: list[User] = []

    async def start() -> User:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", USER, str(tmp_path), stdin=pipe, stdout=pipe
        )
        users.append(User(process))
        return users[-1]

    yield start
    for user in users:
        if user.process.returncode is None:
            await user.is_killed()
    async with EmbeddedValkey.of(tmp_path).server():
        """Whatever a failed test left behind is stopped by its last user."""


def _pid(folder: Path, name: str = "valkey") -> int:
    return int((folder / ".leadsync" / f"{name}.pid").read_text())


async def _health(folder: Path) -> Health:
    return await EmbeddedValkey.of(folder).server().probe()


async def _ended(folder: Path, name: str) -> None:
    """Returns once the server lives no more: its pid file is free."""
    with (folder / ".leadsync" / f"{name}.pid").open() as pid_file:
        await asyncio.to_thread(fcntl.flock, pid_file, fcntl.LOCK_SH)


def _shell_server(folder: Path, script: str, probe: Callable[[], Awaitable[Health]], patience: float) -> SharedServer:
    return SharedServer(
        folder=private_folder(folder),
        name="shell",
        command=lambda: ["/bin/sh", "-c", script],
        probe=probe,
        leftovers=list,
        instead="use something else",
        patience=patience,
    )


async def _never() -> Health:
    return Health.SILENT


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is none of our business."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


async def test_processes_share_one_server_and_the_last_one_stops_it(start_user, tmp_path):
    """The second process finds the first one's server; it runs until both have left, in any order."""
    first = await (await start_user()).joined()
    pid = _pid(tmp_path)
    second = await (await start_user()).joined()
    assert _pid(tmp_path) == pid
    await first.leaves()
    assert await _health(tmp_path) is Health.READY
    await second.leaves()
    assert await _health(tmp_path) is Health.SILENT
    await _ended(tmp_path, "valkey")
    assert not (tmp_path / ".leadsync/valkey.sock").exists()


async def test_a_server_whose_last_user_was_killed_is_taken_over(start_user, tmp_path):
    """After a SIGKILL of the only user the next one gets the same server, and stops it at its end."""
    victim = await (await start_user()).joined()
    pid = _pid(tmp_path)
    await victim.is_killed()
    assert await _health(tmp_path) is Health.READY
    heir = await (await start_user()).joined()
    assert _pid(tmp_path) == pid
    await heir.leaves()
    assert await _health(tmp_path) is Health.SILENT


async def test_a_killed_user_does_not_keep_the_others_from_stopping_the_server(start_user, tmp_path):
    """The dead are no users: whoever leaves last among the living stops the server."""
    victim, survivor = await (await start_user()).joined(), await (await start_user()).joined()
    await victim.is_killed()
    await survivor.leaves()
    assert await _health(tmp_path) is Health.SILENT


async def test_five_first_starts_at_once_make_one_server(start_user, tmp_path):
    """However many processes come first at the same moment, one server is started."""
    users = [await start_user() for _ in range(5)]
    await asyncio.gather(*(user.joined() for user in users))
    assert (tmp_path / ".leadsync/valkey.log").read_text().count("Valkey is starting") == 1
    await asyncio.gather(*(user.leaves() for user in users))
    assert await _health(tmp_path) is Health.SILENT


async def test_users_of_one_process_count_each(tmp_path):
    """Two users inside one process are two users; joining twice and leaving twice change nothing."""
    valkey = EmbeddedValkey.of(tmp_path)
    first, second = valkey.server(), valkey.server()
    await asyncio.gather(first.join(), second.join())
    await first.join()
    await first.leave()
    await first.leave()
    assert await second.probe() is Health.READY
    await second.leave()
    assert await second.probe() is Health.SILENT


async def test_a_killed_server_is_started_anew(tmp_path):
    """A socket and a pid file without a server behind them are recognised, and do not disturb the next start."""
    valkey = EmbeddedValkey.of(tmp_path)
    bereaved = valkey.server()
    await bereaved.join()
    dead = _pid(tmp_path)
    os.kill(dead, signal.SIGKILL)
    await _ended(tmp_path, "valkey")
    assert valkey.socket().exists()
    async with valkey.server() as server:
        assert await server.probe() is Health.READY
        assert _pid(tmp_path) != dead
        await bereaved.leave()
        assert await server.probe() is Health.READY


async def test_a_hung_server_is_replaced(tmp_path):
    """A server that lives but stays silent is ended, by force when it does not listen, and another one started."""
    valkey = EmbeddedValkey.of(tmp_path)
    first = valkey.server()
    await first.join()
    hung = _pid(tmp_path)
    os.kill(hung, signal.SIGSTOP)
    async with valkey.server(patience=0.5) as second:
        assert await second.probe() is Health.READY
        assert _pid(tmp_path) != hung
        await first.leave()


async def test_a_strangers_pid_is_never_signalled(tmp_path, stranger):
    """A pid that stands in our file by accident (a reboot, another container) belongs to somebody else."""
    (private_folder(tmp_path) / "valkey.pid").write_text(f"{stranger.pid}\n")
    async with EmbeddedValkey.of(tmp_path).server():
        assert _pid(tmp_path) != stranger.pid
    assert stranger.poll() is None


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="without /proc nobody can tell whose pid it is")
async def test_a_server_out_of_reach_is_left_alone(tmp_path, stranger):
    """When something else holds the pid file, nothing is started and nobody is ended; a person is told the file."""
    with (private_folder(tmp_path) / "valkey.pid").open("w") as pid_file:
        pid_file.write(f"{stranger.pid}\n")
        pid_file.flush()
        fcntl.flock(pid_file, fcntl.LOCK_EX)
        with pytest.raises(StateUnavailable, match=r"cannot be ended from here(.|\n)*valkey\.pid"):
            await EmbeddedValkey.of(tmp_path).server(patience=0.05).join()
    assert stranger.poll() is None


async def test_a_server_that_cannot_start_gives_its_reason(tmp_path):
    """The last lines of its log, the log's place and what to do instead stand in the error."""
    server = _shell_server(tmp_path, "echo early; echo the disk is full >&2; exit 1", _never, 30)
    with pytest.raises(StateUnavailable) as failure:
        await server.join()
    assert "early\n    the disk is full" in failure.value.what
    assert str(failure.value.where).endswith("shell.log")
    assert "use something else" in str(failure.value)
    assert failure.value.exit_code == 1


async def test_only_this_start_speaks_in_the_error(tmp_path):
    """What the server said at an earlier start is not this failure's reason."""
    (private_folder(tmp_path) / "shell.log").write_text("yesterday\n")
    with pytest.raises(StateUnavailable, match="it said nothing"):
        await _shell_server(tmp_path, "exit 1", _never, 30).join()
    assert (tmp_path / ".leadsync/shell.log").read_text() == "yesterday\n"


async def test_a_server_that_never_answers_is_ended(tmp_path):
    """A start that leads nowhere leaves no process behind."""
    with pytest.raises(StateUnavailable, match="did not start"):
        await _shell_server(tmp_path, "exec sleep 600", _never, 0.05).join()
    await _ended(tmp_path, "shell")


async def test_a_cancelled_join_leaves_nothing_running(tmp_path):
    """Ctrl-C during the start ends the server that was being started, and lets the next one begin."""
    asked = asyncio.Event()

    async def probe() -> Health:
        asked.set()
        return Health.SILENT

    joining = asyncio.create_task(_shell_server(tmp_path, "exec sleep 600", probe, 60).join())
    await asked.wait()
    joining.cancel()
    with suppress(asyncio.CancelledError):
        await joining
    await _ended(tmp_path, "shell")
    with pytest.raises(StateUnavailable, match="it said nothing"):
        await _shell_server(tmp_path, "exit 1", _never, 60).join()


async def test_a_busy_server_gets_the_time_it_needs(tmp_path):
    """A server that says it is loading is waited for, long after a silent one would have been given up."""
    asked = 0

    async def probe() -> Health:
        nonlocal asked
        asked += 1
        return Health.BUSY if asked < 12 else Health.READY

    async with _shell_server(tmp_path, "exec sleep 600", probe, 0.05):
        assert asked == 12
    await _ended(tmp_path, "shell")


async def test_waiting_for_a_stuck_start_ends(tmp_path):
    """When another process holds the start lock for ever, the error says so."""
    with (private_folder(tmp_path) / "shell.start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StateUnavailable, match="another leadsync process is still starting"):
            await _shell_server(tmp_path, "exit 1", _never, 0.01).join()


async def test_leaving_never_raises(tmp_path, caplog):
    """A server that cannot be stopped is a line in the log: the work was done."""
    server = EmbeddedValkey.of(tmp_path).server()
    await server.join()
    server.patience = 0.01
    with (tmp_path / ".leadsync/valkey.start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        await server.leave()
    assert "valkey server could not be stopped" in caplog.text
    async with EmbeddedValkey.of(tmp_path).server():
        """The next one takes it over, and stops it."""
    assert await server.probe() is Health.SILENT


async def test_the_log_does_not_grow_for_ever(tmp_path):
    """A log of more than a mebibyte begins anew at the next start."""
    (private_folder(tmp_path) / "valkey.log").write_text("x" * (1 << 20) + "\n")
    async with EmbeddedValkey.of(tmp_path).server():
        assert (tmp_path / ".leadsync/valkey.log").stat().st_size < 100_000


def test_the_private_folder_is_private_and_ignored(tmp_path):
    """`.leadsync/` is readable for its user only, even if it was not, and git does not see it."""
    (tmp_path / ".leadsync").mkdir(mode=0o755)
    folder = private_folder(tmp_path)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"


def test_a_folder_that_cannot_be_used_is_named(tmp_path):
    """A project folder in which nothing can be made is an error with its place."""
    (tmp_path / "file").touch()
    with pytest.raises(StateUnavailable, match=r"cannot be used: Not a directory(.|\n)*file"):
        private_folder(tmp_path / "file")


WITHOUT_LOCKS = """
import asyncio, sys
sys.modules["fcntl"] = None
from pathlib import Path
from leadsync.errors import ConfigurationError
from leadsync.state.redis import open_redis
try:
    asyncio.run(open_redis("embedded", Path(sys.argv[1])))
except ConfigurationError as error:
    print(error)
"""


def test_a_platform_without_file_locks_says_what_to_do(tmp_path):
    """Where processes cannot share a server (Windows), the error names REDIS_URL."""
    command = [sys.executable, "-c", WITHOUT_LOCKS, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "cannot share a server" in said
    assert "set REDIS_URL" in said
