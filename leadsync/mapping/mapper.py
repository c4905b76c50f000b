"""What a mapper is: the part that says what one record wants in the CRM."""

from __future__ import annotations

from abc import ABC, abstractmethod

from leadsync.mapping.desired import Desired
from leadsync.mapping.talk import Talk
from leadsync.records import Record


class Mapper(ABC):
    """Record → Desired, pure: the same record gives the same answer.

    `key_field` is the lead's field that holds the record's key, or None; `uses_note` is false when no note is ever
    made, so that no message needs to be remembered.
    """

    key_field: str | int | None = None
    uses_note: bool = True

    @abstractmethod
    def key(self, record: Record) -> str:
        """The record's identity, never empty. Raises TemplateFailed."""

    @abstractmethod
    def wanted(self, record: Record) -> bool:
        """False for a record that the mapping skips (`when`). Raises TemplateFailed."""

    @abstractmethod
    def map(self, record: Record, talk: Talk) -> Desired:
        """What should stand in the CRM for this record. Raises TemplateFailed."""
