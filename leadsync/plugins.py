"""Plugins by entry point: `leadsync.sources`, `leadsync.mappers`, `leadsync.filters`."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from leadsync.errors import ConfigurationError


@cache
def installed(group: str) -> dict[str, EntryPoint]:
    """The plugins of a group by name (`group` is `sources`, `mappers` or `filters`); nothing is imported yet."""
    return {point.name: point for point in entry_points(group=f"leadsync.{group}")}


def load(group: str, name: str) -> Any:
    """Import one plugin. Raises ConfigurationError when there is none of that name or it cannot be imported."""
    point = installed(group).get(name)
    if point is None:
        known = ", ".join(sorted(installed(group)))
        raise ConfigurationError(f"no plugin named {name!r} in leadsync.{group}", do=f"use one of: {known}")
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"the plugin {name!r} of leadsync.{group} cannot be imported: {type(error).__name__}: {error}",
            where=point.value,
            do="install or repair the package that brings it",
        ) from error
