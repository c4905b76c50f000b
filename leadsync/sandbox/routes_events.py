"""`GET /api/v4/events`: what people did in the account; this look-alike keeps the deletions of entities only."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from .answers import listed, self_link
from .calls import Call
from .events import Event
from .refusals import Mistakes, invalid
from .replica import Replica
from .selection import conditions, paged

EVENT_WITH = frozenset(
    ["contact_name", "lead_name", "company_name", "catalog_element_name", "customer_name", "catalog_name"]
)
LARGEST_PAGE = 100

_FILTERS = {
    "id": "id",
    "type": "type",
    "entity": "entity_type",
    "entity_id": "entity_id",
    "created_by": "created_by",
    "created_at": "created_at",
}
"""Filters by name, and what of an event each looks at."""


def list_events(replica: Replica, call: Call) -> Response:
    """The newest first, up to 100 a page, by the filters of the documentation; an unknown `with` is refused, as amoCRM
    does here and nowhere else."""
    if call.wanted() - EVENT_WITH:
        mistakes = Mistakes()
        mistakes.other("InvalidWith", "with", "Invalid with parameter given")
        raise invalid({"0": mistakes})
    found = (one for one in reversed(replica.account.events.values()) if _is_meant(call, one))
    return listed(
        call, "events", paged(found, call, LARGEST_PAGE, LARGEST_PAGE), lambda one: _shown(replica, call, one)
    )


def _is_meant(call: Call, event: Event) -> bool:
    if call.ignore_filters:
        return True
    for name, places in conditions(call).items():
        wanted = places.get("")
        if name in _FILTERS and wanted is not None:
            wanted.values = [one for text in wanted.values for one in text.split(",")]
            if not wanted.holds(getattr(event, _FILTERS[name])):
                return False
    return True


def _shown(replica: Replica, call: Call, event: Event) -> dict[str, Any]:
    link = self_link(f"{call.base}/api/v4/events/{event.id}")
    return {**event.shown(replica.account.id), "_links": link}
