"""Benches: the mappings of a project, each compiled once and ready to run cases or records through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

from leadsync.amocrm.catalogue import Catalogue
from leadsync.amocrm.imagined import ImaginedCatalogue
from leadsync.config.cases import SUFFIX, Cases
from leadsync.config.loader import LoadedMapping, Project
from leadsync.config.nearest import advice
from leadsync.config.reading import shown_path
from leadsync.errors import ConfigurationError
from leadsync.intake import compile_mappings
from leadsync.mapping.desired import Desired
from leadsync.mapping.mapper import Mapper
from leadsync.mapping.trial import Bench
from leadsync.sync.resolve import Resolver


@dataclass(slots=True)
class MappingBench:
    """One mapping: its name for people, its file, and the bench its cases run on; `cases` are read later."""

    name: str
    loaded: LoadedMapping
    bench: Bench
    cases: Cases = field(default=Cases((), ()))


def benches_of(project: Project, catalogue: Catalogue | None = None) -> list[MappingBench]:
    """Every mapping of a project, compiled once; texts are typed for an imagined account that has everything they
    name, or for that of the `catalogue`. Raises ConfigurationError with every mistake in their templates.
    """
    found: dict[Path, tuple[LoadedMapping, str]] = {}
    for name, source in project.sources.items():
        for value, loaded in source.mappings.items():
            found.setdefault(loaded.path, (loaded, value or name))
    mappers = compile_mappings(project)
    return [
        MappingBench(
            shown_path(path), loaded, _bench(project, mappers[path], default_source, catalogue or ImaginedCatalogue())
        )
        for path, (loaded, default_source) in found.items()
    ]


def _bench(project: Project, mapper: Mapper, default_source: str, catalogue: Catalogue) -> Bench:
    file = project.file
    zone = ZoneInfo(file.defaults.timezone)
    strip = file.amocrm.four_byte_characters == "strip"
    resolver = Resolver(catalogue, country=file.defaults.country, zone=zone, strip_emoji=strip)

    def check(desired: Desired) -> None:
        if desired.contact is not None:
            resolver.contact(desired.contact)
        if desired.lead is not None:
            resolver.lead(desired.lead, desired.key)

    return Bench(mapper, zone, default_source, check)


def chosen(benches: Sequence[MappingBench], names: Sequence[str]) -> Sequence[MappingBench]:
    """The mappings somebody named by their path, by that of their cases, or by their bare name; all without a name.

    Raises ConfigurationError for a name that no mapping has.
    """
    if not names:
        return benches
    found = dict.fromkeys(at for name in names for at in _named(benches, name))
    return [benches[at] for at in found]


def _named(benches: Sequence[MappingBench], name: str) -> list[int]:
    path = Path.cwd() / name
    if name.endswith(SUFFIX):
        path = path.with_name(path.name.removesuffix(SUFFIX) + ".yaml")
    found = [at for at, one in enumerate(benches) if one.loaded.path in (path, path.resolve())]
    found = found or [at for at, one in enumerate(benches) if name in (one.loaded.path.stem, one.loaded.path.name)]
    if not found:
        known = [one.name for one in benches]
        raise ConfigurationError(
            f"no mapping of leadsync.yaml is {name}", where="the command line", do=advice(name, known, "there are")
        )
    return found
