"""When requests came, as the kernel noted it: a look-alike on a busy machine reads late, and several of them at once.

Linux notes when a TCP socket received what is read from it (SO_TIMESTAMPNS, since 4.14); on loopback that is while the
sender sends. Where no kernel does, a request came when it was read.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Sequence

_NOTE_TIMES = 35 if sys.platform == "linux" else None
"""SO_TIMESTAMPNS of linux/socket.h, and the type of the notes; Python has no name for it."""

_TIME = struct.Struct("@ll")
_SPACE = socket.CMSG_SPACE(_TIME.size) if hasattr(socket, "CMSG_SPACE") else 0

Note = tuple[int, int, bytes]
"""What the kernel tells beside the bytes: level, type, value."""


class Arrivals:
    """When the request that is being read from a client's address began to come, on the monotonic clock."""

    def __init__(self) -> None:
        self._began: dict[object, float] = {}

    def listen(self, host: str, port: int) -> socket.socket:
        """A listening socket whose connections note when requests come. Raises OSError."""
        listening = _Listening(self)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if _NOTE_TIMES is not None:
                listening.setsockopt(socket.SOL_SOCKET, _NOTE_TIMES, 1)
            listening.bind((host, port))
        except BaseException:
            listening.close()
            raise
        return listening

    def note(self, client: object, notes: Sequence[Note]) -> None:
        """Something of a request came; its first part counts."""
        if client not in self._began and (received := _received(notes)) is not None:
            self._began[client] = min(time.monotonic(), received + _apart())

    def taken(self, client: object) -> float | None:
        """When the request came that was read from there, which is over now; None where no kernel has noted it."""
        return self._began.pop(client, None)


class _Listening(socket.socket):
    def __init__(self, arrivals: Arrivals) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)
        self._arrivals = arrivals

    def accept(self) -> tuple[socket.socket, object]:
        connection, client = super().accept()
        self._arrivals.taken(client)  # what another one from there has left
        return _Connection(self._arrivals, client, connection.detach()), client


class _Connection(socket.socket):
    def __init__(self, arrivals: Arrivals, client: object, number: int) -> None:
        super().__init__(fileno=number)
        self._arrivals = arrivals
        self._client = client

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        if _NOTE_TIMES is None:
            return super().recv(size, flags)
        data, notes, *_ = self.recvmsg(size, _SPACE, flags)
        if data:
            self._arrivals.note(self._client, notes)
        return data


def _apart() -> float:
    """Seconds by which the monotonic clock is ahead of the time of day; whoever is interrupted between reading both
    would take the pause for a part of it, so that the quickest of some readings counts."""
    readings = [(time.monotonic(), time.time(), time.monotonic()) for _ in range(3)]
    before, day, after = min(readings, key=lambda one: one[2] - one[0])
    return (before + after) / 2 - day


def _received(notes: Sequence[Note]) -> float | None:
    """Unix seconds out of what the kernel tells."""
    for level, kind, value in notes:
        if (level, kind) == (socket.SOL_SOCKET, _NOTE_TIMES) and len(value) >= _TIME.size:
            seconds, nanoseconds = _TIME.unpack_from(value)
            return float(seconds + nanoseconds / 1e9)
    return None
