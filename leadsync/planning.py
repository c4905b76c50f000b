"""Planning: what a run would do with the records of a source; nothing is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import aclosing

from leadsync.chunks import Chunk, read_chunks
from leadsync.done import Done, refusal
from leadsync.events import RecordsDone
from leadsync.intake import Intake
from leadsync.project import Connections
from leadsync.selection import Selection
from leadsync.state.seen import Seen
from leadsync.steps import Steps
from leadsync.sync.batch_sizes import BatchSizes
from leadsync.sync.changes import RecordPlan, Step
from leadsync.sync.cost import WriteCost, mark_reads
from leadsync.sync.foreseen import Foreseen
from leadsync.sync.not_accepted import NotAccepted
from leadsync.sync.payload import request_id
from leadsync.sync.results import MOST_ROWS, Plan, RefusedRow, RequestCounter, RunReport, refusal_row


async def plan_records(
    connections: Connections,
    steps: Steps,
    intake: Intake,
    selection: Selection,
    planned: Callable[[Chunk], None] | None = None,
) -> Plan:
    """Plan the records of a source; `planned` is shown each chunk. Raises AmoCRMAPIError, StateUnavailable."""
    started, requests, lookups = time.perf_counter(), RequestCounter(), steps.lookups
    redis, names = connections.redis, connections.names
    sizes = BatchSizes(redis, names, connections.project.file.amocrm.batch_size)
    await sizes.load()
    planning = Planning(steps, intake, WriteCost(sizes.copies()))
    seen = Seen(redis, names, intake.source.name, intake.wording)
    connections.listeners.add(requests)
    try:
        async with aclosing(read_chunks(connections, intake, selection, seen)) as chunks:
            async for chunk in chunks:
                await planning.add(chunk)
                if planned is not None:
                    planned(chunk)
                connections.listeners(RecordsDone(len(chunk) + chunk.same.total()))
    finally:
        connections.listeners.remove(requests)
    plan = planning.plan
    plan.reads = requests.total + await mark_reads(redis, names, plan.steps) + steps.reads_spared
    plan.writes = planning.cost.requests
    plan.lookups = steps.lookups.since(lookups)
    plan.seconds = time.perf_counter() - started
    return plan


class Planning:
    """A plan that grows chunk by chunk, as a run would go through them; `cost` counts its writes."""

    def __init__(self, steps: Steps, intake: Intake, cost: WriteCost) -> None:
        self.plan = Plan(intake.source.name)
        self.cost = cost
        self._steps = steps
        self._intake = intake
        self._foreseen = Foreseen()

    async def add(self, chunk: Chunk) -> None:
        """Plan one chunk."""
        self.plan.outcomes += chunk.same
        plans = await self._steps.plan(self._intake, list(chunk.taken.values()))
        failed = [refusal(one.key, one.place, one.refusal) for one in plans if one.refusal is not None]
        ended = [*chunk.ended, *failed]
        self._steps.tell(ended)
        for done in ended:
            count(self.plan, done)
        await self._add([one for one in plans if one.refusal is None])

    async def _add(self, plans: Sequence[RecordPlan]) -> None:
        before = await self._steps.refused.find([name for one in plans for name in (one.key, one.place)])
        held = self._foreseen.refused(plans, {item.request_id: item for one in before.values() for item in one.items})
        plan, sent = self.plan, list[Step]()
        for one in plans:
            items = [no for name in _names(one) if (no := held.get(name)) is not None]
            count(plan, Done(one.key, one.place, "failed" if items else one.outcome, refused=_rows(one, items)))
            sent += [step for step in one.steps if step.request_id not in held]
            plan.kept += one.kept
            plan.joined += [one.joined] if one.joined is not None else []
            if one.reason:
                plan.reasons[one.key] = one.reason
        plan.changes += [step.change for step in sent]
        plan.steps.update(step.route for step in sent)
        self.cost.add(sent)


def _names(plan: RecordPlan) -> list[str]:
    """The items whose refusal is this record's failure: its own, and the contact that another record makes for it."""
    owner = plan.contact.partition(":")[2] if isinstance(plan.contact, str) else plan.key
    shared = [] if owner == plan.key else [request_id("contact", owner)]
    return [*(step.request_id for step in plan.steps), *shared]


def _rows(plan: RecordPlan, refused: Sequence[NotAccepted]) -> list[RefusedRow]:
    """Items that amoCRM refused before: they are not sent again as they are."""
    return [refusal_row(plan.key, plan.place, one) for one in refused]


def count(result: Plan | RunReport, done: Done) -> None:
    """Count a record that is done with, and name it when it was refused."""
    result.outcomes[done.outcome] += 1
    result.refused += done.refused[: MOST_ROWS - len(result.refused)]
