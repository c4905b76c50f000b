"""Links: the records of a person, found by the contacts that their leads belong to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from leadsync.forgetting.stored import names_of
from leadsync.state.links import link_hash, load_links, wrote_hash
from leadsync.state.namespace import Namespace
from leadsync.state.people import PEOPLE
from leadsync.state.redis import state_errors


@dataclass(frozen=True, slots=True)
class KnownRecord:
    """A record's key with the lead and the contacts it has."""

    key: str
    lead: int | None
    contacts: frozenset[int]


@dataclass(slots=True)
class Links:
    """Reads the links of an account. Every method raises StateUnavailable."""

    redis: Redis
    names: Namespace
    _before: int = field(init=False)

    def __post_init__(self) -> None:
        self._before = len(self.names.name(link_hash("")))

    async def of(self, keys: Collection[str]) -> list[KnownRecord]:
        """Those of these keys that are known."""
        links = await load_links(self.redis, self.names, list(keys))
        found = []
        for key, link in links.items():
            contacts = frozenset(one for one in (link.contact_id, link.linked) if one is not None)
            if link.lead_id is not None or contacts or link.said_lead or link.said_contact or link.noted:
                found.append(KnownRecord(key, link.lead_id, contacts))
        return found

    async def all(self) -> AsyncIterator[KnownRecord]:
        """Every key there is."""
        async for page in names_of(self.redis, self.names, link_hash("*")):
            async with state_errors(), self.redis.pipeline(transaction=False) as pipe:
                for name in page:
                    pipe.hmget(name, "lead", "contact", "linked")
                found = await pipe.execute()
            for name, (lead, *contacts) in zip(page, found, strict=True):
                yield KnownRecord(
                    name[self._before :], int(lead) if lead else None, frozenset(int(one) for one in contacts if one)
                )

    async def contacts_with(self, contact_keys: Collection[str]) -> set[int]:
        """The contacts into which we wrote one of these phones or e-mails."""
        wanted, found = sorted(contact_keys), set[int]()
        if not wanted:
            return found
        async for page in names_of(self.redis, self.names, wrote_hash("contact", "*")):
            async with state_errors(), self.redis.pipeline(transaction=False) as pipe:
                for name in page:
                    pipe.hmget(name, wanted)
                slots = await pipe.execute()
            found |= {int(name.rpartition(":")[2]) for name, held in zip(page, slots, strict=True) if any(held)}
        return found

    async def contact_keys_of(self, contacts: Collection[int]) -> set[str]:
        """The phones and e-mails of contacts, as far as we know or wrote them."""
        found = set[str]()
        if not contacts:
            return found
        ids = {str(one).encode() for one in contacts}
        async with state_errors():
            async for contact_key, contact in self.redis.hscan_iter(self.names.name(PEOPLE), count=1000):
                if contact in ids:
                    found.add(contact_key.decode())
            for one in contacts:
                slots: Any = await self.redis.hkeys(self.names.name(wrote_hash("contact", one)))
                found |= {slot.decode() for slot in slots if slot.startswith((b"phone:", b"email:"))}
        return found
