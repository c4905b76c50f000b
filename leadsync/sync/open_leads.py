"""Open leads: which lead a new talk goes into, when its mapping says `lead.match: open`.

The account is asked in bulk: what the contacts are tied to, then those leads. A lead counts when the CRM shows it as
the contact's own, in the pipeline where the talk's own lead would stand, neither won nor lost. The newest is taken.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from leadsync.amocrm import AmoCRMClient
from leadsync.amocrm.catalogue import LOST, WON, Catalogue
from leadsync.state.links import load_leads_of
from leadsync.state.namespace import Namespace
from leadsync.sync.changes import Joined, lead_ref
from leadsync.sync.key_field import holds_key
from leadsync.sync.plan_lead import LeadMember
from leadsync.sync.resolve import WantedLead

CLOSED = frozenset({WON, LOST})

Body = Mapping[str, Any]
Spot = tuple[int | str, int]
"""Where a lead stands: its contact (an id, or a reference to one that a plan creates) and its pipeline's id."""


@dataclass(frozen=True, slots=True)
class Place:
    """The lead of others that a record goes into. `maker` is the key of the record that makes it, where a plan does;
    `holds_key`: the lead names the record's key, so it has gone there before, and we forgot."""

    joined: Joined
    maker: str | None = None
    holds_key: bool = False


@dataclass(slots=True)
class OpenLeads:
    """Finds places for many records at once. `client` is None offline: then only leads of this plan are known.

    `promises` is filled by a plan that is not applied: which record would create the newest open lead of a spot.
    `settle` is awaited before the account is asked: what other processes left unfinished is found out first.
    """

    client: AmoCRMClient | None
    redis: Redis
    names: Namespace
    catalogue: Catalogue
    promises: dict[Spot, str] | None = None
    settle: Callable[[], Awaitable[object]] | None = None

    async def places(self, members: Sequence[LeadMember]) -> dict[str, Place]:
        """The places of those records without a lead that join one, by key; the others make one of their own.

        To be called while their contacts are claimed. Raises AmoCRMAPIError, StateUnavailable.
        """
        wanted = {one.contact for one in members if one.joins and isinstance(one.contact, int)}
        search = _Search(self.catalogue, await self._leads_of(sorted(wanted)), self._made())
        return {one.key: place for one in members if (place := search.place(one)) is not None}

    def _made(self) -> dict[Spot, str]:
        return {} if self.promises is None else self.promises

    async def _leads_of(self, contacts: Sequence[int]) -> dict[int, list[Body]]:
        """The leads of these contacts that are there, as the CRM shows them."""
        if not contacts or self.client is None:
            return {}
        if self.settle is not None:
            await self.settle()
        remembered = await load_leads_of(self.redis, self.names, contacts)
        links = await self.client.links("contacts", contacts)
        ids = {one: remembered[one] | _lead_ids(links.get(one, ())) for one in contacts}
        bodies = await self.client.get_many(
            "leads",
            {id_ for found in ids.values() for id_ in found},
            with_=("contacts",),
            filters=self.catalogue.account.is_api_filter_enabled,
        )
        return {
            contact: [bodies[id_] for id_ in found if id_ in bodies and _is_of(bodies[id_], contact)]
            for contact, found in ids.items()
        }


@dataclass(slots=True)
class _Search:
    """Goes through records in their order: what one of them makes, the later ones may join."""

    catalogue: Catalogue
    there: Mapping[int, Sequence[Body]]
    made: dict[Spot, str] = field(default_factory=dict)

    def place(self, one: LeadMember) -> Place | None:
        """Where a record goes; None when it makes a lead of its own."""
        stage = stage_of(one.wanted, self.catalogue)
        if one.contact is None or stage is None:
            return None
        spot, leads = (one.contact, stage[0]), self.there.get(one.contact, ()) if isinstance(one.contact, int) else ()
        place = self._joined(one, spot, leads) if one.joins else None
        if place is None and stage[1] not in CLOSED:
            self.made[spot] = one.key
        return place

    def _joined(self, one: LeadMember, spot: Spot, leads: Iterable[Body]) -> Place | None:
        own = newest(lead for lead in leads if key_stands_in(lead, one))
        if own is not None:
            reason = "the lead holds this talk's key"
            return Place(Joined(one.key, int(own["id"]), reason), holds_key=True)
        where = f"in «{self._name(spot[1])}»"
        if spot in self.made:
            reason = f"new lead of the same contact {where}"
            return Place(Joined(one.key, lead_ref(self.made[spot]), reason), self.made[spot])
        found = newest(lead for lead in leads if is_open(lead) and lead["pipeline_id"] == spot[1])
        if found is None:
            return None
        return Place(Joined(one.key, int(found["id"]), f"open lead of the same contact {where}"))

    def _name(self, pipeline_id: int) -> str:
        names = (one.name for one in self.catalogue.pipelines if one.id == pipeline_id)
        return next(names, str(pipeline_id))


def stage_of(wanted: WantedLead, catalogue: Catalogue) -> tuple[int, int | None] | None:
    """Pipeline and status of the lead that a record wants: the mapping's, else the account's main pipeline, where
    the CRM chooses the status; None when the account shows no main pipeline."""
    for value in wanted.values:
        if value.slot == "stage":
            return value.wire["pipeline_id"], value.wire["status_id"]
    main = next((one.id for one in catalogue.pipelines if one.is_main), None)
    return None if main is None else (main, None)


def is_open(lead: Body) -> bool:
    """Neither won nor lost, and not deleted."""
    return lead.get("status_id") not in CLOSED and not lead.get("is_deleted")


def newest(leads: Iterable[Body]) -> Body | None:
    """The lead that was made last."""
    return max(leads, key=lambda one: (one.get("created_at") or 0, int(one["id"])), default=None)


def key_stands_in(lead: Body, one: LeadMember) -> bool:
    """Whether a lead names the record's key in its key field."""
    field = one.resolver.key_field
    fields = lead.get("custom_fields_values") or ()
    values = (value for sent in fields if field and sent["field_id"] == field.id for value in sent["values"])
    return any(holds_key(str(value["value"]), one.key) for value in values)


def _lead_ids(links: Iterable[Mapping[str, Any]]) -> set[int]:
    return {int(one["to_entity_id"]) for one in links if one.get("to_entity_type") == "leads"}


def _is_of(lead: Body, contact: int) -> bool:
    contacts = (lead.get("_embedded") or {}).get("contacts") or ()
    return not lead.get("is_deleted") and any(int(one["id"]) == contact for one in contacts)
