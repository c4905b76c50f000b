"""Guarded routes: the API key first, then a body of bounded size, and every failure as a problem.

All of it is in the routes, not in an app: they behave the same in whatever app the router is mounted.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import SecretStr

from leadsync.settings import is_loopback
from leadsync.web.problems import Fault, answer_of, fault_of

logger = logging.getLogger("leadsync.web")

MOST_BYTES = 1 << 20
"""Bytes of a body: a talk of 20 000 characters is a fiftieth of it."""

BEARER = HTTPBearer(
    scheme_name="LEADSYNC_API_KEY", description="the value of LEADSYNC_API_KEY on the server", auto_error=False
)
"""Says in OpenAPI that the key is needed; the routes themselves look at it, before they read a body."""

MOST_DISCARDED = 16 * MOST_BYTES
"""Bytes that are read of a body that is too large: a caller who still writes would never see the answer."""

Check = Callable[[Request], None]
Handler = Callable[[Request], Coroutine[Any, Any, Response]]

_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


class Arriving(Request):
    """A request whose body is read up to a limit, and as strict JSON: no NaN, no half of a surrogate pair."""

    async def body(self) -> bytes:
        """The whole body. Raises Fault (413) when it is too large; no more of it than the limit is ever held."""
        if not hasattr(self, "_body"):
            parts, size = [], 0
            async for part in self.stream():
                size += len(part)
                if size > MOST_DISCARDED:
                    break
                if size <= MOST_BYTES:
                    parts.append(part)
            if size > MOST_BYTES:
                raise _too_large()
            self._body = b"".join(parts)
        return self._body

    async def json(self) -> Any:
        """The body as data. Raises orjson.JSONDecodeError."""
        return orjson.loads(await self.body())


def _too_large() -> Fault:
    return Fault(
        413,
        "too-large",
        "The body is too large",
        f"a body has at most {MOST_BYTES} bytes: send less of the talk",
        headers={"Connection": "close"},  # the rest of it is not read
    )


def guarded(check: Check | None) -> type[APIRoute]:
    """A kind of route that asks `check` first, and answers whatever goes wrong with a problem."""

    class Guarded(APIRoute):
        def get_route_handler(self) -> Handler:
            handle, route = super().get_route_handler(), self.path_format

            async def answer(request: Request) -> Response:
                started = time.perf_counter()
                try:
                    if check is not None:
                        check(request)
                    response = await handle(Arriving(request.scope, request.receive))
                except Exception as error:
                    response = answer_of(fault_of(error))
                seconds = time.perf_counter() - started
                # The template of the address, never the address: a callback's holds a code.
                logger.info("%s %s: %d in %.0f ms", request.method, route, response.status_code, seconds * 1000)
                return response

            return answer

    return Guarded


def check_key(request: Request, key: SecretStr | None) -> None:
    """Let a request pass that shows the key; without a key, one from this machine. Raises Fault (401)."""
    if key is None:
        if not _is_from_here(request):
            raise _unauthorized("set LEADSYNC_API_KEY on the server: without it only its own machine is answered")
        return
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    # Header bytes are decoded as latin-1; in constant time, so that nobody can guess the key letter by letter.
    given, wanted = shown.strip().encode("latin-1"), key.get_secret_value().encode()
    if not secrets.compare_digest(given, wanted) or scheme.lower() != "bearer":
        raise _unauthorized("send the header `Authorization: Bearer …` with the server's LEADSYNC_API_KEY")


def _unauthorized(detail: str) -> Fault:
    return Fault(401, "no-key", "The API key is missing or wrong", detail, headers={"WWW-Authenticate": "Bearer"})


def _is_from_here(request: Request) -> bool:
    """Whether the caller is on this machine: no proxy speaks for it, and no page of another name in a browser here."""
    peer = request.client.host if request.client else "localhost"  # none: a unix socket
    is_forwarded = any(name in request.headers for name in _FORWARDED)
    page = request.headers.get("origin")  # a browser names it where a page sends something
    is_ours = page is None or is_loopback(_host(page))
    return is_loopback(peer) and is_loopback(request.url.hostname or "") and is_ours and not is_forwarded


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
