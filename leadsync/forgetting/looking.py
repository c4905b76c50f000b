"""Looking: who is it, which records are theirs, and what is remembered of them. Nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass, field

from leadsync.forgetting.asked import Asked, Mentions
from leadsync.forgetting.held import Held
from leadsync.forgetting.links import KnownRecord, Links
from leadsync.forgetting.parts import Parts
from leadsync.forgetting.talks import Talks
from leadsync.intake import Intakes
from leadsync.project import Connections
from leadsync.state.people import load_people


@dataclass(slots=True)
class Looking:
    """One look. `held` grows; the steps need each other's finds and go in their order."""

    connections: Connections
    intakes: Intakes
    asked: Asked
    held: Held = field(default_factory=Held)

    async def look(self) -> Held:
        """Everything that is remembered of whoever is asked for.

        Raises StateUnavailable, and ConfigurationError where something is sealed with a key that is not at hand.
        """
        links = Links(self.connections.redis, self.connections.names)
        await self._person(links)
        places = await self._talks(links)
        await self._shared_leads(links)
        await Parts(self.connections, self.intakes, self.held, self._mentioned(), places).gather()
        return self.held

    def _mentioned(self) -> Mentions:
        """Who is asked for by a key alone is not looked for in what is others'."""
        return Mentions(self.held.contact_keys if self.asked.contact_keys else ())

    async def _person(self, links: Links) -> None:
        """The contacts, and the keys of their records. The contact of a key stays when other keys have it, too."""
        held, asked = self.held, self.asked
        known = await load_people(self.connections.redis, self.connections.names, sorted(asked.contact_keys))
        held.contacts |= set(known.values()) | await links.contacts_with(asked.contact_keys)
        own = await links.of(asked.keys)
        maybe = {contact for one in own for contact in one.contacts} - held.contacts
        shared = set[int]()
        names = Mentions(asked.contact_keys)
        held.keys |= asked.keys
        async for one in links.all():
            if one.key in asked.keys or one.contacts & held.contacts or names.in_text(one.key):
                self._take(one)
            else:
                shared |= one.contacts & maybe
        held.contacts |= maybe - shared
        held.shared |= {f"contact {one}" for one in shared}
        held.contact_keys = set(asked.contact_keys) | await links.contact_keys_of(held.contacts)

    async def _talks(self, links: Links) -> set[str]:
        """What the sources hold; the places of the person's own talks."""
        talks = Talks(self.connections, self.intakes)
        theirs = self.held.contact_keys if self.asked.contact_keys else set()
        self.held.talks = sorted(await talks.of(self.held.keys, theirs))
        self.held.not_looked_at = talks.unread
        own = [one for one in self.held.talks if one.is_theirs]
        self.held.keys |= {one.key for one in own}
        for record in await links.of(self.held.keys):
            self._take(record)
        return {one.place for one in own}

    def _take(self, record: KnownRecord) -> None:
        self.held.keys.add(record.key)
        if record.lead is not None:
            self.held.leads.add(record.lead)

    async def _shared_leads(self, links: Links) -> None:
        """A lead that other records are in stays remembered."""
        if self.held.leads:
            async for one in links.all():
                if one.lead in self.held.leads and one.key not in self.held.keys:
                    self.held.shared.add(f"lead {one.lead}")
