"""Contact list: the account's contacts read into the index of phones and e-mails, and kept fresh.

A page of 250 contacts costs what one search costs. The list is read when that is cheaper than the searches which would
be made without it; what is not in a whole and fresh index is in no contact.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from hashlib import blake2b
from math import inf
from typing import Any

from redis.asyncio import Redis

from leadsync.amocrm import AmoCRMClient
from leadsync.state.contact_index import ContactIndex, IndexState
from leadsync.state.marks import raise_mark
from leadsync.state.namespace import Namespace
from leadsync.sync.resolve import contact_keys_of
from leadsync.tasks import in_breaths

FRESH = 30.0
"""Seconds for which nobody is asked again what changed in the account's contacts."""

LISTED = 600.0
"""Seconds after which the newest ids are looked at, too: an import may make contacts that say they changed long ago."""

AT_ONCE = 5
"""Pages under way at a time: with answers after 700 ms that is what 7 requests per second need."""

MANY = 100
"""Pages that may be read at the price of searches, from which on a second one is asked for with the first."""

SEARCHES_PER_PAGE = 2
"""One page is read for so many searches spared: most accounts end long before that, and no more is lost if not."""

CLOCKS_APART = 300
"""Seconds by which our clock and the CRM's may differ; a later `updated_at` was set by somebody."""

LATE = 5
"""Seconds by which a change may come into the list after others that happened later."""


PASSES = 4
"""How often the same changes are read while contacts are deleted."""


@dataclass(frozen=True, slots=True)
class _Changes:
    """What a reading of the changes came to: their newest time, a digest of the first page, and how many pages."""

    newest: int
    first: int
    pages: int


