"""A clock that a test moves: `moved_clock.py FILE COMMAND…` is leadsync in a process of its own that lives by it."""

from __future__ import annotations

import mmap
import struct
import sys
import time
from pathlib import Path

_NOW = struct.Struct("d")


class MovedClock:
    """Unix seconds that stand still until they are moved, the same for everybody who has opened its file."""

    def __init__(self, file: Path, now: float | None = None) -> None:
        """`now` makes the file anew."""
        if now is not None:
            file.write_bytes(_NOW.pack(now))
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), _NOW.size)

    def __call__(self) -> float:
        return float(_NOW.unpack_from(self._shared)[0])

    def move(self, seconds: float) -> None:
        """Let so many seconds pass, for everybody."""
        _NOW.pack_into(self._shared, 0, self() + seconds)


def main(file: str, *command: str) -> None:
    """Run a command of leadsync by the clock in a file. Lengths of time (pauses, time-outs, leases) stay what they are:
    those are of the monotonic clock."""
    time.time = MovedClock(Path(file))
    from leadsync.cli import main as leadsync  # noqa: PLC0415 - what it is bound to when it is imported has to be ours

    leadsync(list(command))


if __name__ == "__main__":
    main(*sys.argv[1:])
