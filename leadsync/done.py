"""Done: what became of a record, and what is kept of one that was refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from leadsync.errors import RecordError, Remedy
from leadsync.state.refused import Refused, RefusedItem
from leadsync.sync.applied import Applied
from leadsync.sync.changes import Outcome
from leadsync.sync.not_accepted import NotAccepted
from leadsync.sync.payload import content, request_of
from leadsync.sync.results import RefusedRow, refusal_row

COUNTED = {"contact": "contacts", "lead": "leads", "note": "notes"}


@dataclass(slots=True)
class Done:
    """What became of one record. `created` and `updated` count contacts, leads and notes; `joined`: its talk went into
    a lead of others. `mark` is what is remembered of the bytes of one that was read and did not go on (state.seen),
    `record` is what to keep of one that was refused and that nobody else holds."""

    key: str
    place: str
    outcome: Outcome
    lead_id: int | None = None
    contact_id: int | None = None
    created: Counter[str] = field(default_factory=Counter)
    updated: Counter[str] = field(default_factory=Counter)
    refused: list[RefusedRow] = field(default_factory=list)
    error: RecordError | None = None
    joined: bool = False
    mark: bytes = b""
    remedy: Remedy | None = None
    record: Mapping[str, Any] | None = None


def done_of(applied: Applied) -> Done:
    """What became of a record whose plan was sent."""
    plan = applied.plan
    done = Done(plan.key, plan.place, plan.outcome, applied.lead_id, applied.contact_id, joined=plan.joined is not None)
    for step in applied.accepted:
        if step.change.entity in COUNTED:
            counts = done.created if step.change.action == "create" else done.updated
            counts[COUNTED[step.change.entity]] += 1
    if applied.refused:
        done.outcome, first = "failed", applied.refused[0].remedy
        done.remedy = first if first is Remedy.WAIT else Remedy.FIX_RECORD  # amoCRM did answer for this item
        done.refused = [refusal_row(plan.key, plan.place, one) for one in applied.refused]
    return done


def refusal(key: str, place: str, error: RecordError, mark: bytes = b"") -> Done:
    """A record that cannot go on."""
    row = RefusedRow(key, place, error.field, error.what, error.do, _where(error))
    return Done(key, place, "failed", refused=[row], error=error, mark=mark, remedy=error.remedy)


def _where(error: RecordError) -> str | None:
    return None if error.where is None else str(error.where)


def refused_of(done: Done, source: str, at: float) -> Refused:
    """A record refused before anything was sent."""
    error = done.error
    assert error is not None
    said = (error.what, error.remedy, error.field)
    return Refused(done.key, source, done.place, *said, at, do=error.do, where=_where(error), record=done.record)


def refused_items(applied: Applied, source: str, at: float) -> Refused:
    """A record of which amoCRM refused items."""
    first = applied.refused[0]
    return Refused(
        applied.plan.key,
        source,
        applied.plan.place,
        first.reason,
        first.remedy,
        first.field,
        at,
        do=first.do,
        request=request_of(first.item.payload),
        payload=first.item.payload,
        answer={"errors": [asdict(one) for one in first.answer]} if first.answer else None,
        items=[_item(one) for one in applied.refused if one.remedy is Remedy.FIX_RECORD],
    )


def _item(refused: NotAccepted) -> RefusedItem:
    answer = [asdict(one) for one in refused.answer]
    return RefusedItem(refused.item.request_id, content(refused.item.payload), refused.reason, refused.field, answer)
