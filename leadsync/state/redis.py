"""The connection to Redis, or to the embedded Valkey; and what its failures mean for a person."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from leadsync.errors import ConfigurationError, LeadsyncError, StateUnavailable
from leadsync.servers import SharedServer
from leadsync.state.cancelled import hear_cancels
from leadsync.state.valkey import SET_REDIS_URL, EmbeddedValkey

EMBEDDED = "embedded"

_SCHEMES = ("redis", "rediss", "unix")
_URL_SHAPE = "write redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://… for TLS, unix:///PATH.sock, or embedded"

_OPEN_SECONDS = 15
_CHECK_SERVER = f"see that it runs and can be reached from here, or {SET_REDIS_URL}"


@dataclass(frozen=True, slots=True)
class RedisConnection:
    """An open connection: `client` answers bytes; `place` names the server without its password.

    `socket` is the embedded server's, None for any other.
    """

    client: Redis
    place: str
    socket: Path | None = None
    _server: SharedServer | None = None

    @property
    def embedded(self) -> bool:
        """Whether this is the project's own Valkey."""
        return self._server is not None

    async def aclose(self) -> None:
        """Close every connection; the last process that uses the embedded server stops it."""
        try:
            await self.client.aclose()
        finally:
            if self._server is not None:
                await self._server.leave()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.aclose()


async def open_redis(url: str, folder: Path) -> RedisConnection:
    """Connect to `url`, or for `embedded` to the Valkey of the project in `folder`, which is started when needed.

    The server has answered a PING when this returns. Raises StateUnavailable when it does not, ConfigurationError for
    a URL that is none and where there is no embedded server.
    """
    if url == EMBEDDED:
        return await _open_embedded(folder)
    pool = _pool_of(url)
    connection = RedisConnection(Redis.from_pool(pool), _place(pool.connection_kwargs))
    return await _answering(connection)


async def _open_embedded(folder: Path) -> RedisConnection:
    valkey = EmbeddedValkey.of(folder)
    server = valkey.server()
    await server.join()
    try:
        socket = valkey.socket()
        pool = BlockingConnectionPool(connection_class=UnixDomainSocketConnection, path=str(socket), **_manners())
        hear_cancels(pool)
        connection = RedisConnection(Redis.from_pool(pool), str(socket), socket, server)
    except BaseException:
        await server.leave()
        raise
    return await _answering(connection)


async def _answering(connection: RedisConnection) -> RedisConnection:
    try:
        async with state_errors(connection.place):
            await _greeting(connection.client)
    except BaseException:
        await connection.aclose()
        raise
    return connection


async def _greeting(client: Redis) -> None:
    try:
        async with asyncio.timeout(_OPEN_SECONDS):
            await client.ping()
    except TimeoutError as error:
        raise exceptions.TimeoutError from error


def _manners() -> dict[str, Any]:
    """How every connection behaves; a URL's own options (`?socket_timeout=60`) win. Seconds.

    A command is sent again after a lost connection, never after a time-out: that would wait five times as long.
    No `health_check_interval`: with it and a retry, redis-py 8.1 calls itself without end when a login is refused.
    """
    return {
        "max_connections": 64,
        "timeout": 30,  # for a free connection of the pool
        "socket_connect_timeout": 5,
        "socket_timeout": 30,
        "retry": Retry(ExponentialBackoff(cap=1, base=0.05), 4, (exceptions.ConnectionError,)),
    }


def _pool_of(url: str) -> BlockingConnectionPool:
    _refuse_misread(url)
    try:
        pool = BlockingConnectionPool.from_url(url, **_manners())
        hear_cancels(pool)
        pool.make_connection()  # type: ignore[no-untyped-call]  # an unknown option of the URL shows only here
    except (ValueError, TypeError):
        # What these say may quote a part of the password.
        raise _bad_url("a part of it cannot be read (the port? an option after the `?`?)") from None
    return pool


def _refuse_misread(url: str) -> None:
    """Catch what the client library would read as something else without a word."""
    scheme, colon, _ = url.partition("://")
    if not colon or scheme not in _SCHEMES:
        raise _bad_url("it does not begin with redis://, rediss:// or unix://")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _bad_url("its host cannot be read") from None
    if "@" in parts.path + parts.query + parts.fragment:
        raise _bad_url("a `/`, `?` or `#` in the password must be written as %2F, %3F or %23, an `@` in a path as %40")
    if scheme == "unix":
        if not parts.path:
            raise _bad_url("it names no socket")
    elif not re.fullmatch(r"(/\d*)?", parts.path):
        raise _bad_url("after the host may stand the number of a database, nothing else")


