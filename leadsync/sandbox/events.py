"""Events: what happened in the account; this look-alike keeps the deletions of entities only."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """One event; amoCRM's ids of events are texts (amocrm-api.md §3.10)."""

    id: str
    type: str
    entity_id: int
    entity_type: str
    created_by: int
    created_at: int

    def stored(self) -> dict[str, Any]:
        """What is kept in the content file."""
        return asdict(self)

    def shown(self, account_id: int) -> dict[str, Any]:
        """The event as the API gives it, without its link."""
        return {**asdict(self), "value_after": [], "value_before": [], "account_id": account_id}
