"""Applied: what became of one record's plan."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from leadsync.sync.changes import RecordPlan, Step
from leadsync.sync.not_accepted import NotAccepted


@dataclass(slots=True)
class Applied:
    """What became of one record. `refused` holds the items that did not go through, or could not be tried."""

    plan: RecordPlan
    lead_id: int | None = None
    contact_id: int | None = None
    accepted: list[Step] = field(default_factory=list)
    refused: list[NotAccepted] = field(default_factory=list)

    def after(self, earlier: Applied) -> Applied:
        """The same record's result, after an earlier try of which only a part went through."""
        plan, joined = self.plan, earlier.plan.joined
        if joined is not None and joined.lead == self.lead_id:
            plan = replace(plan, joined=joined, outcome="update")
        return replace(self, plan=plan, accepted=[*earlier.accepted, *self.accepted])
