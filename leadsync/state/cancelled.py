"""Cancelled: connections to Redis on which a cancel is never missed.

Until Python 3.12 `asyncio.wait_for` forgets a cancel that comes in the moment in which what it waits for is done
(github.com/python/cpython/issues/86296), and redis-py (8.1) sends every command through it. A SIGTERM, a deadline or a
broken-off group of tasks would then be heard by nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from redis.asyncio import Connection, ConnectionPool, SSLConnection, UnixDomainSocketConnection


class _Hearing:
    """Goes before a class of connections."""

    async def send_packed_command(self: Any, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        """Send it. Raises CancelledError when somebody cancelled the task meanwhile, whatever became of that."""
        task = asyncio.current_task()
        before = 0 if task is None else task.cancelling()
        await super().send_packed_command(command, check_health)  # type: ignore[misc]
        if task is not None and task.cancelling() > before:
            await self.disconnect(nowait=True)  # nobody will read the answer
            raise asyncio.CancelledError


class _Tcp(_Hearing, Connection):
    pass


class _Tls(_Hearing, SSLConnection):
    pass


class _Unix(_Hearing, UnixDomainSocketConnection):
    pass


_HEARING: dict[type[Any], type[Any]] = {Connection: _Tcp, SSLConnection: _Tls, UnixDomainSocketConnection: _Unix}


def hear_cancels(pool: ConnectionPool) -> None:
    """Let the connections that a pool makes from now on miss no cancel."""
    pool.connection_class = _HEARING.get(pool.connection_class, pool.connection_class)
