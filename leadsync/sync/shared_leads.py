"""Shared leads: the leads of many records at once; talks that share a lead are compared with it, and sent, together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

from redis.asyncio import Redis

from leadsync.amocrm import AmoCRMClient
from leadsync.amocrm.catalogue import Catalogue
from leadsync.state.claims import Claims
from leadsync.state.facts import Fact
from leadsync.state.links import link_hash, load_wrote, wrote_hash
from leadsync.state.namespace import Namespace
from leadsync.sync.changes import Joined, lead_ref
from leadsync.sync.compare import Current
from leadsync.sync.open_leads import OpenLeads, Place
from leadsync.sync.plan_lead import LeadMember, plan_known_lead, plan_new_lead
from leadsync.sync.planned import Planned
from leadsync.tasks import in_breaths


@dataclass(slots=True)
class _Shares:
    """Which records share which lead: `known` by its id, `new` by the key of the record that makes it."""

    known: dict[int, list[LeadMember]] = field(default_factory=dict)
    new: dict[str, list[LeadMember]] = field(default_factory=dict)
    planned: dict[str, Planned] = field(default_factory=dict)

    def add(self, member: LeadMember, place: Place | None) -> None:
        """Put a record with those of its lead; one that has a lead already stays with it for ever."""
        if member.link.lead_id is not None:
            self.known.setdefault(member.link.lead_id, []).append(member)
        elif place is None:
            self.new[member.key] = [member]
        elif place.holds_key:
            self.planned[member.key] = _returned(member, place)
        else:
            self._join(replace(member, joined=place.joined), place)

    def _join(self, member: LeadMember, place: Place) -> None:
        if isinstance(place.joined.lead, int):
            self.known.setdefault(place.joined.lead, []).append(member)
        elif place.maker in self.new:
            self.new[place.maker].append(member)
        else:  # what an earlier part of a plan would make
            self.planned[member.key] = Planned(entity=place.joined.lead, joined=place.joined)

    def lose(self, lead_id: int) -> None:
        """A lead that is gone is not made again for those who had it; who was about to join it makes another."""
        members = self.known.pop(lead_id)
        self.planned |= {one.key: Planned() for one in members if one.link.lead_id is not None}
        newcomers = [one for one in members if one.link.lead_id is None]
        if newcomers:
            first, *others = newcomers
            where, why = lead_ref(first.key), "new lead of the same contact"
            again = [replace(one, joined=Joined(one.key, where, why)) for one in others]
            self.new[first.key] = [replace(first, joined=None), *again]


@dataclass(slots=True)
class SharedLeads:
    """Plans the leads of many records. `client` is None offline; `claims` is given where plans are applied."""

    client: AmoCRMClient | None
    redis: Redis
    names: Namespace
    catalogue: Catalogue
    zone: ZoneInfo
    open_leads: OpenLeads
    claims: Claims | None = None

    async def plan(self, members: Sequence[LeadMember]) -> dict[str, Planned]:
        """What becomes of the leads of these records, by key; to be called while their contacts are claimed.

        Raises AmoCRMAPIError, StateUnavailable.
        """
        shares = _Shares()
        places = await self.open_leads.places([one for one in members if one.link.lead_id is None])
        for member in members:
            shares.add(member, places.get(member.key))
        await self._compare(shares)
        async for group in in_breaths(shares.new.values()):
            shares.planned |= _of_each(group, plan_new_lead(group), known=False)
        return shares.planned

    async def _compare(self, shares: _Shares) -> None:
        """Compare the leads that exist, held so that nobody else changes them meanwhile."""
        ids = list(shares.known)
        if self.claims is not None:
            await self.claims.wait_for([f"lead:{one}" for one in ids])
        bodies = await self._read(ids)
        wrote = await load_wrote(self.redis, self.names, "lead", ids)
        async for lead_id in in_breaths(ids):
            body = bodies.get(lead_id)
            if body is None or body.get("is_deleted"):
                shares.lose(lead_id)
                continue
            group = shares.known[lead_id]
            current = Current(body, "leads", self.catalogue, self.zone)
            shares.planned |= _of_each(group, plan_known_lead(group, current, wrote[lead_id]), known=True)

    async def _read(self, ids: Sequence[int]) -> Mapping[int, dict[str, Any]]:
        if not ids or self.client is None:
            return {}
        return await self.client.get_many("leads", ids, filters=self.catalogue.account.is_api_filter_enabled)


def _of_each(group: Sequence[LeadMember], planned: Planned, *, known: bool) -> dict[str, Planned]:
    """The plan of a shared lead, told to each record: the step is one record's, the facts of a new place are each's."""
    owner = planned.step.change.key if planned.step is not None else group[0].key
    found = {}
    for member in group:
        rest = planned if member.key == owner else Planned(entity=planned.entity)
        found[member.key] = replace(
            rest,
            facts=(*rest.facts, *(_joined_facts(member, planned.entity) if known else ())),
            kept=tuple(one for one in planned.kept if one.key == member.key),
            joined=member.joined,
        )
    return found


def _joined_facts(member: LeadMember, lead_id: int | str | None) -> list[Fact]:
    """A talk that joins a lead belongs to it from now on, whatever becomes of what is sent.

    The lead is no stranger any more to a recovery that looks for its own.
    """
    if member.joined is None:
        return []
    name, lead = link_hash(member.key), str(lead_id)
    return [(name, "lead", lead), (name, "linked", str(member.contact)), (wrote_hash("lead", lead), "joined", "1")]


def _returned(member: LeadMember, place: Place) -> Planned:
    """A talk whose key the lead holds already: it is restored as after a lost memory, and what its notes hold is to be
    looked up before anything is noted."""
    facts = _joined_facts(replace(member, joined=place.joined), place.joined.lead)
    return Planned(None, (*facts, _restored(member.key)), place.joined.lead, joined=place.joined)


def _restored(key: str) -> Fact:
    return (link_hash(key), "restored", "1")


def is_returned(key: str, facts: Sequence[Fact]) -> bool:
    """Whether a plan says only that the account has the key's lead: the record has to be planned once more."""
    return _restored(key) in facts
