"""The app that `leadsync serve` runs."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.exceptions import HTTPException

from leadsync.config.loader import Project
from leadsync.web.guarded import guarded
from leadsync.web.problems import answer_of, fault_of
from leadsync.web.router import add_routes, make_router
from leadsync.web.service import Service

DESCRIPTION = """Bot talks become contacts, leads, custom fields and notes in amoCRM, as YAML mappings say.

Everything but `/health` and the callback needs `Authorization: Bearer $LEADSYNC_API_KEY`.
Every answer that is no success is `application/problem+json`, and holds nothing of what was sent."""


def create_app(project: Project | Path | str | None = None, **options: Any) -> FastAPI:
    """An app that opens and closes the project by itself, for any ASGI server. `options` are those of Service."""
    service = Service(project, **options)
    app = _bare_app(service)
    app.include_router(make_router(service))
    return app


def app_of(service: Service) -> FastAPI:
    """The app of a service that is open already, and that somebody else closes."""
    app = _bare_app(service)
    add_routes(app.router, service)
    return app


def _bare_app(service: Service) -> FastAPI:
    app = FastAPI(
        title="leadsync",
        version=version("leadsync"),
        description=DESCRIPTION,
        openapi_url=None,  # ours needs the key
        redirect_slashes=False,
        exception_handlers={HTTPException: _answer},
    )
    document = APIRouter(route_class=guarded(service.check_key))

    async def openapi() -> dict[str, Any]:
        return app.openapi()

    document.add_api_route("/openapi.json", openapi, methods=["GET"], include_in_schema=False)
    app.include_router(document)
    return app


async def _answer(request: Request, error: Exception) -> Response:
    """What no route of ours has answered: 404 and 405."""
    return answer_of(fault_of(error))
