"""The other end of a login on this machine: a tiny web server at the redirect URI that waits for the browser."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from errno import EADDRINUSE
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

import click
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from leadsync.amocrm.login import UnknownState
from leadsync.amocrm.login_page import HEADERS, login_page
from leadsync.amocrm.tokens import Tokens
from leadsync.errors import LeadsyncError

Finish = Callable[[Mapping[str, str]], Awaitable[Tokens]]
"""What turns the query of a callback into stored tokens."""

DONE = ("Готово, можно закрыть окно", "Done: you can close this window.")
STALE = ("Эта ссылка для входа не подходит", "This is not the login that leadsync waits for. Use the link it printed.")
FAILED = ("Войти не получилось", "The login did not work. The terminal says why, and what to do.")

_GRACE = 2
"""Seconds in which the last page is sent before connections are closed."""


def can_listen(redirect_uri: str) -> bool:
    """Whether a redirect URI leads back to this machine over plain http, so that we can answer there."""
    parts = urlsplit(redirect_uri)
    return parts.scheme == "http" and _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@asynccontextmanager
async def listening(redirect_uri: str, finish: Finish) -> AsyncIterator[asyncio.Future[Tokens]]:
    """Answer at the redirect URI until the block ends; the future holds the tokens, or why there are none.

    A callback with a wrong state changes nothing: the one that was begun can still come. Raises LeadsyncError when
    the port cannot be had.
    """
    outcome: asyncio.Future[Tokens] = asyncio.get_running_loop().create_future()
    app = Starlette(routes=[Route(unquote(urlsplit(redirect_uri).path) or "/", _endpoint(finish, outcome))])
    sockets = _sockets(redirect_uri)
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",
        access_log=False,  # it would hold the code
        server_header=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=_GRACE,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=sockets))
    try:
        yield outcome
    finally:
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: Ctrl-C belongs to the command."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _endpoint(finish: Finish, outcome: asyncio.Future[Tokens]) -> Callable[[Request], Awaitable[HTMLResponse]]:
    async def answer(request: Request) -> HTMLResponse:
        try:
            tokens = await finish(request.query_params)
        except UnknownState:
            click.echo("a callback with a wrong or used `state` came in; nothing was stored, still waiting", err=True)
            return _page(400, STALE)
        except LeadsyncError as error:
            if not outcome.done():
                outcome.set_exception(error)
            return _page(400, FAILED)
        if not outcome.done():
            outcome.set_result(tokens)
        return _page(200, DONE)

    return answer


def _page(status: int, words: tuple[str, str]) -> HTMLResponse:
    title, text = words
    return HTMLResponse(login_page(title, text), status, HEADERS)


def _sockets(redirect_uri: str) -> list[socket.socket]:
    """Sockets that listen already, one for every address of the host: a browser may take `localhost` for ::1."""
    parts = urlsplit(redirect_uri)
    found = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_STREAM)
    sockets: list[socket.socket] = []
    failures: list[OSError] = []
    for family, _, _, _, address in found:
        try:
            sockets.append(_listening_socket(family, address))
        except OSError as error:
            failures.append(error)
    taken = [error for error in failures if error.errno == EADDRINUSE]
    if taken or not sockets:
        for one in sockets:
            one.close()
        raise _no_port(parts.netloc, [*taken, *failures])
    return sockets


def _listening_socket(family: int, address: object) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)  # type: ignore[arg-type]  # as getaddrinfo gave it
        made.listen()
    except OSError:
        made.close()
        raise
    return made


def _no_port(host: str, failures: Sequence[OSError]) -> LeadsyncError:
    return LeadsyncError(
        f"the address that amoCRM sends the browser to cannot be listened on: {failures[0].strerror}",
        where=f"AMOCRM_REDIRECT_URI ({host})",
        do="end what listens there; or use `leadsync auth login --no-wait`, then `leadsync auth exchange CODE`",
    )