def _bad_url(what: str) -> ConfigurationError:
    return ConfigurationError(f"the Redis URL is not right: {what}", where="redis.url (REDIS_URL)", do=_URL_SHAPE)


def _place(options: Mapping[str, Any]) -> str:
    if "path" in options:
        return str(options["path"])
    return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"


class state_errors:
    """`async with state_errors(place):` turns what Redis commands raise into StateUnavailable that says what to do.

    What no waiting and no person can cure (a wrong type, a wrong script) is a mistake of ours: a bare LeadsyncError.
    Redis's own words are in neither: they may quote a command's values.
    """

    __slots__ = ("place",)

    def __init__(self, place: str | None = None) -> None:
        self.place = place

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        error = _root(error)
        if not isinstance(error, exceptions.RedisError):
            return
        said = str(error).rpartition("of pipeline caused error: ")[2].lstrip("(\"'")
        remedy = _remedy(error, said)
        if remedy is not None:
            raise StateUnavailable(remedy[0], where=self.place, do=remedy[1]) from None
        if isinstance(error, exceptions.ResponseError):
            code = re.match(r"[A-Z]+(?= )", said)
            what = f"Redis refused a command of ours ({code[0] if code else 'ERR'})"
            raise LeadsyncError(what, where=self.place, do="report this as a mistake in leadsync") from None


def _root(error: BaseException | None) -> BaseException | None:
    """What the server said to the first words of a connection: redis-py wraps it into a ConnectionError."""
    while isinstance(error, exceptions.ConnectionError) and isinstance(error.__cause__, exceptions.RedisError):
        error = error.__cause__
    return error


def _remedy(error: exceptions.RedisError, said: str) -> tuple[str, str] | None:
    if (inside := _IN_SCRIPT.match(said)) is not None:
        said = inside["said"]
        error = exceptions.ReadOnlyError() if said.startswith("READONLY ") else error
        error = exceptions.OutOfMemoryError() if said.startswith("OOM ") else error
    for words, remedy in _BY_WORDS.items():
        if said.startswith(words):
            return remedy
    return next(((what, do) for kind, what, do in _BY_CLASS if isinstance(error, kind)), None)


_BY_CLASS: tuple[tuple[type[Exception], str, str], ...] = (
    (
        exceptions.AuthenticationError,
        "Redis does not accept the user or the password",
        "correct them in REDIS_URL; write special characters of a password as %XX",
    ),
    (exceptions.AuthorizationError, "Redis does not let this user in", "give the user of REDIS_URL its rights"),
    (
        exceptions.NoPermissionError,
        "the Redis user lacks a right",
        "allow the user of REDIS_URL all keys `leadsync:*`, the keys of its sources, and their commands",
    ),
    (exceptions.BusyLoadingError, "Redis is still loading its data", "wait until it is done"),
    (exceptions.TimeoutError, "Redis did not answer in time", _CHECK_SERVER),
    (exceptions.ConnectionError, "Redis cannot be reached", _CHECK_SERVER),
    (exceptions.ReadOnlyError, "this Redis is a replica and takes no writes", "point REDIS_URL at the primary"),
    (exceptions.OutOfMemoryError, "Redis has no memory left", "raise its maxmemory, or free some"),
    (exceptions.MovedError, "this node of a cluster does not hold our data", "point REDIS_URL at the node that does"),
    (exceptions.MasterDownError, "this replica has lost its primary", "point REDIS_URL at the primary"),
    (exceptions.ClusterError, "the Redis cluster is down", "wait until its nodes are up again"),
    (exceptions.TryAgainError, "the Redis cluster is moving its data", "wait until it is done"),
)

_IN_SCRIPT = re.compile(r"(ERR )?Error running script .*?: -(?P<said>[A-Z]+ .*)", re.DOTALL)
"""What Redis 6.2 makes of an error that a command of a script met; Redis 7 and Valkey hand it on as it is."""

_BY_WORDS = {
    "BUSY ": ("Redis is busy with somebody's script", "wait, or end that script"),
    "MISCONF ": ("Redis cannot save to its disk and takes no writes", "make room on its disk, and see its log"),
    "NOREPLICAS ": ("Redis has too few replicas and takes no writes", "bring its replicas back"),
    "unknown command": ("this Redis does not know a command we need", "use Redis 6.2 or Valkey 7.2, or newer"),
    "max number of clients reached": ("Redis has no connection left", "close other clients, or raise its maxclients"),
    "No connection available": ("all our connections to Redis are busy", "wait, or do less at once"),
    "DB index is out of range": ("Redis has no database of that number", "correct the number in REDIS_URL"),
}
