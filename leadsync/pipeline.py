"""Pipeline: read → map → match → plan → apply → remember."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self
from uuid import uuid4
from zoneinfo import ZoneInfo

from leadsync.amocrm.ban import Ban
from leadsync.amocrm.catalogue import Catalogue
from leadsync.amocrm.retry import RetryPolicy
from leadsync.amocrm.wire import Timeouts
from leadsync.config.loader import Project, load_project
from leadsync.done import Done
from leadsync.errors import ConfigurationError, LeadsyncError, RecordError, StateUnavailable
from leadsync.events import HeldBack, Listener, RecordFinished, Warned, ignore
from leadsync.explaining.explanation import Explanation
from leadsync.explaining.gathering import Gathering
from leadsync.held_back import Losses, is_held_back
from leadsync.intake import Intake, Skipped, compile_mappings, keepable, keeps_keys, open_intakes
from leadsync.keeping import Keeping
from leadsync.lanes import Lanes
from leadsync.logged import of_run
from leadsync.planning import plan_records
from leadsync.project import Connections, connect
from leadsync.pushes import Pushes, closed, push_result
from leadsync.records import Record
from leadsync.retrying import Retrying
from leadsync.running import Check, count_done, run_records
from leadsync.safety import Limits, check_safety, safety_warnings
from leadsync.saved_plan.applying import Applying
from leadsync.saved_plan.saving import Saving
from leadsync.selection import Selection
from leadsync.state.persistence import persistence_warnings
from leadsync.state.refused import PUSHED, Refused, pushed_place
from leadsync.state.runs import keep_run
from leadsync.steps import Shared
from leadsync.sync.account_names import AccountNames
from leadsync.sync.all_leads import AllLeads
from leadsync.sync.batch_sizes import BatchSizes
from leadsync.sync.contact_list import ContactList
from leadsync.sync.freshness import Freshness
from leadsync.sync.rebuild import Rebuild, Rebuilt
from leadsync.sync.recover import SETTLE
from leadsync.sync.results import Plan, PushResult, RequestCounter, RunReport
from leadsync.troubles import State, state_of
from leadsync.waiting import Waiting

logger = logging.getLogger("leadsync")


class Pipeline:
    """The sync of one project. Use as an async context manager.

    async with Pipeline.from_file("leadsync.yaml") as pipeline:
        result = await pipeline.push({"id": "42", "source": "telegram", "user_name": "…", "phone": "…"})
    """

    def __init__(
        self,
        project: Project,
        *,
        listener: Listener = ignore,
        retry: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        settle: float = SETTLE,
        ban: Ban | None = None,
    ) -> None:
        """`settle` is in seconds: how long a lost write may still arrive in the CRM, a property of the CRM. Pipelines
        that are given a `ban` send nothing while amoCRM blocks the account.

        Raises ConfigurationError for mistakes in templates: they are told before anybody is asked anything.
        """
        self.project = project
        self._mappers = compile_mappings(project)
        self._listener = listener
        self._retry = retry
        self._timeouts = timeouts
        self._settle = settle
        self._ban = ban
        self._losses = Losses()
        self._stack = AsyncExitStack()

    @classmethod
    def from_file(
        cls,
        path: str | Path | None = None,
        *,
        listener: Listener = ignore,
        retry: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        settle: float = SETTLE,
    ) -> Self:
        """Read leadsync.yaml and its mappings. Raises ConfigurationError with every mistake in them."""
        project = load_project(Path(path) if path else None)
        return cls(project, listener=listener, retry=retry, timeouts=timeouts, settle=settle)

    async def __aenter__(self) -> Self:
        """Connect and learn the account's names. Raises ConfigurationError, StateUnavailable, AmoCRMAPIError."""
        try:
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def _open(self) -> None:
        connected = connect(self.project, self._listener, retry=self._retry, timeouts=self._timeouts, ban=self._ban)
        self.connections: Connections = await self._stack.enter_async_context(connected)
        await self.connections.check_seal()
        self._requests = RequestCounter()
        self.connections.listeners.add(self._requests)
        client, redis, names = self.connections.client, self.connections.redis, self.connections.names
        leads = AllLeads(client, redis, names, wanted=keeps_keys(self.project))
        all_leads = await self._stack.enter_async_context(leads)
        self.account = await AccountNames.open(client, redis, names)
        self._intakes = await open_intakes(self.project, self._mappers, self.account)
        country, journal = self.project.file.defaults.country, self.connections.journal
        filters, fields = self.catalogue.account.is_api_filter_enabled, self._intakes.key_fields
        self._rebuild = Rebuild(client, redis, names, fields, journal, all_leads, country=country, filters=filters)
        await self.rebuild(everything=False)
        sizes = BatchSizes(redis, names, self.project.file.amocrm.batch_size)
        await sizes.load()
        contacts = ContactList(client, redis, names, country)
        self._shared = Shared(self.connections, self.account, sizes, contacts, self._rebuild, self._settle)
        self.lanes = await self._stack.enter_async_context(Lanes(self._shared))
        # A write whose claims have lapsed while it waited its turn must not go out: another process may send it.
        client.guard_writes(self.lanes.check)
        self._steps = await self.lanes.steps(0)
        self._keeping = Keeping(self.connections.refused, self._steps.named)
        freshness = await self._stack.enter_async_context(Freshness(contacts, self._rebuild))
        self._pushes = await self._stack.enter_async_context(Pushes(self._steps, freshness))
        self._waiting = await self._stack.enter_async_context(
            Waiting(self.connections, self._push_kept, self._steps.named)
        )

    @property
    def catalogue(self) -> Catalogue:
        """What the account calls its things, as far as it was read."""
        return self.account.catalogue

    def intake(self, source: str | None = None) -> Intake:
        """The first half of the work for a source, with counts of its own. Raises ConfigurationError."""
        return self._intakes.of(self._source(source))

    @property
    def has_key_field(self) -> bool:
        """Whether any mapping writes the records' keys into the account."""
        return bool(self._intakes.key_fields)

    async def rebuild(self, *, everything: bool = True) -> Rebuilt:
        """Give Redis back what the account's leads know (`key_field`); all of it, or only as far as it may be missing.

        Raises AmoCRMAPIError, StateUnavailable.
        """
        return await self._rebuild.ensure(everything=everything)

    # One record at a time

    async def push(self, record: Mapping[str, Any] | Record, *, patience: float | None = None) -> PushResult:
        """Bring one record into the CRM; pushes at the same time share batches.

        Never raises for a fault of the record or of the CRM: it says so in the result, and the record is kept among the
        refused ones; one that is not at fault goes in by itself later. After `patience` seconds the same is done for a
        record that is still on its way, which goes on once it is under way.
        """
        if self._pushes.is_closed:
            # Redis is closed too: there is nowhere to keep the record.
            return PushResult(False, None, None, str(closed()), closed().remedy)
        self._waiting.wanted()
        with self._pushes.under_way():
            done = self._told(time.time(), await self._push(record, patience))
        self._waiting.heard(done)
        return push_result(done)

    def bring_waiting(self) -> None:
        """Bring in, in the background, what was pushed and had to wait, now and later; a push begins this, too."""
        self._waiting.wake()

    def leave(self) -> None:
        """Leave what waits to another pipeline, which takes the place of this one; what is pushed goes in as ever."""
        self._waiting.leave()

    async def finished(self) -> None:
        """Return, after `leave`, when nothing is under way that closing would break off."""
        await self._waiting.finished()
        await self._pushes.finished()

    def _told(self, came: float, done: Done) -> Done:
        """What became of a push, told to whoever listens unless it was held back: it will be tried again."""
        if not is_held_back(done):
            self.connections.listeners(RecordFinished(PUSHED, done.outcome, max(0.0, time.time() - came)))
        return done

    async def _push(
        self, record: Mapping[str, Any] | Record, patience: float | None = None, kept: Refused | None = None
    ) -> Done:
        came, name, source = (kept.since, kept.key, kept.source) if kept else (time.time(), None, None)
        try:
            zone = ZoneInfo(self.project.file.defaults.timezone)
            read = record if isinstance(record, Record) else Record.from_mapping(record, zone=zone)
            intake = self._intakes.for_record(read, source)
            taken = intake.take(read, pushed_place(read.source, read.id), pushed=keepable(record))
            taken = replace(taken, came=came, kept=name)
        except Skipped as skipped:
            return Done(str(skipped), PUSHED, "skipped")
        except RecordError as error:
            return await self._keeping.unread(record, error, came)
        try:
            done = await self._pushes.push(intake, taken, patience)
        except LeadsyncError as error:
            if (state := state_of(error)) is not None:
                self.connections.listeners(HeldBack(state, error.what))
            return await self._keeping.held_back(intake.source.name, taken, error)
        if (why := self._losses.heard(done)) is not None:
            self.connections.listeners(HeldBack(State.CRM, why))
        return done

    # A whole source

    async def plan(
        self,
        source: str | None = None,
        *,
        limit: int | None = None,
        record: str | None = None,
        out: str | Path | None = None,
    ) -> Plan:
        """What a run would do; nothing is written to the CRM. `record` is the key of the only record to look at.

        With `out` the plan is saved there for `run(plan=…)`; then all its records are in memory at once.
        """
        saving = None if out is None else Saving(Path(out))
        intake = self._intakes.of(self._source(source))
        steps = self.lanes.planner()
        selection = Selection(limit, None if record is None else (record,), whole=saving is not None)
        plan = await plan_records(self.connections, steps, intake, selection, saving.add if saving else None)
        plan.warnings += [*await self._warnings(), *intake.missing.warnings(), *steps.taken_warnings()]
        plan.missing = intake.missing.counts
        plan.warnings += await safety_warnings(self.connections, self._intakes.of(plan.source), selection)
        if saving is not None and (record is None or plan.records):
            saving.write(plan, self.project, self.connections.account.name, selection)
        return plan

    async def explain(self, key: str, source: str | None = None) -> Explanation:
        """Everything about the record of a key; nothing is written. Raises ConfigurationError for an unknown key."""
        sources = list(self.project.sources) if source is None else [self._source(source)]
        steps = self.lanes.planner()
        return await Gathering(self.connections, self._intakes, steps, self.account).explain(key, sources)

    async def run(
        self,
        source: str | None = None,
        *,
        limit: int | None = None,
        record: str | None = None,
        max_new_leads: int | None = None,
        max_changed_share: float | None = None,
        plan: str | Path | None = None,
    ) -> RunReport:
        """Bring a source's records into the CRM. Raises StartRefused, AmoCRMAPIError, StateUnavailable.

        `max_new_leads` and `max_changed_share` (0..1) replace the project's limits. `plan` is the file of a saved plan:
        exactly that is sent, of the source and the records it was made of, or nothing when anything moved since.
        """
        applying = None if plan is None else Applying.of(self.connections, Path(plan), source)
        intake = self._intakes.of(self._source(applying.saved.source if applying else source))
        selection = applying.selection if applying else Selection(limit, None if record is None else (record,))
        limits = Limits.of(self.project, max_new_leads, max_changed_share)
        async with self._reported(intake.source.name) as report:
            options = {"plan": plan} if plan else {"source": source, "record": record, "limit": limit}
            counting = self._intakes.of(intake.source.name)
            check = partial(check_safety, self.connections, counting, selection, limits, options=options)
            if applying is None:
                await self._run(intake, selection, report, check)
            else:
                await check()
                count_done(self.connections, report, await applying.apply(self._steps, intake))
                report.remarks += [applying.remark] if applying.remark else []
        return report

    async def retry(self, keys: Sequence[str] = ()) -> RunReport:
        """Try refused records again: those of `keys`, or all, as they are now in their source.

        Raises ConfigurationError for a key that is not refused.
        """
        retrying = await Retrying.of(self.project, self._steps.refused, keys)
        async with self._reported("refused records") as report:
            await retrying.from_sources(self._run_chosen, report)
            with self._pushes.under_way():
                count_done(self.connections, report, await retrying.from_kept(self._push_kept))
        return report

    async def _run_chosen(self, source: str, selection: Selection, report: RunReport) -> None:
        await self._run(self._intakes.of(source), selection, report)

    async def _push_kept(self, refused: Refused) -> Done:
        return self._told(refused.since, await self._push(refused.record or {}, kept=refused))

    @asynccontextmanager
    async def _reported(self, source: str) -> AsyncIterator[RunReport]:
        """A report that counts requests and time, and is remembered at the end, however the run ends."""
        report = RunReport(uuid4().hex[:12], source, time.time(), warnings=await self._warnings())
        started = time.perf_counter()
        try:
            with of_run(report.run_id):
                yield report
        finally:
            report.requests, report.throttled = self._requests.taken()
            report.seconds = time.perf_counter() - started
            with suppress(StateUnavailable):
                await keep_run(self.connections.redis, self.connections.names, report.as_json(), sys.exception())

    async def _run(self, intake: Intake, selection: Selection, report: RunReport, check: Check | None = None) -> None:
        await run_records(self.connections, self.lanes, intake, selection, report, check)
        report.warnings += [*intake.missing.warnings(), *self.lanes.taken_warnings()]
        report.missing = intake.missing.counts

    def _source(self, name: str | None) -> str:
        sources = self.project.sources
        if name is None and len(sources) == 1:
            return next(iter(sources))
        if name is None or name not in sources:
            what = "several sources are configured" if name is None else f"no source is named {name!r}"
            raise ConfigurationError(
                what, where=str(self.project.path), do=f"use --source with one of: {', '.join(sources)}"
            )
        return name

    async def _warnings(self) -> list[str]:
        warnings = await persistence_warnings(self.connections.redis)
        warnings += await self.connections.refused.expired_warnings()
        for one in warnings:
            self.connections.listeners(Warned(one))
        return warnings
