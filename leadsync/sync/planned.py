"""Planned: what one part of a plan comes to, and the facts that parts have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from leadsync.mapping.desired import Origin
from leadsync.state.facts import NEW_ID, Fact
from leadsync.state.links import wrote_hash
from leadsync.sync.changes import FieldChange, Joined, Kept, Step, digest
from leadsync.sync.compare import mark
from leadsync.sync.reasons import NEW, why_added
from leadsync.sync.resolve import Value, WantedContact, WantedLead

ListKind = Literal["phone", "email", "tag"]

LIST_NAMES: Mapping[ListKind, str] = {"phone": "phone", "email": "email", "tag": "tags"}
"""What an entity may have several of, as people call it."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What one part of a plan came to: at most one step, facts that hold without it, and which entity it is about.

    `entity` is an id, a reference to what a plan creates, or None when there is none; `relink` says that it took the
    place of a contact that is gone; `warnings` are for a person and name nobody.
    """

    step: Step | None = None
    facts: tuple[Fact, ...] = ()
    entity: int | str | None = None
    relink: bool = False
    kept: tuple[Kept, ...] = ()
    joined: Joined | None = None
    warnings: tuple[str, ...] = ()


def wrote_facts(entity: str, entity_id: int | str, values: Iterable[Value], key: str) -> list[Fact]:
    return [(wrote_hash(entity, entity_id), one.slot, mark(one, key)) for one in values]


def made_fact(entity: str, key: str) -> Fact:
    """An entity of ours is never empty in our memory: a recovery must not take it for a stranger's."""
    return (wrote_hash(entity, NEW_ID), "made", digest(key))


def list_facts(entity: str, entity_id: int | str, kind: ListKind, texts: Iterable[str]) -> list[Fact]:
    """These phones, e-mails or tags of an entity come from us: one that is not there any more was removed."""
    return [(wrote_hash(entity, entity_id), f"{kind}:{one}", "1") for one in texts]


def new_list_facts(entity: str, wanted: WantedContact | WantedLead) -> list[Fact]:
    """The same of everything that an entity is made with."""
    return [fact for kind in LIST_NAMES for fact in list_facts(entity, NEW_ID, kind, _listed(wanted, kind))]


def created_fields(wanted: WantedContact | WantedLead) -> tuple[FieldChange, ...]:
    """What an entity is made with, as people read it."""
    shown = [FieldChange(one.label, None, one.shown, NEW, one.origin) for one in wanted.values]
    for kind, name in LIST_NAMES.items():
        if texts := _listed(wanted, kind):
            origin = _first_origin(wanted, kind)
            shown.append(FieldChange(name, None, ", ".join(texts), why_added(kind, origin, created=True), origin))
    return tuple(shown)


def _listed(wanted: WantedContact | WantedLead, kind: ListKind) -> tuple[str, ...]:
    if kind == "tag":
        return wanted.tags
    if isinstance(wanted, WantedLead):
        return ()
    return wanted.phones if kind == "phone" else wanted.emails


def _first_origin(wanted: WantedContact | WantedLead, kind: ListKind) -> Origin | None:
    origins = (wanted.origins.get(f"{kind}:{one}") for one in _listed(wanted, kind))
    return next((one for one in origins if one is not None), None)