@dataclass(slots=True)
class ContactList:
    """Reads the list into the index. `pages` counts the pages read, `country` reads phones without one."""

    client: AmoCRMClient
    redis: Redis
    names: Namespace
    country: str
    pages: int = 0
    index: ContactIndex = field(init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.index = ContactIndex(self.redis, self.names, self.country)

    async def ready(self, searches: int) -> bool:
        """Whether the index is whole and fresh, after reading what it takes where that costs less than `searches`.

        Raises AmoCRMAPIError, StateUnavailable.
        """
        if (await self.index.state()).is_fresh(FRESH):  # whoever asks what is new keeps nobody waiting
            return True
        async with self._turn:
            state = await self.index.state()
            if state.is_fresh(FRESH):
                return True
            affordable = (state.looked + searches) // SEARCHES_PER_PAGE
            if state.whole:
                affordable = max(1, affordable)
            if affordable < max(1, 2 * state.pages):
                return False
            return await (self._refresh(state, affordable) if state.whole else self._build(state, affordable))

    async def keep_fresh(self) -> None:
        """Ask what changed, where there is a whole index; so that a push need not. Raises what `ready` raises."""
        async with self._turn:
            state = await self.index.state()
            if state.whole and not state.is_fresh(FRESH / 2):
                await self._refresh(state, inf)

    async def _build(self, state: IndexState, most: int) -> bool:
        """Read the list from its beginning; whether it ended within so many pages."""
        since, began, at = int(state.now) - CLOCKS_APART, time.monotonic(), time.time()
        read, newest, top = 0, 0, 0
        first = 2 if most >= MANY else 1
        async with aclosing(self.client.pages_ahead("contacts", at_once=min(AT_ONCE, most), first=first)) as pages:
            async for page in pages:
                if read == most:
                    await self.index.keep(pages=read)
                    return False
                await self._take(page)
                newest, top = max(newest, _newest(page, state)), max(top, _top(page))
                read += 1
        # Whoever is on the first page stays there: in a list of one page nobody is shifted past the reader.
        if read > 1 and await self.client.deleted_since("contacts", since):
            await self._read_back(read)
        # What changed after its page was read did so since the beginning.
        newest -= int(time.monotonic() - began) + LATE
        now = state.now
        await self.index.keep(whole=1, newest=max(0, newest), checked=now, top=top, listed=now, looked=0, pages=0)
        await raise_mark(self.redis, self.names, ("contacts", top), at=at)
        return True

    async def _read_back(self, last: int) -> None:
        """Read the list from its end to its beginning: who is shifted meanwhile is shifted to pages still to be read.

        It is read in several stretches side by side. Between two of them somebody may be shifted from the upper one,
        before it comes to its first page, to the lower one's end, which has been read: those seams are read after.
        """
        size = -(-last // AT_ONCE)
        ends = [*range(size, last, size), last]
        try:
            async with asyncio.TaskGroup() as group:
                begins = [0, *ends]
                tasks = [group.create_task(self._stretch(*one)) for one in zip(ends, begins, strict=False)]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        for end, task in zip(ends[:-1], tasks, strict=False):
            await self._seam(end, task.result())

    async def _stretch(self, end: int, begin: int) -> float:
        """Read the pages from `end` down to the one after `begin`; the highest id of the first one read."""
        highest = inf
        for number in range(end, begin, -1):
            page = await self.client.page("contacts", number)
            await self._take(page)
            if number == end and page:
                highest = _top(page)
        return highest

    async def _seam(self, end: int, highest: float) -> None:
        """Read down from a stretch's end as far as contacts may have come since, from above the id it had there."""
        for number in range(end, 0, -1):
            page = await self.client.page("contacts", number)
            await self._take(page)
            if page and int(page[0]["id"]) <= highest:
                return

    async def _refresh(self, state: IndexState, most: float) -> bool:
        """Take in every contact that was made or changed since; whether that took so many pages at most.

        Who is deleted while one page after the other is read shifts somebody to a page that was read already. So it is
        read until nobody was; where that does not end, the index is not taken for fresh.
        """
        deleted: frozenset[str] | None = frozenset()
        for _ in range(PASSES):
            changes = await self._take_changes(state, most)
            if changes is None:
                return False
            before, deleted = deleted, frozenset()
            if changes.pages > 1:
                deleted = await self.client.deletions_since("contacts", int(state.now) - CLOCKS_APART)
            if deleted == before:
                break
        else:
            return False
        now = state.now
        if not 0 <= now - state.listed < LISTED:
            await self.index.keep(top=await self._take_newest(state.top), listed=now)
        newest = max(changes.newest, state.newest)
        await self.index.keep(newest=newest, checked=now, first=changes.first, looked=0, pages=0)
        return True

    async def _take_changes(self, state: IndexState, most: float) -> _Changes | None:
        """Take in what changed, the latest change first; None when that is more than so many pages."""
        newest, first, read = 0, 0, 0
        async with aclosing(self.client.pages("contacts", order="updated_at", direction="desc")) as pages:
            async for page in pages:
                changed = [one for one in page if _changed_at(one) >= state.newest]
                if not read:  # what changes from now on comes before the first page
                    newest, first = _newest(page, state) - LATE, _digest(page)
                    changed = [] if first == state.first else changed
                await self._take(changed)
                read += 1
                if len(changed) < len(page):
                    break
                if read > most:
                    await self.index.keep(pages=read)
                    return None
        return _Changes(newest, first, read)

    async def _take_newest(self, top: int) -> int:
        """Take in the contacts above an id; the highest id there is."""
        highest = top
        async with aclosing(self.client.newest("contacts", until_id=top)) as pages:
            async for page in pages:
                await self._take(page)
                highest = max(highest, _top(page))
        return highest

    async def _take(self, page: Sequence[dict[str, Any]]) -> None:
        self.pages += 1
        there = [one for one in page if not one.get("is_deleted")]
        keys = [(int(one["id"]), contact_keys_of(one, self.country)) async for one in in_breaths(there)]
        await self.index.add([(key, id_) for id_, found in keys for key in found])


def _changed_at(contact: dict[str, Any]) -> int:
    return int(contact.get("updated_at") or 0)


def _newest(page: Sequence[dict[str, Any]], state: IndexState) -> int:
    """The latest change of a page, leaving out what somebody has dated ahead."""
    return max((at for one in page if (at := _changed_at(one)) <= state.now + CLOCKS_APART), default=0)


def _digest(page: Sequence[dict[str, Any]]) -> int:
    """A number that is another one when somebody on the page changed, went or came."""
    listed = ",".join(f"{one['id']}@{_changed_at(one)}" for one in page)
    return int.from_bytes(blake2b(listed.encode(), digest_size=8).digest(), "big")


def _top(page: Sequence[dict[str, Any]]) -> int:
    return max((int(one["id"]) for one in page), default=0)
