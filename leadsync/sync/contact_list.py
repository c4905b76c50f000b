"""Contact list: the account's contacts read into the index of phones and e-mails, and kept fresh.

A page of 250 contacts costs what one search costs. The list is read when that is cheaper than the searches which would
be made without it; what is not in a whole and fresh index is in no contact.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from leadsync.amocrm import AmoCRMClient
from leadsync.state.contact_index import ContactIndex, IndexState
from leadsync.sync.resolve import contact_keys_of

FRESH = 30.0
"""Seconds for which nobody is asked again what changed in the account's contacts."""

AT_ONCE = 5
"""Pages under way at a time: with answers after 700 ms that is what 7 requests per second need."""

SEARCHES_PER_PAGE = 2
"""One page is read for so many searches spared: most accounts end long before that, and no more is lost if not."""

CLOCKS_APART = 300
"""Seconds by which our clock and the CRM's may differ."""


@dataclass(slots=True)
class ContactList:
    """Reads the list into the index. `pages` counts the pages read, `country` reads phones without one."""

    client: AmoCRMClient
    index: ContactIndex
    country: str
    pages: int = 0
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ready(self, searches: int) -> bool:
        """Whether the index is whole and fresh, after reading what it takes where that costs less than `searches`.

        Raises AmoCRMAPIError, StateUnavailable.
        """
        async with self._turn:
            state = await self.index.state()
            if state.whole:
                await self._refresh(state)
                return True
            affordable = (state.looked + searches) // SEARCHES_PER_PAGE
            if not affordable or affordable < 2 * state.pages:
                return False
            return await self._build(state, affordable)

    async def keep_fresh(self) -> None:
        """Ask what changed, where there is a whole index; so that a push need not. Raises what `ready` raises."""
        async with self._turn:
            state = await self.index.state()
            if state.whole:
                await self._refresh(state, FRESH / 2)

    async def _build(self, state: IndexState, most: int) -> bool:
        """Read the list from its beginning, at most so many pages."""
        since = int(state.now) - CLOCKS_APART
        read = 0
        async with aclosing(self.client.pages_ahead("contacts", at_once=min(AT_ONCE, most))) as pages:
            async for page in pages:
                if read == most:
                    await self.index.keep(pages=read)
                    return False
                await self._take(page)
                read += 1
        if await self.client.deleted_since("contacts", since):
            await self._read_back(read)
        await self.index.keep(whole=1, newest=since, checked=state.now, pages=read, looked=0)
        return True

    async def _read_back(self, last: int) -> None:
        """Read the list from its end to its beginning: who is shifted meanwhile is shifted to pages still to be read.

        It is read in several stretches side by side; the page before each stretch is read once more at the end, since
        somebody may have been shifted into it from the next one.
        """
        size = -(-last // AT_ONCE)
        ends = list(range(min(size, last), last + 1, size)) if last else []
        if ends and ends[-1] != last:
            ends.append(last)

        async def stretch(end: int) -> None:
            for number in range(end, max(0, end - size), -1):
                await self._take(await self.client.page("contacts", number))

        await asyncio.gather(*map(stretch, ends))
        for end in ends[:-1]:
            await self._take(await self.client.page("contacts", end))

    async def _refresh(self, state: IndexState, age: float = FRESH) -> None:
        """Take in every contact that was made or changed since, the latest change first."""
        if state.age < age:
            return
        newest = state.newest
        async for page in self.client.pages("contacts", order="updated_at", direction="desc"):
            changed = [one for one in page if int(one["updated_at"]) >= state.newest]
            await self._take(changed)
            newest = max(newest, *(int(one["updated_at"]) for one in page))
            if len(changed) < len(page):
                break
        await self.index.keep(newest=newest, checked=state.now)

    async def _take(self, page: Sequence[dict[str, Any]]) -> None:
        self.pages += 1
        there = [one for one in page if not one.get("is_deleted")]
        await self.index.add([(key, int(one["id"])) for one in there for key in contact_keys_of(one, self.country)])
