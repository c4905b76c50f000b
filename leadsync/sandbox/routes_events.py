"""`GET /api/v4/events`: what people did in the account; this look-alike keeps the deletions of entities only."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from .answers import listed, nothing, self_link
from .calls import Call
from .events import Event
from .refusals import Mistakes, invalid
from .replica import Replica
from .selection import paged

EVENT_WITH = frozenset(
    ["contact_name", "lead_name", "company_name", "catalog_element_name", "customer_name", "catalog_name"]
)
LARGEST_PAGE = 100


def list_events(replica: Replica, call: Call) -> Response:
    """The newest first, by `filter[type]` and `filter[created_at][from]`; an unknown `with` is refused, as amoCRM does
    here and nowhere else."""
    if call.wanted() - EVENT_WITH:
        mistakes = Mistakes()
        mistakes.other("InvalidWith", "with", "Invalid with parameter given")
        raise invalid({"0": mistakes})
    types = {text for key, value in call.query if key.startswith("filter[type]") for text in value.split(",")}
    since = call.param("filter[created_at][from]")
    found = [
        one
        for one in reversed(replica.account.events.values())
        if (not types or one.type in types) and (not since.isdecimal() or one.created_at >= int(since))
    ]
    if not found:
        return nothing()
    return listed(call, "events", paged(found, call, LARGEST_PAGE), lambda one: _shown(replica, call, one))


def _shown(replica: Replica, call: Call, event: Event) -> dict[str, Any]:
    link = self_link(f"{call.base}/api/v4/events/{event.id}")
    return {**event.shown(replica.account.id), "_links": link}
