"""The service on a socket of its own, and a bot that speaks to it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from leadsync.web import Service, create_app, make_router
from tests.world import QUICK, SETTLE, SHORT, World

KEY = "ключ-of-the-service-4f1d"
LEADS = "/api/v1/amocrm/leads"
URL = "/api/v1/amocrm/auth/url"
CALLBACK = "/api/v1/amocrm/callback"
PATIENT: dict[str, Any] = {"retry": QUICK, "timeouts": SHORT, "settle": SETTLE}
"""Options of a service that is not patient with the look-alike."""


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bearer(key: str = KEY) -> dict[str, Any]:
    """The header with a key, as the bytes of its UTF-8."""
    return {"Authorization": f"Bearer {key}".encode()}


@asynccontextmanager
async def serving(app: FastAPI, listening: socket.socket | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """Serve an app over a loopback socket; the client has its address and shows no key by itself."""
    listening = listening or socket.create_server(("127.0.0.1", 0))
    options: dict[str, Any] = {"log_config": None, "log_level": "critical", "ws": "none", "lifespan": "on"}
    server = _Server(uvicorn.Config(app, **options))
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=30) as client:
            await client.get("/health")
            yield client
    finally:
        server.should_exit = True
        await serving


def with_key(world: World, key: str = KEY, **variables: str) -> None:
    """Let the project's service ask for a key; the account is had by a long-lived token unless told otherwise."""
    login = variables or {"AMOCRM_ACCESS_TOKEN": world.sandbox.long_lived_token()}
    world.settings(LEADSYNC_API_KEY=key, **login)


def app_for(world: World, **options: Any) -> FastAPI:
    """The app of the world's project."""
    return create_app(world.folder / "leadsync.yaml", **{**PATIENT, **options})


def app_around(service: Service) -> FastAPI:
    """An app that a service is mounted in, which a test can speak to as well."""
    app = FastAPI()
    app.include_router(make_router(service))
    return app


@asynccontextmanager
async def bot(world: World, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the world's service that shows the key."""
    with_key(world)
    async with serving(app_for(world, **options)) as client:
        client.headers.update(bearer())
        yield client


def is_problem(response: httpx.Response) -> dict[str, Any]:
    """The document of an answer that is no success, once it is one in form."""
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["status"] == response.status_code
    assert all(isinstance(document[name], str) and document[name] for name in ("type", "title", "detail"))
    assert document["instance"].startswith("urn:uuid:")
    return document
