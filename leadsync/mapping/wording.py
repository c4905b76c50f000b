"""Wording: one digest of all that decides what a record wants: the files, the account's names, the zone, leadsync, the
plugins' code."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from zoneinfo import ZoneInfo

from leadsync import plugins
from leadsync.amocrm.catalogue import Catalogue
from leadsync.config.loader import Project
from leadsync.mapping.environment import plugin_filters
from leadsync.mapping.mapper import Mapper


def wording_of(project: Project, mappers: Iterable[Mapper], catalogue: Catalogue, zone: ZoneInfo) -> bytes:
    """16 bytes that change when a record may come to want something else. `zone` is where the account's days begin."""
    digest = blake2b(digest_size=16)
    for part in _parts(project, mappers, catalogue, zone):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


def _parts(project: Project, mappers: Iterable[Mapper], catalogue: Catalogue, zone: ZoneInfo) -> Iterator[bytes]:
    yield version("leadsync").encode()
    yield str(zone).encode()
    yield project.file.model_dump_json(exclude={"safety", "redis"}).encode()
    files = {one.path: one.file for source in project.sources.values() for one in source.mappings.values()}
    for path, file in sorted(files.items()):
        yield str(path).encode()
        yield file.model_dump_json(exclude={"tests"}).encode()
    # A name can come to mean another id; the order in which amoCRM lists its things means nothing.
    for things in (catalogue.fields, catalogue.pipelines, catalogue.users):
        yield "\n".join(sorted(map(repr, things))).encode()
    for name in sorted(_plugin_modules(project, mappers)):
        yield name.encode()
        yield from _code(name)


def _plugin_modules(project: Project, mappers: Iterable[Mapper]) -> set[str]:
    """The modules of the sources, mappers and filters in use that are not our own."""
    sources = (plugins.load("sources", one.section.type) for one in project.sources.values())
    things = [*sources, *map(type, mappers), *plugin_filters().values()]
    modules = {getattr(one, "__module__", None) or "" for one in things}
    return {one for one in modules if one.partition(".")[0] != "leadsync"}


def _code(name: str) -> Iterator[bytes]:
    """The code of a plugin's module and of those beside it in its package, as far as it lies in files: whoever writes
    a filter tries it without a new version."""
    module = sys.modules.get(name)
    path = getattr(module, "__file__", None)
    if path is None:
        return
    files = sorted(Path(path).parent.glob("*.py")) if getattr(module, "__package__", "") else [Path(path)]
    for file in files:
        try:
            yield file.read_bytes()
        except OSError:
            continue
