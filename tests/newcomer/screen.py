"""A terminal 80 columns wide: what a person has seen on it once a command has ended."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyte

COLUMNS, ROWS = 80, 24
_PAPER = 3 * COLUMNS
"""Columns that are looked at: a line that is too long for the terminal stands here in one piece, and is seen to be."""


@dataclass(frozen=True, slots=True)
class Shown:
    """How a command ended, and everything it showed on stdout and stderr, scrolled off or not."""

    code: int
    lines: list[str]


def shown(folder: Path, *arguments: str) -> Shown:
    """Type `leadsync …` in a folder and wait for its end; nobody answers questions."""
    ours, its = os.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    taken = {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"}
    command = subprocess.Popen(
        (sys.executable, "-m", "leadsync", *arguments),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=its,
        stderr=its,
        env={name: value for name, value in os.environ.items() if name not in taken} | {"TERM": "xterm-256color"},
    )
    os.close(its)
    with command:
        screen = pyte.HistoryScreen(_PAPER, ROWS, history=100_000)
        stream = pyte.ByteStream(screen)
        with suppress(OSError):  # EIO: the command has ended
            while part := os.read(ours, 65536):
                stream.feed(part)
        os.close(ours)
    return Shown(command.returncode, _lines(screen))


def _lines(screen: pyte.HistoryScreen) -> list[str]:
    gone = ["".join(line[column].data for column in range(_PAPER)) for line in screen.history.top]
    return "\n".join(line.rstrip() for line in [*gone, *screen.display]).rstrip("\n").split("\n")
