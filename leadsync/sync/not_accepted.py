"""Not accepted: an item that did not go through, and what a person can do about it."""

from __future__ import annotations

from dataclasses import dataclass

from leadsync.errors import ItemRefusal, Remedy
from leadsync.state.journal import JournalItem

MEND = "mend it in the talk, the mapping or the account; after the account, use `leadsync failed retry`"


@dataclass(frozen=True, slots=True)
class NotAccepted:
    """Why one item did not go through; `field` names the part at fault where amoCRM says so."""

    item: JournalItem
    reason: str
    remedy: Remedy
    field: str | None = None
    answer: tuple[ItemRefusal, ...] = ()

    @property
    def do(self) -> str:
        """What a person can do about it."""
        return "nothing: it is tried again by itself" if self.remedy is Remedy.WAIT else MEND
