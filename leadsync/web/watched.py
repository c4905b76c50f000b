"""Watched: the routes of health and metrics alone, for a service that follows and has no HTTP of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import SecretStr
from starlette.exceptions import HTTPException

from leadsync.web.guarded import check_key, guarded
from leadsync.web.problems import answer_of, fault_of

Page = Callable[[str], Awaitable[tuple[bytes, str]]]
"""Gives the metrics and their media type for a header `Accept`."""


class Watches(Protocol):
    """Who knows how the service is: its state in the words of StateChanged (None before the first), and why."""

    state: str | None
    why: str

    @property
    def is_ready(self) -> bool: ...


def watched_app(watch: Watches, page: Page, key: SecretStr | None) -> FastAPI:
    """An app with `/health`, `/ready` and `/metrics`; the last two need the API key where there is one."""

    async def health() -> dict[str, Any]:
        return {"status": "ok"}

    async def ready() -> Response:
        found = {"ready": watch.is_ready, "state": watch.state or "starting", "why": watch.why}
        return JSONResponse(found, 200 if watch.is_ready else 503)

    async def metrics(request: Request) -> Response:
        content, media_type = await page(request.headers.get("accept", ""))
        return Response(content, headers={"Content-Type": media_type})

    async def not_found(request: Request, error: Exception) -> Response:
        return answer_of(fault_of(error))

    free = APIRouter(route_class=guarded(None))
    free.add_api_route("/health", health, methods=["GET"])
    keyed = APIRouter(route_class=guarded(lambda request: check_key(request, key)))
    keyed.add_api_route("/ready", ready, methods=["GET"])
    keyed.add_api_route("/metrics", metrics, methods=["GET"])
    app = FastAPI(openapi_url=None, redirect_slashes=False, exception_handlers={HTTPException: not_found})
    app.include_router(free)
    app.include_router(keyed)
    return app
