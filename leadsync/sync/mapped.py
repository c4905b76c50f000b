"""Mapped: a record that went through its mapping."""

from __future__ import annotations

from dataclasses import dataclass

from leadsync.mapping.desired import Desired
from leadsync.state.links import Link
from leadsync.sync.resolve import Resolver


@dataclass(frozen=True, slots=True)
class Mapped:
    """A record on its way to a plan: what it wants, what we remember, and what will be noted once its note is in."""

    key: str
    place: str
    desired: Desired
    noted: str
    link: Link
    resolver: Resolver
