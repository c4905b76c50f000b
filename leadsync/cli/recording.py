"""Recording: a real talk, found by its key in a source, masked and written as a case beside its mapping."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from leadsync import plugins
from leadsync.cli.benches import MappingBench, benches_of, chosen
from leadsync.cli.options import check_found
from leadsync.config.case_file import append_case
from leadsync.config.cases import cases_path
from leadsync.config.loader import ConfiguredSource, Project
from leadsync.config.nearest import advice
from leadsync.config.reading import shown_path
from leadsync.errors import ConfigurationError, Place, RecordError
from leadsync.mapping.recorded import recorded_case
from leadsync.records import Record
from leadsync.sources.base import RawRecord, Source, SourceContext
from leadsync.state.redis import open_redis


@dataclass(frozen=True, slots=True)
class Recorded:
    """A case that was written, and the mapping it tests."""

    mapping: str
    place: Place


async def record_case(project: Project, key: str, source: str | None, mappings: Sequence[str]) -> Recorded:
    """Write a case made of the talk with this key. Raises ConfigurationError, StateUnavailable, RecordError."""
    benches = {one.loaded.path: one for one in chosen(benches_of(project), mappings)}
    found = None
    async with await open_redis(project.file.redis.url, project.folder) as redis:
        for configured in _sources(project, source):
            by_source = {value: benches[one.path] for value, one in configured.mappings.items() if one.path in benches}
            context = SourceContext(redis.client, project.folder, ZoneInfo(project.file.defaults.timezone))
            found = found or await _find(configured, context, by_source, key)
    if found is None:
        check_found(key, 0)
        raise AssertionError("check_found raises")
    bench, record = found
    case = recorded_case(record, bench.bench, country=project.file.defaults.country)
    return Recorded(bench.name, append_case(cases_path(bench.loaded.path), bench.name, case))


def _sources(project: Project, name: str | None) -> list[ConfiguredSource]:
    if name is None:
        return list(project.sources.values())
    if name not in project.sources:
        what, do = f"no source is named {name}", advice(name, project.sources, "there are")
        raise ConfigurationError(what, where=shown_path(project.path), do=do)
    return [project.sources[name]]


async def _find(
    configured: ConfiguredSource, context: SourceContext, benches: Mapping[str | None, MappingBench], key: str
) -> tuple[MappingBench, Record] | None:
    """The record with this key or place, and the bench of its mapping; those that cannot be read are passed over.

    Raises UnreadableRecord for the very record that is looked for by its place.
    """
    async with aclosing(raw_records(configured, context)) as found:
        async for raw in found:
            try:
                record = raw.read()
                bench = benches.get(record.source) or benches.get(None)
                if bench is not None and key in (raw.place, bench.bench.mapper.key(record)):
                    return bench, record
            except RecordError:
                if raw.place == key:
                    raise
    return None


async def raw_records(configured: ConfiguredSource, context: SourceContext) -> AsyncGenerator[RawRecord, None]:
    """What a source finds, not read yet; nothing is taken from a queue. Raises ConfigurationError, StateUnavailable."""
    plugin = plugins.load("sources", configured.section.type)
    source: Source = plugin(configured.name, configured.options, context)
    try:
        async for raw in source.raw_records():
            yield raw
    finally:
        await source.aclose()
