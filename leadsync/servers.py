"""A server that the processes of one project folder share: the first one starts it, the last one stops it.

Three files in the project's private folder say who is there; the kernel lets go of a lock when its process dies,
however it dies, so none of them can lie after a crash:

    NAME.start.lock   held alone while somebody starts or stops the server
    NAME.users.lock   held together by everybody who uses it
    NAME.pid          held by the server itself as long as it lives (it inherits the open file); holds its pid

After a SIGKILL of the last user the server runs on without users: whoever comes next uses it, and stops it at the end.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO, Self

from leadsync.errors import ConfigurationError, StateUnavailable

try:
    import fcntl
except ImportError:  # Windows has no flock
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

_SPAWN = '"$@" & echo $! >"$0"'  # the shell ends at once: the server is nobody's child, so it leaves no zombie behind
_START = 6  # times the patience
_LOG_LIMIT = 1 << 20  # bytes
_SHOWN_LINES = 5


class Health(StrEnum):
    """What a probe found: a server that serves, one that is alive but not ready yet, or no answer."""

    READY = "ready"
    BUSY = "busy"
    SILENT = "silent"


def private_folder(project: Path) -> Path:
    """`.leadsync/` in a project folder, made when missing: for this user only, and ignored by git.

    Raises StateUnavailable when it cannot be made or belongs to somebody else.
    """
    folder = project.resolve() / ".leadsync"
    with _explained(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o077:
            folder.chmod(0o700)
        if not (folder / ".gitignore").exists():
            (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    return folder


@dataclass(slots=True, kw_only=True, eq=False)
class SharedServer:
    """One server of one folder, as seen by one of its users.

    `command` gives the command line; it is called only when the server has to be started, and may prepare what the
    server needs. `probe` asks the server for its health and never raises. `leftovers` are files (or empty folders)
    that a dead server may leave: they are removed before a start and after a stop. `instead` is what a person can do
    where this does not work. `patience`, in seconds, is how long a living server may be silent before it counts as
    hung, and how long it gets to end by itself; a start may take six times as long.
    """

    folder: Path
    name: str
    command: Callable[[], Sequence[str]]
    probe: Callable[[], Awaitable[Health]]
    leftovers: Callable[[], Iterable[Path]]
    instead: str
    patience: float = 10.0
    _user: _LockFile | None = field(default=None, init=False, repr=False)

    async def join(self) -> None:
        """Become a user of the server, which is started when it does not run. Joining twice is joining once.

        Raises StateUnavailable with the reason when it does not start; ConfigurationError where files have no locks.
        """
        if fcntl is None:
            raise ConfigurationError("this platform cannot share a server between processes", do=self.instead)
        if self._user is not None:
            return
        with _explained(self.folder, self.instead):
            async with self._alone():
                if not await self._settled(self.patience):
                    await self._replace()
                self._user = _LockFile(self._path("users.lock"))
                self._user.grab(fcntl.LOCK_SH)

    async def leave(self) -> None:
        """Stop being a user; the last one stops the server. Never raises: a server left behind is found by the next."""
        user, self._user = self._user, None
        if user is None:
            return
        try:
            async with self._alone():
                if user.grab(fcntl.LOCK_EX):
                    await self._end()
        except (OSError, StateUnavailable) as error:
            logger.warning("the %s server could not be stopped: %s", self.name, error)
        finally:
            user.close()

    async def __aenter__(self) -> Self:
        await self.join()
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.leave()

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        lock = _LockFile(self._path("start.lock"))
        try:
            if not await _until(lambda: lock.grab(fcntl.LOCK_EX), _START * self.patience):
                raise StateUnavailable(
                    f"another leadsync process is still starting or stopping the {self.name} server",
                    where=str(self.folder),
                    do="try again in a minute; a process that hangs there can be killed",
                )
            yield
        finally:
            lock.close()

    async def _settled(self, seconds: float) -> bool:
        """Whether the server lives and serves; one that is busy (loading its data) is given all the time it takes."""
        deadline = time.monotonic() + seconds
        async for _ in _ticks():
            if not self._alive():
                return False
            health = await self.probe()
            if health is Health.READY:
                return True
            if health is Health.BUSY:
                deadline = time.monotonic() + seconds
            elif time.monotonic() > deadline:
                return False
        raise AssertionError("ticks never end")

    async def _replace(self) -> None:
        if not await self._end():
            raise StateUnavailable(
                f"the {self.name} server of this folder lives but does not answer, and cannot be ended from here",
                where=str(self._path("pid")),
                do="end the process that holds this file open, and try again",
            )
        beginning = self._spawn()
        try:
            started = await self._settled(_START * self.patience)
        except BaseException:
            self._signal(signal.SIGKILL)
            raise
        if not started:
            await self._end()
            raise StateUnavailable(
                f"the {self.name} server did not start: {self._said_since(beginning)}",
                where=str(self._path("log")),
                do=f"remove what it complains about, or {self.instead}",
            )

    def _spawn(self) -> int:
        """Start the server, and return where in the log it begins to speak."""
        command = self.command()
        pid_file = _LockFile(self._path("pid"))
        try:
            pid_file.grab(fcntl.LOCK_EX)
            os.ftruncate(pid_file.descriptor, 0)
            with self._log() as log:
                beginning = log.tell()
                subprocess.run(
                    ["/bin/sh", "-c", _SPAWN, str(self._path("pid")), *command],
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=[pid_file.descriptor],
                    start_new_session=True,
                    umask=0o077,
                    check=False,  # what went wrong stands in the log
                )
        finally:
            pid_file.close(unlock=False)  # the server's copy keeps the lock
        return beginning

    def _log(self) -> IO[bytes]:
        log = os.fdopen(os.open(self._path("log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab")
        if log.tell() > _LOG_LIMIT:
            log.truncate(0)
        return log

    def _said_since(self, beginning: int) -> str:
        with self._path("log").open("rb") as log:
            log.seek(beginning)
            lines = log.read().decode(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return "\n    ".join(["its last lines were", *said[-_SHOWN_LINES:]]) if said else "it said nothing"

    def _alive(self) -> bool:
        pid_file = _LockFile(self._path("pid"))
        try:
            return not pid_file.grab(fcntl.LOCK_SH)
        finally:
            pid_file.close()

    def _signal(self, number: int) -> bool:
        pid = self._pid()
        if pid is None or not self._alive():
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        return True

    def _pid(self) -> int | None:
        """The server's pid, unless the process of that number is somebody else (another container's numbering)."""
        try:
            pid = int(self._path("pid").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
        return pid if _holds_open(pid, self._path("pid")) else None

    async def _end(self) -> bool:
        """Stop the server if it lives, and clear up; False when it lives on."""
        reached = False
        for number in (signal.SIGTERM, signal.SIGKILL):
            reached = self._signal(number) or reached
            if await _until(lambda: not self._alive(), self.patience if reached else 0):
                self._clear()
                return True
        return False

    def _clear(self) -> None:
        for path in self.leftovers():
            if path.is_dir() and not path.is_symlink():
                with suppress(OSError):  # not empty: somebody keeps something there
                    path.rmdir()
            else:
                path.unlink(missing_ok=True)

    def _path(self, suffix: str) -> Path:
        return self.folder / f"{self.name}.{suffix}"


class _LockFile:
    """An open lock file. Two of them in one process are as strange to each other as in two processes."""

    __slots__ = ("descriptor",)

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def grab(self, kind: int) -> bool:
        """Take the lock without waiting, LOCK_SH or LOCK_EX; False when somebody else has it."""
        try:
            fcntl.flock(self.descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self, *, unlock: bool = True) -> None:
        """Let go; closing alone would not do while a forked process has a copy of the descriptor."""
        if unlock:
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        os.close(self.descriptor)


def _holds_open(pid: int, path: Path) -> bool:
    descriptors = Path(f"/proc/{pid}/fd")
    if not Path("/proc/self/fd").is_dir():  # macOS: pids are numbered once for all, the lock is proof enough
        return True
    ours = path.stat()
    try:
        for descriptor in descriptors.iterdir():
            with suppress(FileNotFoundError):
                if os.path.samestat(descriptor.stat(), ours):
                    return True
    except OSError:
        return False
    return False


async def _ticks() -> AsyncIterator[None]:
    pause = 0.002
    while True:
        yield
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.1)


async def _until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until it holds; False when it does not within so many seconds. There is no file lock one could await."""
    deadline = time.monotonic() + seconds
    async for _ in _ticks():
        if condition():
            return True
        if time.monotonic() > deadline:
            return False
    raise AssertionError("ticks never end")


@contextmanager
def _explained(folder: Path, instead: str = "set REDIS_URL to a server of your own") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StateUnavailable(
            f"the folder cannot be used: {error.strerror or error}",
            where=str(error.filename or folder),
            do=f"make it belong to this user and writable, or {instead}",
        ) from error
