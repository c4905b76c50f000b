"""Foreseen: the items of a plan that a run will not send, since amoCRM refused them before, just as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from leadsync.errors import Remedy
from leadsync.state.refused import RefusedItem
from leadsync.sync.apply import bind
from leadsync.sync.changes import RecordPlan, Route, Step, contact_ref, lead_ref
from leadsync.sync.not_accepted import NotAccepted
from leadsync.sync.payload import content

UNKNOWN_ID = 0
"""Stands for the id of what a run will create; nothing that amoCRM holds has it."""


@dataclass(slots=True)
class Foreseen:
    """Goes through plans as Applier does, chunk after chunk; `_ids` knows what will be there by then."""

    _ids: dict[str, int] = field(default_factory=dict)

    def refused(self, plans: Sequence[RecordPlan], before: Mapping[str, RefusedItem]) -> dict[str, NotAccepted | None]:
        """The items that will not be sent, by request_id; None for one that hangs on such an item.

        `before` are the items that amoCRM refused earlier, by request_id.
        """
        held: dict[str, NotAccepted | None] = {}
        for route in Route:
            for step in (step for plan in plans for step in plan.steps if step.route is route):
                self._step(step, before, held)
        return held

    def _step(self, step: Step, before: Mapping[str, RefusedItem], held: dict[str, NotAccepted | None]) -> None:
        item = bind(step, self._ids)
        if item is None:
            held[step.request_id] = None
            return
        known = before.get(item.request_id)
        if known is not None and known.sent == content(item.payload):
            held[step.request_id] = NotAccepted(item, known.reason, Remedy.FIX_RECORD, known.field)
        elif step.route is Route.CREATE_CONTACTS:
            self._ids[contact_ref(step.change.key)] = UNKNOWN_ID
        elif step.route is Route.CREATE_LEADS:
            self._ids[lead_ref(step.change.key)] = UNKNOWN_ID
