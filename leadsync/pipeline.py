"""Pipeline: read → map → match → plan → apply → remember."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from math import ceil
from pathlib import Path
from typing import Any, Self
from uuid import uuid4
from zoneinfo import ZoneInfo

from leadsync import plugins
from leadsync.amocrm.catalogue import Catalogue, load
from leadsync.amocrm.retry import RetryPolicy
from leadsync.amocrm.wire import Timeouts
from leadsync.config.loader import ConfiguredSource, Project, load_project
from leadsync.errors import ConfigurationError, LeadsyncError, RecordError, StartRefused
from leadsync.events import Listener, RecordsDone, RecordsRead, Warned, ignore
from leadsync.intake import Intake, Intakes, Skipped, Taken
from leadsync.project import Connections, connect
from leadsync.pushes import Pushes
from leadsync.records import Record
from leadsync.sources.base import RawRecord, Source, SourceContext
from leadsync.state.claims import Claims
from leadsync.state.links import load_links
from leadsync.state.persistence import persistence_warnings
from leadsync.state.runs import keep_run
from leadsync.steps import Done, Steps, refused_of
from leadsync.sync.changes import RecordPlan, Route
from leadsync.sync.names import check_names
from leadsync.sync.results import Plan, PushResult, RefusedRow, RequestCounter, RunReport

logger = logging.getLogger("leadsync")

CHUNK = 500
"""Records that are in memory at a time."""

PUSHED = "push"
"""Where a pushed record comes from, in messages."""


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
    ) -> None:
        self.project = project
        self._listener = listener
        self._retry = retry
        self._timeouts = timeouts
        self._stack = AsyncExitStack()

    @classmethod
    def from_file(
        cls,
        path: str | Path | None = None,
        *,
        listener: Listener = ignore,
        retry: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
    ) -> Self:
        """Read leadsync.yaml and its mappings. Raises ConfigurationError with every mistake in them."""
        project = load_project(Path(path) if path else None)
        return cls(project, listener=listener, retry=retry, timeouts=timeouts)

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
        connected = connect(self.project, self._listener, retry=self._retry, timeouts=self._timeouts)
        self.connections: Connections = await self._stack.enter_async_context(connected)
        self.catalogue: Catalogue = await load(self.connections.client)
        mappings = [one for source in self.project.sources.values() for one in source.mappings.values()]
        check_names({one.path: one for one in mappings}.values(), self.catalogue)
        self._intakes = Intakes(self.project, self.catalogue)
        claims = Claims(self.connections.redis, self.connections.names)
        self._claims = await self._stack.enter_async_context(claims)
        self._steps = Steps(self.connections, self.catalogue, self._claims)
        self._pushes = await self._stack.enter_async_context(Pushes(self._steps))

    # One record at a time

    async def push(self, record: Mapping[str, Any] | Record) -> PushResult:
        """Bring one record into the CRM; pushes at the same time share batches.

        Never raises for a fault of the record or of the CRM: it says so in the result, and the record is kept among the
        refused ones.
        """
        try:
            read = record if isinstance(record, Record) else self._read_pushed(record)
            intake = self._intakes.for_record(read)
            taken = intake.take(read, PUSHED)
        except Skipped:
            return PushResult(True, None, None, "skipped: the mapping's `when` says no")
        except RecordError as error:
            await self._keep_pushed(record, error)
            return PushResult(False, None, None, str(error))
        try:
            return _pushed(await self._pushes.push(intake, taken))
        except LeadsyncError as error:
            await self._keep_failed(intake, taken, error)
            return PushResult(False, None, None, str(error))

    def _read_pushed(self, raw: Mapping[str, Any]) -> Record:
        return Record.from_mapping(raw, zone=ZoneInfo(self.project.file.defaults.timezone))

    async def _keep_pushed(self, record: Mapping[str, Any] | Record, error: RecordError) -> None:
        name = record.id if isinstance(record, Record) else str(record.get("id") or uuid4())
        await self._steps.refused.keep([refused_of(f"push:{name}", PUSHED, PUSHED, error, time.time())])

    async def _keep_failed(self, intake: Intake, taken: Taken, error: LeadsyncError) -> None:
        """Keep a record that the CRM's or Redis' own trouble held back; without Redis there is nowhere to keep it."""
        trouble = RecordError(error.what, do=error.do)
        refused = refused_of(taken.key, taken.place, intake.source.name, trouble, time.time())
        try:
            await self._steps.refused.keep([refused])
        except LeadsyncError:
            logger.error("a record could not even be kept: Redis does not answer")

    # A whole source

    async def plan(self, source: str | None = None, *, limit: int | None = None, record: str | None = None) -> Plan:
        """What a run would do; nothing is written. `record` is the key of the only record to look at."""
        started = time.perf_counter()
        configured = self._source(source)
        intake = self._intakes.of(configured.name)
        steps = Steps(self.connections, self.catalogue, self._claims, promises={})
        plan = Plan(configured.name, warnings=await self._warnings())
        async with aclosing(self._chunks(configured, intake, limit, record)) as chunks:
            async for taken, told in chunks:
                for one in told:
                    _count(plan, one)
                for made in await steps.plan(intake, taken):
                    self._plan_one(plan, steps, made)
                self.connections.listeners(RecordsDone(len(taken) + len(told)))
        plan.warnings += intake.missing.warnings()
        plan.requests = self._requests(plan)
        plan.seconds = time.perf_counter() - started
        return plan

    def _plan_one(self, plan: Plan, steps: Steps, made: RecordPlan) -> None:
        if made.refusal is not None:
            _count(plan, steps.refuse(made.key, made.place, made.refusal))
            return
        plan.outcomes[made.outcome] += 1
        plan.changes += [step.change for step in made.steps]
        plan.steps.update(step.route for step in made.steps)

    def _requests(self, plan: Plan) -> int:
        size = self.project.file.amocrm.batch_size
        return sum(ceil(plan.steps[route] / size) for route in Route)

    async def run(self, source: str | None = None, *, limit: int | None = None, record: str | None = None) -> RunReport:
        """Bring a source's records into the CRM. Raises StartRefused, AmoCRMAPIError, StateUnavailable."""
        configured = self._source(source)
        intake = self._intakes.of(configured.name)
        report = RunReport(uuid4().hex[:12], configured.name, time.time(), warnings=await self._warnings())
        counter = RequestCounter()
        self.connections.listeners.add(counter)
        started = time.perf_counter()
        try:
            await self._check_safety(configured, intake, limit, record)
            await self._run_chunks(configured, intake, report, limit, record)
        finally:
            self.connections.listeners.remove(counter)
            report.requests, report.throttled = dict(counter.by_route), counter.throttled
            report.seconds = time.perf_counter() - started
        report.warnings += intake.missing.warnings()
        await keep_run(self.connections.redis, self.connections.names, report.as_json())
        return report

    async def _run_chunks(
        self, configured: ConfiguredSource, intake: Intake, report: RunReport, limit: int | None, record: str | None
    ) -> None:
        others: list[Taken] = []
        async with aclosing(self._chunks(configured, intake, limit, record)) as chunks:
            async for taken, told in chunks:
                done, left = await self._steps.sync(intake, taken)
                others += left
                if len(others) >= CHUNK:
                    done += await self._steps.finish(intake, others)
                    others = []
                self._report(report, [*told, *done])
        self._report(report, await self._steps.finish(intake, others))

    def _report(self, report: RunReport, done: Sequence[Done]) -> None:
        for one in done:
            _count(report, one)
            report.created += one.created
            report.updated += one.updated
        self.connections.listeners(RecordsDone(len(done)))

    async def _chunks(
        self, configured: ConfiguredSource, intake: Intake, limit: int | None, only: str | None
    ) -> AsyncGenerator[tuple[list[Taken], list[Done]], None]:
        """The records of a source by the chunk, no key twice in one: those to go on with, and those already told."""
        taken: dict[str, Taken] = {}
        told: list[Done] = []
        count = 0
        async with aclosing(self._raw(configured)) as found:
            async for raw in found:
                if limit is not None and count >= limit:
                    break
                one = self._taken(intake, raw)
                if only is not None and one.key != only:
                    continue
                count += 1
                if isinstance(one, Done):
                    told.append(one)
                elif one.key in taken:
                    yield list(taken.values()), told
                    taken, told = {one.key: one}, []
                else:
                    taken[one.key] = one
                if len(taken) + len(told) >= CHUNK:
                    self.connections.listeners(RecordsRead(len(taken) + len(told)))
                    yield list(taken.values()), told
                    taken, told = {}, []
        yield list(taken.values()), told

    def _taken(self, intake: Intake, raw: RawRecord) -> Taken | Done:
        try:
            return intake.read(raw)
        except Skipped as skipped:
            return Done(str(skipped), raw.place, "skipped")
        except RecordError as error:
            return self._steps.refuse(raw.place, raw.place, error)

    async def _raw(self, configured: ConfiguredSource) -> AsyncGenerator[RawRecord, None]:
        context = SourceContext(
            self.connections.redis, self.project.folder, ZoneInfo(self.project.file.defaults.timezone)
        )
        source: Source = plugins.load("sources", configured.section.type)(configured.name, configured.options, context)
        try:
            async for raw in source.raw_records():
                yield raw
        finally:
            await source.aclose()

    def _source(self, name: str | None) -> ConfiguredSource:
        sources = self.project.sources
        if name is None and len(sources) == 1:
            return next(iter(sources.values()))
        if name is None or name not in sources:
            what = "several sources are configured" if name is None else f"no source is named {name!r}"
            raise ConfigurationError(
                what, where=str(self.project.path), do=f"use --source with one of: {', '.join(sources)}"
            )
        return sources[name]

    async def _warnings(self) -> list[str]:
        warnings = await persistence_warnings(self.connections.redis)
        for one in warnings:
            self.connections.listeners(Warned(one))
        return warnings

    async def _check_safety(
        self, configured: ConfiguredSource, intake: Intake, limit: int | None, record: str | None
    ) -> None:
        """Count what would be new before the first write. Raises StartRefused."""
        most = self.project.file.safety.max_new_leads
        if record is not None or (limit is not None and limit <= most):
            return
        count = 0
        async with aclosing(self._raw(configured)) as found:
            async for _ in found:
                count += 1
                if count > most:
                    break
        if count > most:
            await self._count_new(configured, intake, most)

    async def _count_new(self, configured: ConfiguredSource, intake: Intake, most: int) -> None:
        new = 0
        async with aclosing(self._chunks(configured, intake, None, None)) as chunks:
            async for taken, _ in chunks:
                links = await load_links(self.connections.redis, self.connections.names, [one.key for one in taken])
                new += sum(link.lead_id is None for link in links.values())
        if new > most:
            raise StartRefused(
                f"this run would make {new} new leads; the limit is {most}",
                where=f"{self.project.path}: safety.max_new_leads",
                do="look at `leadsync dry-run`, then raise the limit or use --limit",
            )


def _count(result: Plan | RunReport, one: Done) -> None:
    result.outcomes[one.outcome] += 1
    result.refused += one.refused


def _pushed(done: Done) -> PushResult:
    if done.outcome == "failed":
        reasons = "; ".join(_sentence(row) for row in done.refused)
        return PushResult(False, done.lead_id, done.contact_id, reasons)
    said = {"create": "the lead was created", "update": "the lead was updated", "unchanged": "nothing to change"}
    return PushResult(True, done.lead_id, done.contact_id, said[done.outcome])


def _sentence(row: RefusedRow) -> str:
    return f"{row.field}: {row.reason}" if row.field else row.reason
