"""Reading lists: pages until the CRM says there is no next one, and many ids with or without filters."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
from itertools import count
from typing import Any

from leadsync.amocrm.transport import Query, Transport
from leadsync.amocrm.writing import embedded
from leadsync.errors import AmoCRMAPIError
from leadsync.tasks import end_tasks

PAGE = 250
"""Most items of one page; a larger limit is cut to it silently (amocrm-api.md §2)."""

IDS_AT_ONCE = 50
"""Ids in one filter: every item's link repeats the whole query, so more ids make answers grow (amocrm-api.md §2)."""

SINGLE_READS_AT_ONCE = 16


async def pages(
    transport: Transport,
    path: str,
    key: str,
    *,
    query: Query = (),
    limit: int = PAGE,
    expected: tuple[type[AmoCRMAPIError], ...] = (),
) -> AsyncGenerator[list[dict[str, Any]]]:
    """The pages of a list, `key` being its name in `_embedded`; ends where `_links.next` is missing.

    A short page is no end: a filter inside the CRM may thin a page out.
    """
    for number in count(1):
        found, more = await _page(transport, path, key, [*query, ("page", number), ("limit", limit)], expected)
        if found:
            yield found
        if not more:
            return


async def pages_ahead(
    transport: Transport, path: str, key: str, *, query: Query, at_once: int, first: int = 1
) -> AsyncGenerator[list[dict[str, Any]]]:
    """The same pages, empty ones too, up to `at_once` of them under way at a time: `first`, then twice as many, and
    again, so that little is asked for in vain where the list ends soon."""
    waiting: deque[asyncio.Task[tuple[list[dict[str, Any]], bool]]] = deque()
    numbers = count(1)

    async def read(number: int) -> tuple[list[dict[str, Any]], bool]:
        return await _page(transport, path, key, [*query, ("page", number), ("limit", PAGE)])

    try:
        more, ahead = True, first
        while more:
            while len(waiting) < min(ahead, at_once):
                waiting.append(asyncio.create_task(read(next(numbers))))
            found, more = await waiting[0]
            waiting.popleft()
            ahead *= 2
            yield found
    finally:
        await end_tasks(waiting)


async def one_page(transport: Transport, path: str, key: str, number: int, *, query: Query) -> list[dict[str, Any]]:
    """One page of a list by its number; empty beyond the end."""
    return (await _page(transport, path, key, [*query, ("page", number), ("limit", PAGE)]))[0]


async def _page(
    transport: Transport, path: str, key: str, query: Query, expected: tuple[type[AmoCRMAPIError], ...] = ()
) -> tuple[list[dict[str, Any]], bool]:
    """The items of one page, and whether there is a next one."""
    answer = await transport.request("GET", path, query=query, expected=expected)
    return embedded(answer, key), isinstance(answer, dict) and bool((answer.get("_links") or {}).get("next"))


async def everything(transport: Transport, path: str, key: str, *, query: Query = ()) -> list[dict[str, Any]]:
    """All items of a list that is known to be small."""
    return [item async for page in pages(transport, path, key, query=query) for item in page]


def by_id(direction: str) -> list[tuple[str, str]]:
    """Order by id: without an order rows move between pages (amocrm-api.md §5)."""
    return [("order[id]", direction)]


def with_parts(parts: Iterable[str]) -> list[tuple[str, str]]:
    """The `with` of a query, nothing when there are no parts."""
    joined = ",".join(parts)
    return [("with", joined)] if joined else []


def groups_of(ids: Iterable[int], size: int = IDS_AT_ONCE) -> Iterator[list[int]]:
    """The ids without repeats in groups of `size`."""
    distinct = list(dict.fromkeys(ids))
    for start in range(0, len(distinct), size):
        yield distinct[start : start + size]


async def by_filter(
    transport: Transport, entity: str, ids: Iterable[int], query: Query
) -> tuple[dict[int, dict[str, Any]], set[int]]:
    """The entities of these ids by `filter[id]`, and the ids the answers say nothing certain about.

    An account without the paid filters ignores them and answers with a page of strangers; those are left out, and the
    ids of that group that did not come along are uncertain.
    """
    found: dict[int, dict[str, Any]] = {}
    uncertain: set[int] = set()
    for group in groups_of(ids):
        filters = [("filter[id][]", one) for one in group]
        got: dict[int, dict[str, Any]] = {}
        wanted = set(group)
        async with aclosing(pages(transport, f"/{entity}", entity, query=[*query, *filters])) as found_pages:
            async for page in found_pages:
                got |= {item["id"]: item for item in page}
                if got.keys() - wanted:
                    break
        found.update((one, item) for one, item in got.items() if one in wanted)
        if got.keys() - wanted:
            uncertain |= wanted - got.keys()
    return found, uncertain


async def notes_by_entity(transport: Transport, entity: str, ids: Iterable[int]) -> dict[int, list[dict[str, Any]]]:
    """The notes of many entities, oldest first, by entity id; every id is there.

    An answer that holds the notes of others shows that the filter is ignored: that group is then read one by one.
    """
    found: dict[int, list[dict[str, Any]]] = {one: [] for one in ids}
    for group in groups_of(found):
        filters = [("filter[entity_id][]", one) for one in group]
        wanted, ignored = set(group), False
        got: list[dict[str, Any]] = []
        async for page in pages(transport, f"/{entity}/notes", "notes", query=[*by_id("asc"), *filters]):
            ignored = any(one["entity_id"] not in wanted for one in page)
            got += page
            if ignored:
                break
        if ignored:
            got = [one for id_ in group for one in await _notes_of(transport, entity, id_)]
        for note in got:
            found[note["entity_id"]].append(note)
    return found


async def _notes_of(transport: Transport, entity: str, entity_id: int) -> list[dict[str, Any]]:
    return await everything(transport, f"/{entity}/{entity_id}/notes", "notes", query=by_id("asc"))


async def one_by_one(
    ids: Iterable[int], read: Callable[[int], Awaitable[dict[str, Any] | None]]
) -> dict[int, dict[str, Any]]:
    """Read each id by itself, sixteen at a time; ids that do not exist are left out. Raises the first error."""
    waiting = iter(dict.fromkeys(ids))
    found: dict[int, dict[str, Any]] = {}

    async def reader() -> None:
        for one in waiting:
            if (item := await read(one)) is not None:
                found[one] = item

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(SINGLE_READS_AT_ONCE):
                group.create_task(reader())
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return found
