"""All leads: the account's leads from the first to the last, for a memory that has none of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Self

from redis.asyncio import Redis

from leadsync.amocrm import AmoCRMClient
from leadsync.state.memory import load_memory_mark
from leadsync.state.namespace import Namespace
from leadsync.sync.contact_list import AT_ONCE, CLOCKS_APART
from leadsync.tasks import end_tasks

PARTS = ("contacts",)
"""What amoCRM is asked to show with each lead."""

Page = list[dict[str, Any]]


class AllLeads:
    """Reads them. Use as an async context manager: where they are `wanted` by a memory that is new, the first page is
    asked for at once, beside whatever else has to be known of the account."""

    def __init__(self, client: AmoCRMClient, redis: Redis, names: Namespace, *, wanted: bool) -> None:
        self._client = client
        self._redis = redis
        self._names = names
        self._wanted = wanted
        self._early: tuple[AsyncGenerator[Page], asyncio.Task[Page | None]] | None = None

    async def __aenter__(self) -> Self:
        if self._wanted and not (await load_memory_mark(self._redis, self._names)).field_ids:
            pages = self._ahead()
            self._early = pages, asyncio.ensure_future(anext(pages, None))
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._early is not None:
            pages, first = self._early
            await end_tasks([first])
            await pages.aclose()

    async def pages(self, since: float) -> AsyncGenerator[Page]:
        """Every lead, page by page; some twice, when others were deleted after `since` (unix seconds): whom that
        shifted past the reader is met on the way back. Raises AmoCRMAPIError."""
        read = 0
        async with aclosing(self._forward()) as pages:
            async for page in pages:
                read += 1
                yield page
        if read > 1 and await self._client.deleted_since("leads", int(since) - CLOCKS_APART):
            for number in range(read, 0, -1):
                yield await self._client.page("leads", number, with_=PARTS)

    async def _forward(self) -> AsyncGenerator[Page]:
        early, self._early = self._early, None
        pages = self._ahead() if early is None else early[0]
        async with aclosing(pages):
            if early is not None and (first := await early[1]) is not None:
                yield first
            async for page in pages:
                yield page

    def _ahead(self) -> AsyncGenerator[Page]:
        return self._client.pages_ahead("leads", at_once=AT_ONCE, with_=PARTS)
