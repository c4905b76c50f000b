"""The command as people run it in a project folder: to its end, for a while, or on a terminal."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, chdir, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from leadsync.cli import run_command

_STYLES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: its exit code, and what it wrote."""

    code: int
    out: str
    err: str


@dataclass(slots=True)
class Running:
    """A command that has not ended yet."""

    process: asyncio.subprocess.Process

    async def line(self) -> str:
        """The next line of its results."""
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().rstrip("\n")

    async def said(self, part: str) -> str:
        """The next line on stderr that holds a text; fails when the command ends without one."""
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            if part in line.decode():
                return line.decode()
        raise AssertionError(f"it never said {part!r}")

    async def ended(self, send: signal.Signals | None = None) -> Ended:
        """Wait for its end, after a signal if one is given."""
        if send is not None:
            self.process.send_signal(send)
        out, err = await self.process.communicate()
        assert self.process.returncode is not None
        return Ended(self.process.returncode, out.decode(), err.decode())


@asynccontextmanager
async def running(folder: Path, *arguments: str, program: Sequence[str] = ("-m", "leadsync")) -> AsyncIterator[Running]:
    """Start a command in a folder, as a process of its own; it is killed at the end of the block if it still runs.

    `program` is what Python is to run.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *program, *arguments),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def run(folder: Path, *arguments: str) -> Ended:
    """Run a command in a folder to its end, in this process: a new one for each would take half a second."""
    return await asyncio.to_thread(_run, folder, arguments)


def _run(folder: Path, arguments: Sequence[str]) -> Ended:
    out, err = StringIO(), StringIO()
    with chdir(folder), redirect_stdout(out), redirect_stderr(err), _logging_kept():
        code = run_command(list(arguments))
    return Ended(code, out.getvalue(), err.getvalue())


@contextmanager
def _logging_kept() -> Iterator[None]:
    logger = logging.getLogger("leadsync")
    level, handlers, propagate = logger.level, logger.handlers, logger.propagate
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.handlers, logger.propagate = handlers, propagate


async def on_terminal(folder: Path, *arguments: str, columns: int = 80) -> list[str]:
    """The lines a command shows on a terminal of that width, without their styles."""
    ours, its = os.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "leadsync", *arguments),
            cwd=folder,
            stdin=its,
            stdout=its,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "COLUMNS": str(columns), "TERM": "xterm"},
        )
    finally:
        os.close(its)
    shown = await asyncio.to_thread(_everything, ours)
    assert await process.wait() == 0
    return _STYLES.sub("", shown).replace("\r", "").split("\n")


def _everything(terminal: int) -> str:
    parts = []
    with suppress(OSError):  # EIO: the other end is closed
        while part := os.read(terminal, 65536):
            parts.append(part)
    os.close(terminal)
    return b"".join(parts).decode()
