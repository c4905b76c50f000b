"""Problems: every answer that is no success, as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException as StarletteHTTPException

from leadsync.errors import ConfigurationError, LeadsyncError

logger = logging.getLogger("leadsync.web")

MEDIA_TYPE = "application/problem+json"
PLAIN = "about:blank"
"""The type of a problem of which the status says everything (RFC 9457 §4.2.1)."""

WAIT_SECONDS = 30
"""What Retry-After asks for with a 503."""

MESSAGES = {
    "json_invalid": "the body is not JSON",
    "missing": "send a JSON object, with `Content-Type: application/json`",
    "model_attributes_type": "send a JSON object, with `Content-Type: application/json`",
}
"""What we say in place of pydantic, by its types of error."""

_URN = "urn:leadsync:problem:"
_OURS = frozenset({400, 401, 409, 413, 422, 503})


class ProblemDocument(BaseModel):
    """What stands in every such answer. No value that was sent stands in it."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="what kind of problem this is, for programs", examples=[f"{_URN}refused"])
    title: str = Field(description="the same for people", examples=["The record was refused"])
    status: int = Field(description="the HTTP status", examples=[400])
    detail: str = Field(description="what happened, and what to do", examples=["contact.phone: not a phone number"])
    instance: str = Field(description="names this one answer, also in the log", examples=["urn:uuid:0b0e7a4e-…"])


class Fault(HTTPException):
    """An answer that is no success. `kind` is the end of its type; `more` are members beside the five of the RFC."""

    def __init__(
        self,
        status: int,
        kind: str,
        title: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.type = PLAIN if kind == PLAIN else _URN + kind
        self.title = title
        self.more = more or {}


def answer_of(fault: Fault) -> JSONResponse:
    """The answer for a fault."""
    instance = uuid4().urn
    level = logging.WARNING if fault.status_code >= 500 else logging.DEBUG
    logger.log(level, "answered %d (%s): %s", fault.status_code, fault.type, instance)
    document = {
        "type": fault.type,
        "title": fault.title,
        "status": fault.status_code,
        "detail": fault.detail,
        "instance": instance,
        **fault.more,
    }
    return JSONResponse(document, fault.status_code, fault.headers, MEDIA_TYPE)


def fault_of(error: Exception) -> Fault:
    """The fault that an exception is for the caller: 503 for what may pass, and nobody's values in any of them."""
    if isinstance(error, Fault):
        return error
    if isinstance(error, RequestValidationError):
        return _malformed(error.errors())
    if isinstance(error, StarletteHTTPException):
        return _plain(error.status_code, error.headers)
    if isinstance(error, LeadsyncError):
        return unavailable(said(error))
    # Its text may quote what was sent.
    logger.error("a request ended in %s: report this as a mistake in leadsync", type(error).__name__)
    return Fault(500, "mistake", "A mistake in leadsync", "the log of the service names it; repeat the request")


def unavailable(detail: str, more: Mapping[str, Any] | None = None) -> Fault:
    """503: amoCRM, Redis, the login or the project's files stand in the way, not the request."""
    headers = {"Retry-After": str(WAIT_SECONDS)}
    return Fault(503, "unavailable", "Not possible just now", detail, headers=headers, more=more)


def said(error: LeadsyncError) -> str:
    """What an error says, in one line, without the place in our files."""
    if isinstance(error, ConfigurationError) and error.problems:
        return f"{error.what}; what to do: `leadsync validate` shows each mistake"
    return f"{error.what}; what to do: {error.do}" if error.do else error.what


def _malformed(errors: Sequence[Any]) -> Fault:
    found = [{"field": _field(one["loc"]), "message": MESSAGES.get(one["type"], str(one["msg"]))} for one in errors]
    detail = "; ".join(f"{one['field']}: {one['message']}" if one["field"] else one["message"] for one in found)
    return Fault(422, "malformed", "The request is malformed", detail, more={"errors": found})


def _field(loc: Sequence[Any]) -> str:
    """The field at fault; what stands below it may be the caller's own words."""
    names = [part for part in loc[1:2] if isinstance(part, str)]
    return names[0] if names else ""


def _plain(status: int, headers: Mapping[str, str] | None) -> Fault:
    title = HTTPStatus(status).phrase
    do = {404: "there is nothing at this address", 405: "this address takes other methods: see Allow"}
    return Fault(status, PLAIN, title, do.get(status, title), headers=headers)


def described(**faults: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route for OpenAPI: `_400="why"`."""
    schema = ProblemDocument.model_json_schema()
    return {
        int(name.lstrip("_")): {"description": text, "content": {MEDIA_TYPE: {"schema": schema}}}
        for name, text in faults.items()
    }
