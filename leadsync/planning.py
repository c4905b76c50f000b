"""Planning: what a run would do with the records of a source; nothing is written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import aclosing
from math import ceil

from leadsync.chunks import Selection, read_chunks
from leadsync.events import RecordsDone
from leadsync.intake import Intake
from leadsync.project import Connections
from leadsync.steps import Done, Steps, refusal
from leadsync.sync.changes import RecordPlan
from leadsync.sync.results import Plan, RunReport

MOST_ROWS = 1000
"""Refused records that a report names; all of them stand in `leadsync failed list`."""


async def plan_records(connections: Connections, steps: Steps, intake: Intake, selection: Selection) -> Plan:
    """Plan the records of a source. Raises AmoCRMAPIError, StateUnavailable."""
    started = time.perf_counter()
    plan = Plan(intake.source.name)
    size = connections.project.file.amocrm.batch_size
    async with aclosing(read_chunks(connections, intake, selection)) as chunks:
        async for chunk in chunks:
            plans = await steps.plan(intake, list(chunk.taken.values()))
            failed = [refusal(one.key, one.place, one.refusal) for one in plans if one.refusal is not None]
            ended = [*chunk.ended, *failed]
            steps.tell(ended)
            for done in ended:
                count(plan, done)
            _add(plan, [one for one in plans if one.refusal is None], size)
            connections.listeners(RecordsDone(len(chunk)))
    plan.seconds = time.perf_counter() - started
    return plan


def _add(plan: Plan, plans: Sequence[RecordPlan], batch_size: int) -> None:
    plan.outcomes.update(one.outcome for one in plans)
    plan.changes += [step.change for one in plans for step in one.steps]
    plan.kept += [kept for one in plans for kept in one.kept]
    plan.joined += [one.joined for one in plans if one.joined is not None]
    plan.steps.update(step.route for one in plans for step in one.steps)
    plan.requests = sum(ceil(number / batch_size) for number in plan.steps.values())


def count(result: Plan | RunReport, done: Done) -> None:
    """Count a record that is done with, and name it when it was refused."""
    result.outcomes[done.outcome] += 1
    result.refused += done.refused[: MOST_ROWS - len(result.refused)]
