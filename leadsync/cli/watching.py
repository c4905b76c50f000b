"""`leadsync run --follow --metrics`: a small listener for Prometheus and probes beside the work."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import click
import uvicorn
from pydantic import SecretStr

from leadsync.cli.addresses import Address
from leadsync.errors import LeadsyncError
from leadsync.follow.watch import Watch
from leadsync.web.watched import watched_app

GRACE = 2
"""Seconds for a scrape that is under way when the service ends."""


@asynccontextmanager
async def shown(watch: Watch, address: Address, key: SecretStr | None) -> AsyncIterator[None]:
    """Answer `/health`, `/ready` and `/metrics` until the end of the block. Raises LeadsyncError for a taken port."""
    with _listening(address) as listening:
        server = _Server(_config(watch, key))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        here = Address(*listening.getsockname()[:2])
        click.echo(f"leadsync: metrics at http://{here}/metrics", err=True)
        try:
            yield
        finally:
            server.should_exit = True
            await serving


def _config(watch: Watch, key: SecretStr | None) -> uvicorn.Config:
    return uvicorn.Config(
        watched_app(watch, watch.metrics.page, key),
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=GRACE,
    )


def _listening(address: Address) -> socket.socket:
    try:
        family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server(address, family=family)
    except OSError as error:
        what = f"metrics cannot be shown: {error.strerror}"
        raise LeadsyncError(what, where=f"--metrics {address}", do="choose another port") from error


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: SIGTERM belongs to the command."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
