"""Gathering: asks the source, the mapping, our memory and the CRM about one record. Nothing is written."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal
from zoneinfo import ZoneInfo

from leadsync.amocrm.imagined import ImaginedCatalogue
from leadsync.chunks import Chunk
from leadsync.config.loader import ConfiguredSource, LoadedMapping, Project
from leadsync.done import refusal
from leadsync.errors import AmoCRMAPIError, RecordError
from leadsync.events import Listener
from leadsync.explaining.comparing import Comparing, current_of
from leadsync.explaining.explanation import Compared, Entity, Explanation, Remembered
from leadsync.explaining.finding import Found, Search
from leadsync.explaining.rendered import rendered, when_of
from leadsync.intake import Intakes, account_zone, compile_mappings, keepable
from leadsync.mapping.talk import Noted
from leadsync.planning import Planning
from leadsync.project import Connections, connect
from leadsync.records import DIGEST_SIZE, Record
from leadsync.state.links import Link, load_links, load_wrote
from leadsync.steps import Steps
from leadsync.sync.account_names import AccountNames
from leadsync.sync.cost import WriteCost
from leadsync.sync.planner import Wish, wish_of
from leadsync.sync.resolve import WantedContact, WantedLead


class Gathering:
    """What is asked about one record. Without `steps` and `account` the CRM is left alone."""

    def __init__(
        self,
        connections: Connections,
        intakes: Intakes,
        steps: Steps | None = None,
        account: AccountNames | None = None,
    ) -> None:
        self._connections = connections
        self._intakes = intakes
        self._steps = steps
        self._account = account

    async def explain(self, key: str, sources: Sequence[str]) -> Explanation:
        """Everything about the record of a key, or at a place of a source.

        Trouble with the CRM is told in the explanation. Raises ConfigurationError for a key that nobody has,
        StateUnavailable.
        """
        search = Search(self._connections, self._intakes, key)
        found = await search.in_sources(sources)
        names = [key] if found is None else [name for name in (found.key, found.place) if name]
        refused = await self._connections.refused.find(names)
        explained = Explanation(names[0], refused=next(iter(refused.values()), None))
        pushed = found is None
        found = found or search.in_refused(explained.refused)
        link = await self._link(explained.key)
        explained.remembered = remembered(link)
        if found is None and explained.remembered.is_empty and explained.refused is None:
            raise search.nobody()
        if found is not None:
            explained.source = None if pushed or found.intake is None else found.intake.source.name
            self._tell(explained, found, link)
            await self._ask(explained, found, link)
        return explained

    def _tell(self, explained: Explanation, found: Found, link: Link) -> None:
        """What needs no CRM: raw, read, rendered."""
        explained.place, explained.raw = found.place, found.raw
        explained.record = None if found.record is None else keepable(found.record)
        loaded = _mapping_of(found.intake.source if found.intake else None, found.record)
        if found.error is not None:
            explained.stopped = refusal(explained.key, found.place, found.error).refused[0]
        elif found.taken is None:
            explained.skipped = None if loaded is None else when_of(loaded)
        elif found.intake is not None:
            try:
                desired = found.intake.map(found.taken, link).desired
            except RecordError as error:
                explained.stopped = refusal(explained.key, found.place, error).refused[0]
            else:
                explained.rendered = rendered(desired, loaded)
                explained.missing = desired.missing

    async def _ask(self, explained: Explanation, found: Found, link: Link) -> None:
        """What the CRM has to be asked for: the plan of this record, and what stands there now."""
        if self._steps is None or self._account is None or found.intake is None:
            return
        try:
            if found.taken is not None:
                planning = Planning(self._steps, found.intake, WriteCost())
                await planning.add(Chunk({found.taken.key: found.taken}))
                explained.plan = planning.plan
                link = await self._link(explained.key)  # planning may have found its lead by the `key_field`
            wish = _wish(found, link)
            values = await self._compare(explained.key, link, wish)
            explained.remembered = replace(remembered(link), values=tuple(values), **_said(wish, link))
        except AmoCRMAPIError as error:
            explained.trouble, explained.exit_code = str(error), error.exit_code

    async def _link(self, key: str) -> Link:
        return (await load_links(self._connections.redis, self._connections.names, [key]))[key]

    async def _compare(self, key: str, link: Link, wish: Wish | None) -> list[Compared]:
        contact, lead = (wish.contact, wish.lead) if wish is not None else (None, None)
        contact_id = link.contact_id or link.linked
        found = [] if contact_id is None else await self._compared("contact", contact_id, key, contact)
        return found if link.lead_id is None else found + await self._compared("lead", link.lead_id, key, lead)

    async def _compared(
        self, entity: Entity, entity_id: int, key: str, wanted: WantedContact | WantedLead | None
    ) -> list[Compared]:
        """The values of one entity; none when it is no longer in the CRM."""
        assert self._account is not None
        connections, catalogue = self._connections, self._account.catalogue
        kind: Literal["contacts", "leads"] = "contacts" if entity == "contact" else "leads"
        filters = catalogue.account.is_api_filter_enabled
        body = (await connections.client.get_many(kind, [entity_id], filters=filters)).get(entity_id)
        if body is None:
            return []
        wrote = await load_wrote(connections.redis, connections.names, entity, [entity_id])
        defaults = connections.project.file.defaults
        zone = account_zone(catalogue, ZoneInfo(defaults.timezone))
        current = current_of(body, entity, catalogue, zone)
        comparing = Comparing(entity, key, current, wrote[entity_id], catalogue, defaults.country)
        return comparing.compared(wanted)


async def explain_offline(
    project: Project, key: str, sources: Sequence[str], trouble: AmoCRMAPIError, listener: Listener
) -> Explanation:
    """What can be told while amoCRM cannot be asked, because of `trouble`.

    Raises ConfigurationError, StateUnavailable.
    """
    async with connect(project, listener) as connections:
        intakes = Intakes(project, ImaginedCatalogue(), compile_mappings(project))
        explained = await Gathering(connections, intakes).explain(key, sources)
    explained.trouble, explained.exit_code = str(trouble), trouble.exit_code
    return explained


def remembered(link: Link) -> Remembered:
    """What a link says."""
    noted = Noted.from_bytes(b64decode(link.noted)) if link.noted else Noted()
    count = sum(len(part) for part in (noted.timed, noted.untimed, noted.lines)) // DIGEST_SIZE
    return Remembered(link.lead_id, link.contact_id, link.linked, count, link.gone, link.restored)


def _mapping_of(source: ConfiguredSource | None, record: Record | None) -> LoadedMapping | None:
    if source is None or record is None:
        return None
    return source.mappings.get(record.source) or source.mappings.get(None)


def _wish(found: Found, link: Link) -> Wish | None:
    """What the record wants, typed; None for one that is skipped or cannot be mapped."""
    if found.taken is None or found.intake is None:
        return None
    try:
        return wish_of(found.intake.map(found.taken, link))
    except RecordError:
        return None


def _said(wish: Wish | None, link: Link) -> Mapping[str, Any]:
    """Whether the record wants what it wanted when it was last accepted."""
    contact, lead = (wish.contact, wish.lead) if wish is not None else (None, None)
    return {
        "contact_said": contact.said == link.said_contact if contact is not None and link.said_contact else None,
        "lead_said": lead.said == link.said_lead if lead is not None and link.said_lead else None,
    }
