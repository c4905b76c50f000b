"""The router with all routes, to be included in any FastAPI app."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends

from leadsync.config.loader import Project
from leadsync.web.guarded import BEARER, guarded
from leadsync.web.health import Health
from leadsync.web.leads import Leads
from leadsync.web.oauth import Logins
from leadsync.web.service import Service


def make_router(project: Service | Project | Path | str | None = None, **options: Any) -> APIRouter:
    """A router that opens and closes its project with the app it is included in.

    `project` is the file, a loaded project, or a Service; None is the project every command would take. `options` are
    those of Service.
    """
    service = project if isinstance(project, Service) else Service(project, **options)

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        async with service:
            yield

    router = APIRouter(lifespan=lifespan)
    add_routes(router, service)
    return router


def add_routes(router: APIRouter, service: Service) -> None:
    """Add all routes of a service that somebody else opens and closes."""
    free = APIRouter(route_class=guarded(None))
    keyed = APIRouter(route_class=guarded(service.check_key), dependencies=[Depends(BEARER)])
    Health(service).add_to(free, keyed)
    Logins(service).add_to(free, keyed)
    Leads(service).add_to(keyed)
    router.include_router(free)
    router.include_router(keyed)


router = make_router()
"""The router of the project that every command would take; nothing is read before an app with it starts."""
