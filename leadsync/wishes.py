"""Wishes: what some records of a source want, as its mapping and what is remembered of them tell."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from leadsync.errors import RecordError
from leadsync.intake import Intake, Taken
from leadsync.mapping.found_notes import FoundNote, noted_in
from leadsync.project import Connections
from leadsync.state.facts import Fact, remember
from leadsync.state.links import Link, link_hash, load_links
from leadsync.sync.account_names import AccountNames, misses_a_name
from leadsync.sync.changes import RecordPlan
from leadsync.sync.contact_list import FRESH
from leadsync.sync.mapped import Mapped
from leadsync.sync.planner import Planner, Wish, wish_of
from leadsync.sync.rebuild import Rebuild
from leadsync.tasks import in_breaths

logger = logging.getLogger("leadsync")

SAMPLE = 50
"""Records from which it is told how many strangers there will be among all."""


class Wishes:
    """Maps the records of one account; `computing` is held meanwhile, `named` says how a key may be logged."""

    def __init__(
        self,
        connections: Connections,
        account: AccountNames,
        rebuild: Rebuild,
        planner: Planner,
        computing: asyncio.Lock,
        named: Callable[[str], dict[str, str]],
    ) -> None:
        self._connections = connections
        self._account = account
        self._rebuild = rebuild
        self._planner = planner
        self._computing = computing
        self._named = named

    async def of(self, intake: Intake, taken: Sequence[Taken]) -> tuple[list[Wish], list[RecordPlan]]:
        """What records want, and the plans of those that are refused. Raises AmoCRMAPIError, StateUnavailable."""
        redis, names = self._connections.redis, self._connections.names
        links = await load_links(redis, names, [one.key for one in taken])
        unknown = [key for key, link in links.items() if link.lead_id is None]
        if unknown and await self._rebuild.catch_up(within=FRESH):
            links |= await load_links(redis, names, unknown)
        links |= await self._noted_again([one for one in taken if links[one.key].restored], links)
        await self._account.settle()
        known = self._account.readings
        wished, missed = await self._mapped(intake, taken, links)
        if missed and await self._account.renew(known):
            for number, mapped in missed.items():
                wished[number] = _wished(mapped)
        return [one for one in wished if isinstance(one, Wish)], [one for one in wished if isinstance(one, RecordPlan)]

    async def _mapped(
        self, intake: Intake, taken: Sequence[Taken], links: Mapping[str, Link]
    ) -> tuple[list[Wish | RecordPlan], dict[int, Mapped]]:
        """What records want; meanwhile the contact list is read, where the first of them tell that many strangers
        come."""
        numbered = list(enumerate(taken))
        try:
            async with asyncio.TaskGroup() as group, self._computing:
                first, missed = await self._wanted(intake, numbered[:SAMPLE], links)
                if len(numbered) > SAMPLE:
                    wishes = [one for one in first if isinstance(one, Wish)]
                    group.create_task(self._planner.look_ahead(wishes, len(numbered) / SAMPLE))
                rest, more = await self._wanted(intake, numbered[SAMPLE:], links)
                return first + rest, missed | more
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _wanted(
        self, intake: Intake, taken: Sequence[tuple[int, Taken]], links: Mapping[str, Link]
    ) -> tuple[list[Wish | RecordPlan], dict[int, Mapped]]:
        """What numbered records want, or why they are refused; beside it, by their number, those that miss a name."""
        wished, missed = list[Wish | RecordPlan](), dict[int, Mapped]()
        async for number, one in in_breaths(taken):
            try:
                mapped = intake.map(one, links[one.key])
                wished.append(_wished(mapped))
                if _misses_a_name(wished[-1]):
                    missed[number] = mapped
            except RecordError as error:
                wished.append(RecordPlan(one.key, one.place, "failed", refusal=error))
            except (ArithmeticError, LookupError, TypeError, ValueError) as error:
                wished.append(RecordPlan(one.key, one.place, "failed", refusal=_stumbled(error, self._named(one.key))))
        return wished, missed

    async def _noted_again(self, taken: Sequence[Taken], links: Mapping[str, Link]) -> dict[str, Link]:
        """Links that came back from the account, with what its notes say of their talks."""
        lead_ids = {one.key: links[one.key].lead_id or 0 for one in taken}
        notes = await self._connections.client.notes_of_many("leads", lead_ids.values()) if taken else {}
        found: dict[str, Link] = {}
        facts: list[Fact] = []
        for one in taken:
            shown = [FoundNote.of(note) for note in notes[lead_ids[one.key]]]
            noted = b64encode(noted_in(one.record, shown).to_bytes()).decode()
            found[one.key] = replace(links[one.key], noted=noted)
            facts += [(link_hash(one.key), "noted", noted), (link_hash(one.key), "restored", "0")]
        await remember(self._connections.redis, self._connections.names, facts)
        return found


def _wished(mapped: Mapped) -> Wish | RecordPlan:
    """What a record wants, typed, or the plan of one that is refused."""
    try:
        return wish_of(mapped)
    except RecordError as error:
        return RecordPlan(mapped.key, mapped.place, "failed", refusal=error)


def _misses_a_name(wished: Wish | RecordPlan) -> bool:
    return isinstance(wished, RecordPlan) and wished.refusal is not None and misses_a_name(wished.refusal)


def _stumbled(error: Exception, named: Mapping[str, str]) -> RecordError:
    """A mistake of ours, or of a plugin, that one record brings out: the others go on. Its text may quote a value."""
    logger.error("a record cannot be mapped: %s", type(error).__name__, extra=named)
    return RecordError(
        f"this record cannot be mapped ({type(error).__name__})", do="report it with the record's shape; others go on"
    )
