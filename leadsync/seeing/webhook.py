"""Webhook: an address that is called by POST with a JSON document, a few times if need be.

The address is a secret: whoever knows it can write there. It stands in no log and no error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import stamina
from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class Tries:
    """How often and how long: `attempts` in all, waits and `total` in seconds; `timeout` is for one call."""

    attempts: int = 5
    first_wait: float = 0.5
    longest_wait: float = 10.0
    total: float = 45.0
    timeout: float = 5.0


class NotDelivered(Exception):
    """What was called did not take it; says why, without the address."""


class _Passing(NotDelivered):
    """The same, where another try may help."""


class Webhook:
    """One address."""

    def __init__(self, address: SecretStr, tries: Tries | None = None) -> None:
        self._address = address
        self._tries = tries or Tries()

    async def call(self, document: Mapping[str, Any]) -> None:
        """POST a document until it is taken (2xx). Raises NotDelivered."""
        tries = self._tries
        async for attempt in stamina.retry_context(
            on=_Passing,
            attempts=tries.attempts,
            timeout=tries.total,
            wait_initial=tries.first_wait,
            wait_max=tries.longest_wait,
            wait_jitter=tries.first_wait,
        ):
            with attempt:
                await self._post(orjson.dumps(document))

    async def _post(self, content: bytes) -> None:
        # Without httpx's client, which writes every address to its log.
        timeout = httpx.Timeout(self._tries.timeout)
        headers = {"Content-Type": "application/json", "User-Agent": "leadsync"}
        try:
            request = httpx.Request(
                "POST",
                self._address.get_secret_value(),
                content=content,
                headers=headers,
                extensions={"timeout": timeout.as_dict()},
            )
            async with httpx.AsyncHTTPTransport() as transport:
                response = await transport.handle_async_request(request)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise _Passing(type(error).__name__) from None
        status = response.status_code
        if status in (408, 429) or status >= 500:
            raise _Passing(f"it answered {status}")
        if not response.is_success:
            raise NotDelivered(f"it answered {status}")
