"""Steps: what happens to a handful of records, from their keys to what we remember of them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from leadsync.done import Done, done_of, refusal, refused_items, refused_of
from leadsync.events import LeadCreated, RecordRefused, Warned
from leadsync.held_back import is_at_fault, let_go, with_held_back
from leadsync.intake import Intake, Taken, account_zone, keepable
from leadsync.mapping.shown_keys import shown_key
from leadsync.project import Connections
from leadsync.state.claims import Claims
from leadsync.state.facts import Fact, remember
from leadsync.state.links import link_hash
from leadsync.state.seen import SKIPPED, UNCHANGED, Seen
from leadsync.sync.account_names import AccountNames, blames_a_name
from leadsync.sync.applied import Applied
from leadsync.sync.apply import Applier, torn
from leadsync.sync.batch_sizes import BatchSizes
from leadsync.sync.changes import RecordPlan
from leadsync.sync.contact_list import ContactList
from leadsync.sync.match import Matcher
from leadsync.sync.not_accepted import NotAccepted
from leadsync.sync.open_leads import OpenLeads
from leadsync.sync.planner import Planner
from leadsync.sync.rebuild import Rebuild
from leadsync.sync.recover import SETTLE, Recovery
from leadsync.sync.results import Lookups
from leadsync.sync.send import Sender
from leadsync.sync.shared_leads import SharedLeads, is_returned
from leadsync.wishes import Wishes

logger = logging.getLogger("leadsync")

Thing = TypeVar("Thing")

Check = Callable[[Sequence[RecordPlan]], Awaitable[None]]
"""Looks at plans under claims, before anything of them is written; raises to stop them."""

FIRST_WAIT, LONGEST_WAIT = 0.02, 1.0
"""Seconds between two looks whether another worker has given a record back."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all who work for one account in this process have in common. `settle` is in seconds (sync.recover).

    `computing` is held while records are mapped: side by side each would only be later on the wire. `on_wire` are the
    batches that wait for their answer (sync.recover).
    """

    connections: Connections
    account: AccountNames
    sizes: BatchSizes
    contacts: ContactList
    rebuild: Rebuild
    settle: float = SETTLE
    computing: asyncio.Lock = field(default_factory=asyncio.Lock)
    on_wire: dict[str, str] = field(default_factory=dict)


class Steps:
    """Plans records, or plans and applies them, for one account.

    With `promises` (a plan that is not applied) contacts that earlier records would create are known to later ones.
    """

    def __init__(self, shared: Shared, claims: Claims, promises: dict[str, str] | None = None) -> None:
        connections, catalogue = shared.connections, shared.account.catalogue
        file = connections.project.file
        zone = account_zone(catalogue, ZoneInfo(file.defaults.timezone))
        client, redis, names = connections.client, connections.redis, connections.names
        self._connections = connections
        self._account = shared.account
        self._claims = claims
        self._rebuild = shared.rebuild
        self._turn = asyncio.Lock()  # claims are this process's: two tasks of it would both hold one
        holding = claims if promises is None else None
        filters = catalogue.account.is_api_filter_enabled
        country = file.defaults.country
        self._contacts = shared.contacts
        self._matcher = matcher = Matcher(client, redis, names, country, filters, promises, holding, shared.contacts)
        journal = connections.journal
        self._recovery = Recovery(client, redis, names, catalogue, zone, journal, claims, shared.on_wire, shared.settle)
        resume = self._recovery.resume if promises is None else None
        found = OpenLeads(client, redis, names, catalogue, None if promises is None else {}, resume)
        leads = SharedLeads(client, redis, names, catalogue, zone, found, holding)
        self._planner = Planner(client, redis, names, catalogue, matcher, zone, leads)
        self._wishes = Wishes(connections, shared.account, shared.rebuild, self._planner, shared.computing, self.named)
        self._zone = ZoneInfo(file.defaults.timezone)
        sender = Sender(client, redis, names, claims, journal, self._recovery, catalogue, shared.sizes)
        self._applier = Applier(sender, shared.sizes)
        self.refused = connections.refused
        self._warnings: list[str] = []

    async def plan(self, intake: Intake, taken: Sequence[Taken]) -> list[RecordPlan]:
        """Plan records without writing anything. Raises AmoCRMAPIError, StateUnavailable."""
        wishes, failed = await self._wishes.of(intake, taken)
        plans = await self._planner.plan(wishes)
        self._warn(plans)
        return failed + plans

    async def sync(self, intake: Intake, taken: Sequence[Taken]) -> tuple[list[Done], list[Taken]]:
        """Plan and apply records; those another worker is busy with come back untouched.

        Raises what stops a run: AmoCRMAPIError, StateUnavailable.
        """
        async with self._turn:
            return await self._sync(intake, taken)

    async def _sync(
        self, intake: Intake, taken: Sequence[Taken], check: Check | None = None
    ) -> tuple[list[Done], list[Taken]]:
        """With a `check` all records go together or none: those of others are waited for, and ours given back."""
        await self._claims.revive()
        try:
            mine, others = await self._claimed(taken, [[f"key:{one.key}"] for one in taken])
            if check is not None and others:
                return [], list(taken)
            joined = await with_held_back(self.refused, intake, mine, self._zone)
            done, busy = await self._bring(intake, joined.going, check)
            if check is not None and busy:
                return [], list(taken)
            while again := joined.again(done):
                await self._leave_contacts()
                more, late = await self._bring(intake, again)
                tried = {one.key for one in again}
                done, busy = [one for one in done if one.key not in tried] + more, busy + late
            return joined.ended + done, others + busy
        finally:
            await self._claims.release(self._claims.held)

    async def _bring(
        self, intake: Intake, taken: Sequence[Taken], check: Check | None = None
    ) -> tuple[list[Done], list[Taken]]:
        """Plan and apply records whose keys are claimed; with a `check` none while others hold a person of theirs."""
        # Whoever held these keys before may have died with a batch on the wire: that comes first, here and below.
        await self._recovery.resume()
        wishes, failed = await self._wishes.of(intake, taken)
        people = [[f"person:{key}" for key in wish.contact_keys] for wish in wishes]
        free, waiting = await self._claimed(wishes, people)
        by_key = {one.key: one for one in taken}
        busy = [by_key[wish.mapped.key] for wish in waiting]
        if check is not None and busy:
            return [], busy
        await self._recovery.resume()
        plans = failed + await self._planner.plan(free)
        if check is not None:
            await check(plans)
        return await self._marked(intake, by_key, plans, exactly=check is not None), busy

    async def finish(self, intake: Intake, taken: Sequence[Taken]) -> list[Done]:
        """Like `sync`, but waits for other workers that are busy with some of the records."""
        done: list[Done] = []
        left, wait = list(taken), FIRST_WAIT
        while left:
            more, left = await self.sync(intake, left)
            done += more
            if left:
                await asyncio.sleep(wait)
                wait = min(LONGEST_WAIT, wait * 1.5)
        return done

    async def sync_whole(self, intake: Intake, taken: Sequence[Taken], check: Check) -> list[Done]:
        """Plan and apply records all together, once no other worker is busy with any of them.

        `check` sees the plans before the first write; what it raises stops them all. Raises what `sync` raises, too.
        """
        wait = FIRST_WAIT
        while True:
            async with self._turn:
                done, left = await self._sync(intake, taken, check)
            if not left:
                return done
            await asyncio.sleep(wait)
            wait = min(LONGEST_WAIT, wait * 1.5)

    async def _claimed(
        self, things: Sequence[Thing], names: Sequence[Sequence[str]]
    ) -> tuple[list[Thing], list[Thing]]:
        got = await self._claims.take(names)
        mine = [one for one, taken in zip(things, got, strict=True) if taken]
        return mine, [one for one, taken in zip(things, got, strict=True) if not taken]

    async def _marked(
        self, intake: Intake, taken: Mapping[str, Taken], plans: Sequence[RecordPlan], *, exactly: bool
    ) -> list[Done]:
        """Send plans; what amoCRM has accepted need not be looked at again until it changes.

        What is about to be sent is looked at again whatever becomes of this process; and all of it while the records
        are claimed, or somebody slower could remember what is in force no more.
        """
        seen = self._seen(intake)
        await seen.forget(taken[one.key].mark for one in plans)
        done = await self._apply(intake, taken, plans, exactly=exactly)
        await seen.keep((taken[one.key].mark, UNCHANGED) for one in done if one.outcome != "failed")
        return done

    def _seen(self, intake: Intake) -> Seen:
        return Seen(self._connections.redis, self._connections.names, intake.source.name, intake.wording)

    async def _apply(
        self, intake: Intake, taken: Mapping[str, Taken], plans: Sequence[RecordPlan], *, exactly: bool
    ) -> list[Done]:
        """Send plans and keep what is refused; `exactly`: nothing is sent that does not stand in them."""
        wanted = [plan for plan in plans if plan.refusal is None]
        applied = await (self._sent(wanted) if exactly else self._applied(intake, taken, wanted))
        if any(blames_a_name(no.answer) for one in applied for no in one.refused):
            await self._account.doubt()
        await self._forgive_gone(applied)
        done = [self._done(one) for one in applied]
        done += [refusal(plan.key, plan.place, plan.refusal) for plan in plans if plan.refusal is not None]
        trials = {one.key for one in done if is_at_fault(one) and taken[one.key].on_trial}
        self.tell([one for one in done if one.key not in trials])
        name, now = intake.source.name, time.time()
        kept = [refused_of(one, name, now) for one in done if one.error is not None and one.key not in trials]
        kept += [refused_items(one, name, now) for one in applied if one.refused and one.plan.key not in trials]
        read = [(one, taken[one.key]) for one in kept]
        await self.refused.keep([replace(one, record=_record_of(of), came=of.came) for one, of in read])
        went = [taken[one.plan.key] for one in applied if not one.refused]
        await let_go(self.refused, went, self._zone)
        return done

    async def _applied(self, intake: Intake, taken: Mapping[str, Taken], plans: Sequence[RecordPlan]) -> list[Applied]:
        """Send plans. Records that were refused for what they share are tried again, each by itself; those whose lead
        the account gave back are planned once more, with what its notes hold."""
        applied = {one.plan.key: one for one in await self._sent(plans)}
        returned = [one.key for one in plans if is_returned(one.key, one.facts)]
        for keys in ([returned] if returned else []) + [[key] for key in torn(applied.values())]:
            await self._leave_contacts()
            wishes, _ = await self._wishes.of(intake, [taken[key] for key in keys])
            for one in await self._applied(intake, taken, await self._planner.plan(wishes)):
                applied[one.plan.key] = one.after(applied[one.plan.key])
        return list(applied.values())

    async def _leave_contacts(self) -> None:
        """Who waits for a contact must not hold another, or a lead: that one's holder may wait for ours."""
        await self._claims.release([one for one in self._claims.held if one.startswith(("contact:", "lead:"))])

    async def _sent(self, plans: Sequence[RecordPlan]) -> list[Applied]:
        redis, names = self._connections.redis, self._connections.names
        await remember(redis, names, [fact for plan in plans for fact in plan.facts])
        self._warn(plans)
        before = await self.refused.find([name for plan in plans for name in (plan.key, plan.place)])
        items = {item.request_id: item for one in before.values() for item in one.items}
        return await self._applier.apply(plans, items)

    def _warn(self, plans: Sequence[RecordPlan]) -> None:
        for what in dict.fromkeys(one for plan in plans for one in plan.warnings):
            if what not in self._warnings:
                self._warnings.append(what)
                self._connections.listeners(Warned(what))

    def taken_warnings(self) -> list[str]:
        """What a person should know of the plans so far, each thing once; it is told anew after that."""
        found, self._warnings = self._warnings, []
        return found + self._matcher.taken_twins()

    @property
    def lookups(self) -> Lookups:
        """How people were found so far: pages are counted for everybody who shares the index."""
        return Lookups(self._contacts.pages, self._matcher.searches)

    @property
    def reads_spared(self) -> int:
        """Requests that these records would have cost, had this process not just asked the same as it began."""
        return self._rebuild.spared

    async def _forgive_gone(self, applied: Sequence[Applied]) -> None:
        """A note refused because a person has deleted its lead is no failure: that lead gets nothing more."""
        orphans = [one for one in applied if one.lead_id is not None and any(map(_hangs_in_the_air, one.refused))]
        if not orphans:
            return
        ids = [one.lead_id for one in orphans if one.lead_id is not None]
        there = await self._connections.client.get_many("leads", ids, filters=False)
        facts: list[Fact] = []
        for one in orphans:
            if one.lead_id not in there:
                one.refused = [no for no in one.refused if not _hangs_in_the_air(no)]
                facts.append((link_hash(one.plan.key), "gone", "1"))
        await remember(self._connections.redis, self._connections.names, facts)

    async def keep_ended(self, intake: Intake, done: Sequence[Done]) -> None:
        """Keep records that could not be read, under the place where they lie; forget those not wanted any more, which
        need not be looked at again until they change.

        Raises StateUnavailable.
        """
        self.tell(done)
        seen = self._seen(intake)
        await seen.forget(one.mark for one in done if one.error)
        await seen.keep((one.mark, SKIPPED) for one in done if not one.error)
        await self.refused.keep([refused_of(one, intake.source.name, time.time()) for one in done if one.error])
        await self.refused.drop_given([name for one in done if not one.error for name in (one.key, one.place)])

    def _done(self, applied: Applied) -> Done:
        done = done_of(applied)
        if done.created["leads"] and applied.lead_id is not None:
            if logger.isEnabledFor(logging.INFO):  # how a key may be shown takes as long as mapping its record
                logger.info("lead %d was created", applied.lead_id, extra=self.named(done.key))
            self._connections.listeners(LeadCreated(applied.lead_id, applied.contact_id))
        return done

    def named(self, key: str) -> dict[str, str]:
        """A record's key, for a log line."""
        project = self._connections.project
        return {"key": shown_key(key, project.file.defaults.country, project.sources)}

    def tell(self, done: Sequence[Done]) -> None:
        """Log what was refused and tell whoever listens, without a value of any record."""
        for row in (row for one in done for row in one.refused):
            said = (row.field or "its reading", row.reason)
            logger.error("a record was refused at %s: %s", *said, extra=self.named(row.key))
            self._connections.listeners(RecordRefused(row.key, row.field, row.reason))


def _hangs_in_the_air(refused: NotAccepted) -> bool:
    return "note_type" in refused.item.payload and any(one.path == "entity_id" for one in refused.answer)


def _record_of(taken: Taken) -> Mapping[str, Any] | None:
    return taken.pushed if taken.pushed is not None else keepable(taken.record)
