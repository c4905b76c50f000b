"""One request to the API: JSON out, authorised, sent again where that is safe, JSON in."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import httpx
import orjson

from leadsync.amocrm.ban import Ban
from leadsync.amocrm.failures import answer_of, failure_of_exception
from leadsync.amocrm.redaction import route_of
from leadsync.amocrm.retry import RetryPolicy, repeat
from leadsync.amocrm.wire import QUERY
from leadsync.errors import AmoCRMAPIError
from leadsync.events import Listener

logger = logging.getLogger("leadsync.amocrm")

Query = Sequence[tuple[str, str | int]]
"""Pairs of a query in order; a name may come several times (`filter[id][]`)."""

API = "/api/v4"


class Transport:
    """Sends requests through one httpx client (whose transport is a `Wire`) with one kind of authorisation.

    With a `ban` none is sent while amoCRM blocks the account.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        auth: httpx.Auth,
        *,
        policy: RetryPolicy,
        listener: Listener,
        ban: Ban | None = None,
    ) -> None:
        self._http = http
        self._ban = ban or Ban(pause=0.0)  # each request finds out by itself
        self._auth = auth
        self._policy = policy
        self._listener = listener

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: Any = None,
        expected: tuple[type[AmoCRMAPIError], ...] = (),
    ) -> Any:
        """Send `body` to `path` (below /api/v4); returns the decoded answer, None for 204.

        Errors of an `expected` class are raised like the others, but are not worth a line at level ERROR.
        """
        self._ban.check()
        route = route_of(API + path)
        content = None if body is None else _dumped(body)

        async def once() -> Any:
            try:
                answer = await self._once(method, path, route, query, content)
            except AmoCRMAPIError as error:
                self._ban.heard(error)
                raise
            self._ban.heard(None)
            return answer

        try:
            return await repeat(once, method=method, route=route, policy=self._policy, listener=self._listener)
        except AmoCRMAPIError as error:
            level = logging.DEBUG if isinstance(error, expected) else logging.ERROR
            logger.log(level, "%s %s: %s: %s", method, route, type(error).__name__, error.what)
            raise

    async def _once(self, method: str, path: str, route: str, query: Query, content: bytes | None) -> Any:
        request = self._http.build_request(
            method,
            API + path,
            content=content,
            headers={"Content-Type": "application/json"} if content is not None else None,
            extensions={QUERY: urlencode(query).encode()},
        )
        try:
            response = await self._http.send(request, auth=self._auth)
        except httpx.RequestError as error:
            raise failure_of_exception(method, route, error) from None
        return answer_of(method, route, response)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _dumped(body: Any) -> bytes:
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:
        # Half a surrogate pair, which a bot that cuts texts by UTF-16 units leaves behind, must not sink its batch.
        return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
