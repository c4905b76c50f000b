"""Wording: one digest of all that decides what a record wants: the files, the zone, leadsync, the plugins' code."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from zoneinfo import ZoneInfo

from leadsync.config.loader import Project
from leadsync.mapping.environment import plugin_filters
from leadsync.mapping.mapper import Mapper


def wording_of(project: Project, mappers: Iterable[Mapper], zone: ZoneInfo) -> bytes:
    """16 bytes that change when a record may come to want something else. `zone` is where the account's days begin."""
    digest = blake2b(digest_size=16)
    for part in _parts(project, mappers, zone):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


def _parts(project: Project, mappers: Iterable[Mapper], zone: ZoneInfo) -> Iterator[bytes]:
    yield version("leadsync").encode()
    yield str(zone).encode()
    yield project.file.model_dump_json(exclude={"safety", "redis"}).encode()
    files = {one.path: one.file for source in project.sources.values() for one in source.mappings.values()}
    for path, file in sorted(files.items()):
        yield str(path).encode()
        yield file.model_dump_json(exclude={"tests"}).encode()
    modules = {type(mapper).__module__ for mapper in mappers}
    modules |= {getattr(function, "__module__", "") or "" for function in plugin_filters().values()}
    for name in sorted(modules):
        if not name.startswith("leadsync."):
            yield _code(name)


def _code(module: str) -> bytes:
    """The code of a plugin's module, as far as it is a file: whoever writes a filter tries it without a new version."""
    path = getattr(sys.modules.get(module), "__file__", None)
    try:
        return module.encode() + Path(path).read_bytes() if path else module.encode()
    except OSError:
        return module.encode()
