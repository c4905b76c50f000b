"""For whoever watches the service: is it alive, is it ready, and what does it count."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from leadsync.web.answering import OK
from leadsync.web.problems import described
from leadsync.web.service import Service

_KEY = "the API key is missing or wrong"


class Alive(BaseModel):
    """The process answers."""

    status: str = Field(examples=["ok"])


class Readiness(BaseModel):
    """Whether a push would come through."""

    ready: bool = Field(examples=[True])
    redis: str = Field(description="`ok`, or what is wrong and what to do", examples=["ok"])
    amocrm: str = Field(description="`ok`, or what is wrong and what to do", examples=["ok"])


class Health:
    """The routes of health and metrics."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def add_to(self, free: APIRouter, keyed: APIRouter) -> None:
        """Add the routes; only the first tells nothing that others should not know."""
        free.add_api_route("/health", self.health, tags=["health"], methods=["GET"], summary="Alive")
        not_ready = {"model": Readiness, "description": "one of them does not answer, or a login is needed"}
        responses: dict[int | str, dict[str, Any]] = {**described(_401=_KEY), 503: not_ready}
        keyed.add_api_route(
            "/ready",
            self.ready,
            tags=["health"],
            methods=["GET"],
            summary="Redis and amoCRM answer",
            response_model=Readiness,
            responses=responses,
        )
        keyed.add_api_route(
            "/metrics",
            self.metrics,
            tags=["health"],
            methods=["GET"],
            summary="Prometheus",
            response_class=Response,
            responses={**described(_401=_KEY), 200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
        )

    async def health(self) -> Alive:
        """The process is alive; nothing else is asked."""
        return Alive(status="ok")

    async def ready(self) -> Response:
        """Whether a push would come through just now, and what stands in its way.

        amoCRM is asked at most every ten seconds, however often this is.
        """
        answering = self._service.answering
        redis = await answering.redis()
        amocrm = await answering.amocrm() if redis == OK else "not asked: Redis does not answer"
        if amocrm == OK and (why := self._service.recovering.held_back):
            amocrm = f"it answers, but the last push was held back: {why}"
        found = Readiness(ready=redis == amocrm == OK, redis=redis, amocrm=amocrm)
        return JSONResponse(found.model_dump(), 200 if found.ready else 503)

    async def metrics(self, request: Request) -> Response:
        """What the service counts and what Redis holds, in the format of Prometheus; without Redis, what it counts."""
        content, media_type = await self._service.metrics.page(request.headers.get("accept", ""))
        return Response(content, headers={"Content-Type": media_type})
