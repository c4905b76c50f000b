"""A plan as one JSON document (contract of `dry-run --format json`)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from leadsync.sync.changes import Change, Outcome
from leadsync.sync.results import Plan

COUNTED: tuple[Outcome, ...] = ("create", "update", "unchanged", "skipped", "failed")


def plan_json(plan: Plan, *, requests_per_second: float) -> dict[str, Any]:
    """The plan as plain data; `cost` is what sending it takes."""
    return {
        "format_version": 1,
        "source": plan.source,
        "summary": {"records": plan.records, **{name: plan.outcomes[name] for name in COUNTED}},
        "changes": [change_json(one) for one in plan.changes],
        "kept": [asdict(one) for one in plan.kept],
        "joined": [asdict(one) for one in plan.joined],
        "cost": {"requests": plan.requests, "seconds": round(plan.requests / requests_per_second, 1)},
        "refused": [asdict(one) for one in plan.refused],
        "warnings": plan.warnings,
    }


def change_json(change: Change) -> dict[str, Any]:
    """One change; `payload` is the item that is sent."""
    return {
        "key": change.key,
        "entity": change.entity,
        "action": change.action,
        "id": change.id,
        "reason": change.reason,
        "fields": [asdict(one) for one in change.fields],
        "payload": change.payload,
    }
