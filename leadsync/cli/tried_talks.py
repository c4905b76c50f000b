"""Tried talks: some talks of each source put through their mappings, as if they were new; nothing is sent or kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from leadsync.cli.benches import MappingBench
from leadsync.cli.recording import raw_records
from leadsync.config.loader import ConfiguredSource
from leadsync.errors import Place, Problem, RecordError
from leadsync.mapping.missing_keys import MissingKeys
from leadsync.project import Connections
from leadsync.records import Record
from leadsync.sources.base import RawRecord, SourceContext

MOST = 100
"""Talks of a source that are tried: the first ones it gives."""

MOST_TOLD = 5
"""Different reasons of refusals that are told."""

_Reason = tuple[str, str | None, str]


@dataclass(slots=True)
class TriedTalks:
    """What became of them: how many of each source were tried, and the reasons for which some would be refused."""

    counts: dict[str, int] = field(default_factory=dict)
    refused: Counter[_Reason] = field(default_factory=Counter)
    examples: dict[_Reason, tuple[str, RecordError]] = field(default_factory=dict)
    missing: MissingKeys = field(default_factory=MissingKeys)

    @property
    def empty(self) -> list[str]:
        """The sources that hold no talk."""
        return [name for name, count in self.counts.items() if not count]

    @property
    def problems(self) -> list[Problem]:
        """The most frequent reasons with how many talks have each, then the data keys that no talk has."""
        told = [self._problem(reason, count) for reason, count in self.refused.most_common(MOST_TOLD)]
        return told + [Problem(what, Place(mapping)) for mapping, what in self.missing.slips()]

    def refuse(self, raw: RawRecord, error: RecordError) -> None:
        """Count one that would be refused."""
        where = str(error.where) if isinstance(error.where, Place) else ""
        reason = (error.what, error.field, where)
        self.refused[reason] += 1
        self.examples.setdefault(reason, (raw.place, error))

    def _problem(self, reason: _Reason, count: int) -> Problem:
        place, error = self.examples[reason]
        where = error.where if isinstance(error.where, Place) else Place(place)
        talks = f"{count} talks, such as {place}" if count > 1 else place
        what = f"{error.field}: {error.what}" if error.field else error.what
        return Problem(f"{what} ({talks})", where, do=error.do)


async def try_talks(connections: Connections, benches: Sequence[MappingBench]) -> TriedTalks:
    """Put the first talks of each source through their mappings. Raises ConfigurationError, StateUnavailable."""
    project = connections.project
    by_path = {one.loaded.path: one for one in benches}
    tried = TriedTalks()
    for name, configured in project.sources.items():
        mappings = {value: by_path[one.path] for value, one in configured.mappings.items()}
        context = SourceContext(connections.redis, project.folder, ZoneInfo(project.file.defaults.timezone))
        tried.counts[name] = await _try_source(configured, context, mappings, tried)
    return tried


async def _try_source(
    configured: ConfiguredSource,
    context: SourceContext,
    mappings: Mapping[str | None, MappingBench],
    tried: TriedTalks,
) -> int:
    count = 0
    async with aclosing(raw_records(configured, context)) as found:
        async for raw in found:
            try:
                _try(raw.read(), mappings, tried)
            except RecordError as error:
                tried.refuse(raw, error)
            count += 1
            if count == MOST:
                break
    return count


def _try(record: Record, mappings: Mapping[str | None, MappingBench], tried: TriedTalks) -> None:
    """Raises RecordError when a run would refuse this record."""
    bench = mappings.get(record.source) or mappings.get(None)
    if bench is None:
        known = ", ".join(sorted(map(str, mappings)))
        what = f"no mapping for records whose source is {record.source!r}"
        raise RecordError(what, field="source", do=f"name one under `mapping:` of the source, which has: {known}")
    outcome = bench.bench.outcome(record)
    if outcome.refused is not None:
        raise outcome.refused
    if outcome.desired is not None:
        tried.missing.add(record, outcome.desired.missing, bench.name)
