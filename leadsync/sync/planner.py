"""Planner: asks Redis and the CRM what a plan needs to know, in bulk, and puts the plans of many records together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

from redis.asyncio import Redis

from leadsync.amocrm import AmoCRMClient
from leadsync.amocrm.catalogue import Catalogue
from leadsync.state.links import link_hash, load_wrote
from leadsync.state.namespace import Namespace
from leadsync.sync.changes import Outcome, RecordPlan, Step, contact_ref, lead_ref
from leadsync.sync.compare import Current
from leadsync.sync.mapped import Mapped
from leadsync.sync.match import Matcher
from leadsync.sync.people import Member, Person
from leadsync.sync.plan_contact import plan_known_contact, plan_new_contact
from leadsync.sync.plan_lead import LeadMember, plan_link
from leadsync.sync.plan_note import plan_note
from leadsync.sync.planned import Planned
from leadsync.sync.resolve import WantedContact, WantedLead
from leadsync.sync.shared_leads import SharedLeads, is_returned
from leadsync.tasks import in_breaths


@dataclass(frozen=True, slots=True)
class Wish:
    """A record's wants, typed for this account."""

    mapped: Mapped
    contact: WantedContact | None
    lead: WantedLead | None

    @property
    def contact_keys(self) -> tuple[str, ...]:
        """The contact keys of a person who has to be found, made or compared."""
        return self.contact.keys if self.contact is not None and self.contact_moved else ()

    @property
    def contact_moved(self) -> bool:
        """Whether the contact has to be found, made or compared."""
        link = self.mapped.link
        if self.contact is None:
            return False
        return self.lead_new or link.contact_id is None or link.said_contact != self.contact.said

    @property
    def lead_new(self) -> bool:
        """Whether the record has no lead yet: one is made for it, or it joins one of its contact's."""
        link = self.mapped.link
        return self.lead is not None and link.lead_id is None and not link.gone

    @property
    def lead_moved(self) -> bool:
        """Whether a lead that exists has to be compared."""
        link = self.mapped.link
        return self.lead is not None and link.lead_id is not None and link.said_lead != self.lead.said


class Planner:
    """Makes the plans of many records at once. `client` is None offline: then nobody is searched and nothing read."""

    def __init__(
        self,
        client: AmoCRMClient | None,
        redis: Redis,
        names: Namespace,
        catalogue: Catalogue,
        matcher: Matcher,
        zone: ZoneInfo,
        leads: SharedLeads,
    ) -> None:
        self._client = client
        self._redis = redis
        self._names = names
        self._catalogue = catalogue
        self._matcher = matcher
        self._zone = zone
        self._leads = leads

    async def plan(self, wishes: Sequence[Wish]) -> list[RecordPlan]:
        """One plan a record, in the same order; no key may come twice. Raises AmoCRMAPIError, StateUnavailable."""
        contacts = await self._contacts(wishes)
        leads = await self._leads.plan([one for wish in wishes if (one := _lead_member(wish, contacts)) is not None])
        links = _links(wishes, contacts)
        return [_put_together(wish, contacts, leads, links) async for wish in in_breaths(wishes)]

    async def look_ahead(self, wishes: Sequence[Wish], times: float) -> None:
        """Get ready to plan so many times these wishes. Raises AmoCRMAPIError, StateUnavailable."""
        await self._matcher.look_ahead(_members(wishes), times)

    async def _contacts(self, wishes: Sequence[Wish]) -> dict[str, Planned]:
        people = await self._matcher.people(_members(wishes))
        ids = [person.contact_id for person in people if person.contact_id is not None]
        wrote = await load_wrote(self._redis, self._names, "contact", ids)
        planned: dict[str, Planned] = {}
        async for person in in_breaths(people):
            first, *others = (member.key for member in person.members)
            planned[first] = replace(self._contact(person, wrote), relink=person.was_lost)
            planned |= {key: Planned(entity=planned[first].entity, relink=person.was_lost) for key in others}
        return planned

    def _contact(self, person: Person, wrote: Mapping[int, Mapping[str, str]]) -> Planned:
        if person.promised_by is not None:
            return Planned(entity=contact_ref(person.promised_by))
        if person.contact_id is None:
            return plan_new_contact(person)
        if person.body is None:
            return Planned(entity=person.contact_id)
        current = Current(person.body, "contacts", self._catalogue, self._zone)
        return plan_known_contact(person, current, wrote[person.contact_id], self._matcher.country)


