"""Rebuild: the account's leads give back what Redis forgot, by the field that holds each record's key.

Reading the leads once, 250 a page, is cheaper than a search per key, and it happens only when our memory is new, or
when the Redis was started again since (its last second may be missing): a key unknown to a memory that is whole is new.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from math import inf
from typing import Any

from redis.asyncio import Redis

from leadsync.amocrm import AmoCRMClient
from leadsync.state.journal import Journal
from leadsync.state.links import RestoredLink, restore_links
from leadsync.state.marks import raise_mark
from leadsync.state.memory import MemoryMark, keep_stranger, load_memory_mark, save_memory_mark
from leadsync.state.namespace import Namespace
from leadsync.state.people import restore_people
from leadsync.sync.all_leads import PARTS, AllLeads
from leadsync.sync.key_field import keys_of
from leadsync.sync.recover import claims_of
from leadsync.sync.resolve import contact_keys_of

BELOW_ALL = 1
"""An id below any lead's: up to it we know every key of an account that has no leads."""


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild came to: how many leads were read, how many keys were given their lead back,
    and of how many phones and e-mails we know the contact again."""

    leads: int = 0
    restored: int = 0
    people: int = 0


class Rebuild:
    """Keeps our memory whole for mappings with a `key_field`; `field_ids` are the ids of those fields.

    `spared` is 1 when this process was about to catch up, and had just read the account as it began: the next process
    will have to.
    """

    def __init__(
        self,
        client: AmoCRMClient,
        redis: Redis,
        names: Namespace,
        field_ids: Iterable[int],
        journal: Journal,
        all_leads: AllLeads,
        *,
        country: str,
        filters: bool,
    ) -> None:
        self._client = client
        self._redis = redis
        self._names = names
        self._field_ids = sorted(set(field_ids))
        self._country = country
        self._filters = filters
        self._journal = journal
        self._all_leads = all_leads
        self.spared = 0
        self._asked = -inf
        self._has_caught_up = False
        self._turn = asyncio.Lock()

    async def ensure(self, *, everything: bool = False) -> Rebuilt:
        """Read as many leads as it takes to know every key; none when the memory is whole.

        Raises AmoCRMAPIError, StateUnavailable.
        """
        rebuilt = Rebuilt()
        if not self._field_ids:
            return rebuilt
        known = await load_memory_mark(self._redis, self._names)
        now = known.of_this_start(self._field_ids)
        if known == now and not everything:
            return rebuilt
        whole = everything or known.field_ids != now.field_ids or known.evicted != now.evicted
        await self._read(now, 0 if whole else known.lead_id, rebuilt)
        return rebuilt

    async def catch_up(self, within: float = 0.0) -> int:
        """Read the leads that came since the account was read last; how many keys they brought.

        For keys that nobody remembers: another machine with a memory of its own may have made their leads. As long as
        nothing in the account says that there is one, it is enough that this process asked within so many seconds.
        """
        if not self._field_ids:
            return 0
        async with self._turn:  # of several lanes that need it at once, one asks for all
            known = await load_memory_mark(self._redis, self._names)
            if known.is_alone and time.monotonic() - self._asked < within:
                self.spared = int(not self._has_caught_up)
                return 0
            rebuilt = Rebuilt()
            await self._read(known, known.lead_id, rebuilt)
            self._has_caught_up = True
            return rebuilt.restored

    async def _read(self, mark: MemoryMark, above: int, rebuilt: Rebuilt) -> None:
        newest, asked, at = max(above, BELOW_ALL), time.monotonic(), time.time()
        async with aclosing(self._new_leads(above) if above else self._all_leads.pages(mark.now)) as pages:
            async for page in pages:
                rebuilt.leads += len(page) if above else sum(int(lead["id"]) > newest for lead in page)
                newest = max([newest, *(int(lead["id"]) for lead in page)])
                rebuilt.restored += await self._restore(page, mark)
                if not above:
                    rebuilt.people += await self._restore_people(page)
        await save_memory_mark(self._redis, self._names, mark.up_to(newest))
        await raise_mark(self._redis, self._names, ("leads", newest), at=at)
        self._asked = asked

    def _new_leads(self, above: int) -> AsyncGenerator[list[dict[str, Any]]]:
        return self._client.newest("leads", until_id=above, with_=PARTS)

    async def _restore(self, page: Sequence[Mapping[str, Any]], mark: MemoryMark) -> int:
        """Give keys their leads back; how many.

        A text that reads as several keys may be a single one that holds the separator: as a whole it goes before the
        parts of any other, and is not counted.
        """
        texts = self._texts(page)
        if not texts:
            return 0
        ours = {name for entry in await self._journal.entries() for name in claims_of(entry)}
        alone = [_link(text, lead) for text, lead in texts if keys_of(text) == [text]]
        whole = [_link(text, lead) for text, lead in texts if keys_of(text) != [text]]
        parts = [_link(key, lead) for text, lead in texts for key in keys_of(text) if key != text]
        restored = await self._given_back(alone, ours, mark)
        await restore_links(self._redis, self._names, whole)
        return restored + await self._given_back(parts, ours, mark)

    async def _given_back(self, links: Sequence[RestoredLink], ours: Collection[str], mark: MemoryMark) -> int:
        """Give keys their leads back, and remember when one was a stranger's: not what is just being sent from here."""
        sent = [one for one in links if f"key:{one.key}" in ours]
        others = await restore_links(self._redis, self._names, [one for one in links if one not in sent])
        if others:
            await keep_stranger(self._redis, self._names, mark.now)
        return others + await restore_links(self._redis, self._names, sent)

    async def _restore_people(self, page: Sequence[Mapping[str, Any]]) -> int:
        """Remember whose phones and e-mails the contacts of these leads hold."""
        ids = [id_ for _, lead in self._texts(page) if (id_ := _main_contact(lead)) is not None]
        bodies = await self._client.get_many("contacts", ids, filters=self._filters) if ids else {}
        found = {key: id_ for id_, body in sorted(bodies.items()) for key in contact_keys_of(body, self._country)}
        return await restore_people(self._redis, self._names, found)

    def _texts(self, page: Sequence[Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
        """What stands in the fields for keys, with the lead, the oldest first."""
        return [
            (text, lead)
            for lead in sorted(page, key=lambda one: int(one["id"]))
            for field in lead.get("custom_fields_values") or []
            if field["field_id"] in self._field_ids and field["values"] and not lead.get("is_deleted")
            if (text := str(field["values"][0]["value"]).strip())
        ]


def _link(key: str, lead: Mapping[str, Any]) -> RestoredLink:
    return RestoredLink(key, int(lead["id"]), _main_contact(lead))


def _main_contact(lead: Mapping[str, Any]) -> int | None:
    contacts = (lead.get("_embedded") or {}).get("contacts") or []
    main = [one for one in contacts if one.get("is_main")] or contacts
    return int(main[0]["id"]) if main else None
