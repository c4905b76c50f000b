"""Finding: which record of the sources, or which refused push, has a key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo

from leadsync.chunks import raw_records
from leadsync.errors import ConfigurationError, RecordError
from leadsync.intake import Intake, Intakes, Skipped, Taken
from leadsync.project import Connections
from leadsync.records import Record
from leadsync.sources.base import RawRecord
from leadsync.state.refused import Refused

MOST_KEYS = 20_000
"""Keys that are remembered for a suggestion."""

SUGGESTED = 3


@dataclass(slots=True)
class Found:
    """A record with the key that is asked for; `key` is None for one that could not be read that far."""

    place: str
    key: str | None = None
    intake: Intake | None = None
    raw: str | None = None
    record: Record | None = None
    taken: Taken | None = None
    error: RecordError | None = None

    def has(self, name: str) -> bool:
        """Whether this is the record of that key, or the one at that place."""
        return name in (self.key, self.place)


@dataclass(slots=True)
class Search:
    """Looks through sources for one record; `met` are the keys it came by."""

    connections: Connections
    intakes: Intakes
    key: str
    met: list[str] = field(default_factory=list)

    async def in_sources(self, names: Iterable[str]) -> Found | None:
        """The first record of these sources with the key. Raises ConfigurationError, StateUnavailable."""
        for name in names:
            intake = self.intakes.of(name)
            async with aclosing(raw_records(self.connections, intake)) as records:
                async for raw in records:
                    found = _read(intake, raw)
                    if found.has(self.key):
                        return found
                    self._meet(found)
        return None

    def in_refused(self, refused: Refused | None) -> Found | None:
        """A record that was pushed and refused: it is kept with its refusal, and no source holds it."""
        if refused is None or refused.record is None:
            return None
        found = Found(refused.place, refused.key)
        try:
            found.record = self._read_kept(refused.record)
            found.intake = self.intakes.for_record(found.record)
            found.taken = found.intake.take(found.record, refused.place, refused.record)
        except Skipped:
            pass
        except RecordError as error:
            found.error = error
        return found

    def _read_kept(self, raw: Mapping[str, Any]) -> Record:
        return Record.from_mapping(raw, zone=ZoneInfo(self.connections.project.file.defaults.timezone))

    def _meet(self, found: Found) -> None:
        if len(self.met) < MOST_KEYS:
            self.met.append(found.key or found.place)

    def nobody(self) -> ConfigurationError:
        """What to say when nobody has the key, with those that are most like it."""
        near = get_close_matches(self.key[:200], self.met, n=SUGGESTED, cutoff=0.5)
        known = f"did you mean {', '.join(near)}?" if near else "`leadsync dry-run` shows the keys with changes"
        return ConfigurationError(
            f"no record has the key {self.key}",
            where="leadsync explain",
            do=f"{known}\n  keys are made by `key:` of the mapping; a place of the source (dialog:42) does as well",
        )


def _read(intake: Intake, raw: RawRecord) -> Found:
    found = Found(raw.place, intake=intake)
    try:
        found.record = raw.read()
        found.taken = intake.take(found.record, raw.place)
        found.key = found.taken.key
    except Skipped as skipped:
        found.key = str(skipped)
    except RecordError as error:
        found.error = error
    found.raw = raw.as_found()
    return found