def wish_of(mapped: Mapped) -> Wish:
    """What a record wants, typed. Raises ValueRefused when a value fits not its field."""
    desired, resolver = mapped.desired, mapped.resolver
    contact = resolver.contact(desired.contact) if desired.contact is not None else None
    lead = resolver.lead(desired.lead, mapped.key) if desired.lead is not None else None
    return Wish(mapped, contact, lead)


def _members(wishes: Sequence[Wish]) -> list[Member]:
    """The wishes for contacts that have to be found, made or compared."""
    return [
        Member(wish.mapped.key, wish.contact, wish.mapped.link)
        for wish in wishes
        if wish.contact is not None and wish.contact_moved
    ]


def _person(wish: Wish, contacts: Mapping[str, Planned]) -> Planned:
    return contacts.get(wish.mapped.key, Planned(entity=wish.mapped.link.contact_id))


def _lead_member(wish: Wish, contacts: Mapping[str, Planned]) -> LeadMember | None:
    """The record's wish for a lead, when that has to be made or compared."""
    mapped, desired = wish.mapped, wish.mapped.desired.lead
    if wish.lead is None or not (wish.lead_new or wish.lead_moved):
        return None
    joins = desired is not None and desired.match == "open"
    return LeadMember(mapped.key, wish.lead, mapped.link, mapped.resolver, _person(wish, contacts).entity, joins)


def _links(wishes: Sequence[Wish], contacts: Mapping[str, Planned]) -> dict[str, Planned]:
    """The links to be made, each once though several talks share the lead and the contact."""
    found: dict[tuple[Any, Any], Step] = {}
    for wish in wishes:
        step = plan_link(wish.mapped.key, wish.mapped.link, _person(wish, contacts)).step
        if step is not None:
            ends = step.change.payload["entity_id"], step.change.payload["to_entity_id"]
            first = found.get(ends)
            found[ends] = step if first is None else replace(first, facts=first.facts + step.facts)
    return {step.change.key: Planned(step) for step in found.values()}


def _put_together(
    wish: Wish, contacts: Mapping[str, Planned], leads: Mapping[str, Planned], links: Mapping[str, Planned]
) -> RecordPlan:
    """One record's plan: contact, lead, link, note."""
    mapped, link, key = wish.mapped, wish.mapped.link, wish.mapped.key
    person = _person(wish, contacts)
    lead = leads.get(key, Planned(entity=link.lead_id))
    if link.gone or (key in leads and lead.entity is None):
        return _without_lead(wish, person)
    tie = links.get(key, Planned())
    steps = [one for one in (person.step, lead.step, tie.step) if one]
    target = lead.entity or person.entity
    if mapped.desired.note is not None and target is not None and not is_returned(key, lead.facts):
        note, news = mapped.desired.note, mapped.desired.news
        text, on_lead = mapped.resolver.clean(note.text), lead.entity is not None
        steps += plan_note(key, link, text, mapped.noted, target, on_lead=on_lead, news=news, origin=note.origin)
    facts = person.facts + lead.facts
    return RecordPlan(
        key,
        mapped.place,
        _outcome(wish, steps, lead),
        tuple(steps),
        facts,
        lead.entity,
        person.entity,
        kept=person.kept + lead.kept,
        joined=lead.joined,
        warnings=lead.warnings,
    )


def _outcome(wish: Wish, steps: Sequence[Step], lead: Planned) -> Outcome:
    if lead.entity == lead_ref(wish.mapped.key):
        return "create"
    return "update" if steps or lead.joined is not None else "unchanged"


def _without_lead(wish: Wish, person: Planned) -> RecordPlan:
    """A person deleted the lead: it is not made again, and nothing more is written to it; the contact goes on."""
    mapped = wish.mapped
    steps = (person.step,) if person.step else ()
    facts = (*person.facts, (link_hash(mapped.key), "gone", "1"))
    outcome: Outcome = "update" if steps else "unchanged"
    reason = "the lead was deleted in amoCRM; it is not made again"
    return RecordPlan(mapped.key, mapped.place, outcome, steps, facts, None, person.entity, reason=reason)
