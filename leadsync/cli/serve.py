"""`leadsync serve`: the HTTP service in the foreground, until a signal ends it."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import click
import uvicorn
from fastapi import FastAPI

from leadsync.cli.endings import Terminated
from leadsync.cli.main_task import run_async
from leadsync.cli.options import project_options
from leadsync.cli.projects import open_project
from leadsync.config.loader import Project
from leadsync.errors import ConfigurationError, LeadsyncError
from leadsync.reloading import Reloading
from leadsync.settings import is_loopback
from leadsync.web.answering import OK
from leadsync.web.app import app_of
from leadsync.web.service import PATIENCE, PREFIX, Service

PORT = 8080
GRACE = 30
"""Seconds for requests under way; systemd waits 90 before it kills, `docker stop` 10."""

HURRY = 2.0
"""Seconds in which, after the second signal, pushes are kept and answered."""

BACKLOG = 2048


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; 0.0.0.0 for everybody.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 takes a free one.")
@click.option(
    "--grace",
    type=click.IntRange(2, 600),
    default=GRACE,
    show_default=True,
    metavar="SECONDS",
    help="How long requests under way may still take after SIGTERM or Ctrl-C; no push takes longer.",
)
@project_options
def command(host: str, port: int, grace: int, config: str | None) -> None:
    """Serve HTTP: bots in any language POST their talks, and get the lead's id back.

    \b
      POST /api/v1/amocrm/leads      one talk becomes contact, lead and note
      GET  /api/v1/amocrm/auth/url   begin a login; amoCRM ends it at /api/v1/amocrm/callback
      GET  /health /ready /metrics /openapi.json

    Callers send `Authorization: Bearer $LEADSYNC_API_KEY`. While that variable is not set, the service listens on
    loopback only. The address is printed on stdout once it is listened on.

    The first SIGTERM or Ctrl-C stops accepting and finishes what is under way, the second stops at once; what was not
    finished is remembered. SIGHUP reads the files again; when they are wrong, the old ones stay.

    \b
    Examples:
      leadsync serve
      LEADSYNC_API_KEY=$(openssl rand -hex 32) leadsync serve --host 0.0.0.0 --port 80
      curl -d '{"id": "42", "user_name": "Иван", "phone": "89161234567"}' -H 'Content-Type: application/json' \\
        -H "Authorization: Bearer $LEADSYNC_API_KEY" http://127.0.0.1:8080/api/v1/amocrm/leads
    """

    def load() -> Project:
        project = open_project(config)
        if project.settings.leadsync_api_key is None and not is_loopback(host):
            raise ConfigurationError(
                "without LEADSYNC_API_KEY the service listens on loopback only",
                where=f"--host {host}",
                do="set LEADSYNC_API_KEY in the environment or .env (`openssl rand -hex 32` makes one)",
            )
        return project

    run_async(_serve(load, host, port, grace))


async def _serve(load: Callable[[], Project], host: str, port: int, grace: int) -> None:
    service = Service(load(), patience=min(PATIENCE, grace * 0.8))

    async def reload() -> list[str]:
        return [*await service.reload(load()), *_settings_remarks(service)]

    reloading = Reloading(reload, lambda what: click.echo(f"SIGHUP: {what}", err=True))
    _on_signals(SIGHUP=reloading.ask)
    with _socket(host, port) as listening:
        async with service, reloading:
            server = _Server(_config(app_of(service), grace), service, reloading)
            _on_signals(SIGTERM=server.leave, SIGINT=server.leave)
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            await _say_hello(service, listening)
            await serving
            if server.is_hurried:
                raise Terminated
    click.echo("the service has ended", err=True)


def _config(app: FastAPI, grace: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",
        access_log=False,  # it would hold the code of a callback
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        backlog=BACKLOG,
        timeout_graceful_shutdown=grace,
    )


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers."""

    def __init__(self, config: uvicorn.Config, service: Service, reloading: Reloading) -> None:
        super().__init__(config)
        self._service = service
        self._reloading = reloading
        self.is_hurried = False

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def leave(self) -> None:
        """Stop accepting and finish what is under way; the second time, keep what is not finished and end."""
        if self.should_exit and not self.is_hurried:
            self.is_hurried = True
            self._service.give_up()
            asyncio.get_running_loop().call_later(HURRY, self._break_off)
        self._reloading.leave()
        self.should_exit = True

    def _break_off(self) -> None:
        self.force_exit = True
        for task in list(self.server_state.tasks):
            task.cancel()


def _on_signals(**handlers: Callable[[], None]) -> None:
    """Call these from now on, where the signals of their names would have ended the command."""
    loop = asyncio.get_running_loop()
    # Windows has no such handlers or no such signal, and a thread that is not the main one cannot set them.
    with suppress(NotImplementedError, RuntimeError, ValueError, KeyError):
        for name, handler in handlers.items():
            loop.add_signal_handler(signal.Signals[name], handler)


def _socket(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        what = f"the service cannot listen: {error.strerror}"
        raise LeadsyncError(what, where=f"{host}:{port}", do="choose another --port or --host") from error


async def _say_hello(service: Service, listening: socket.socket) -> None:
    host, port = listening.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    click.echo(address)
    for line in await _remarks(service, address):
        click.echo(line, err=True)


async def _remarks(service: Service, address: str) -> list[str]:
    lines = _settings_remarks(service)
    redis, amocrm = await service.answering.redis(), await service.answering.amocrm()
    lines += [f"not ready: {one}" for one in (redis, amocrm) if one != OK]
    return [*lines, f"serving at {address}; Ctrl-C ends it"]


def _settings_remarks(service: Service) -> list[str]:
    lines = []
    if service.project.settings.leadsync_api_key is None:
        lines.append("LEADSYNC_API_KEY is not set: only programs on this machine are answered")
    redirect_uri = service.project.settings.amocrm_redirect_uri
    if redirect_uri and not urlsplit(redirect_uri).path.endswith(f"{PREFIX}/callback"):
        lines.append(f"AMOCRM_REDIRECT_URI does not lead to {PREFIX}/callback: logins cannot end here")
    return lines
