"""Which keys inside the records' data the expressions asked for and did not find."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches

from leadsync.records import Record

ENOUGH = 5
"""Records from which on `missing in all` says something."""


@dataclass(slots=True)
class _Asked:
    """What one mapping file asked of its records."""

    records: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    present: set[str] = field(default_factory=set)


class MissingKeys:
    """Counts, over a run, the data keys that were missing, and warns of those that no record had: likely a slip."""

    def __init__(self) -> None:
        self._asked: dict[str, _Asked] = defaultdict(_Asked)

    def add(self, record: Record, missing: Iterable[str], mapping: str) -> None:
        """One more record, with the dotted paths that this mapping file missed in it."""
        asked = self._asked[mapping]
        asked.records += 1
        asked.missing.update(missing)
        asked.present.update(f"metadata.{name}" for name in record.metadata)
        asked.present.update(record.extra)

    @property
    def counts(self) -> dict[str, int]:
        """In how many records each key was missing."""
        return dict(sum((asked.missing for asked in self._asked.values()), Counter[str]()))

    def warnings(self) -> list[str]:
        """A sentence for each slip."""
        return [f"{mapping}: {what}" for mapping, what in self.slips()]

    def slips(self) -> Iterator[tuple[str, str]]:
        """Each key that was missing in every record of a mapping file: that file, and a sentence."""
        for mapping, asked in self._asked.items():
            for path, count in asked.missing.items():
                if count == asked.records >= ENOUGH:
                    near = get_close_matches(path, asked.present, n=1)
                    hint = f"; the records have {near[0]!r}" if near else ""
                    yield mapping, f"{path!r} was missing in all {count} records{hint}"
