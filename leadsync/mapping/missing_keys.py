"""Which keys inside the records' data the expressions asked for and did not find."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches

from leadsync.records import Record

ENOUGH = 5
"""Records from which on `missing in all` says something."""


class MissingKeys:
    """Counts, over a run, the data keys that were missing, and warns of those that no record had: likely a slip."""

    def __init__(self) -> None:
        self._records = 0
        self._missing: Counter[str] = Counter()
        self._present: set[str] = set()

    def add(self, record: Record, missing: tuple[str, ...]) -> None:
        """One more record, with the dotted paths it lacked."""
        self._records += 1
        self._missing.update(missing)
        self._present.update(f"metadata.{name}" for name in record.metadata)
        self._present.update(record.extra)

    @property
    def counts(self) -> dict[str, int]:
        """In how many records each key was missing."""
        return dict(self._missing)

    def warnings(self) -> list[str]:
        """A sentence for each key that was missing in every record."""
        if self._records < ENOUGH:
            return []
        return [self._warning(path) for path, count in self._missing.items() if count == self._records]

    def _warning(self, path: str) -> str:
        near = get_close_matches(path, self._present, n=1)
        hint = f"; the records have {near[0]!r}" if near else ""
        return f"{path!r} was missing in all {self._records} records{hint}"
