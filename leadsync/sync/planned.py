"""Planned: what one part of a plan comes to, and the facts that parts have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from leadsync.state.facts import NEW_ID, Fact
from leadsync.state.links import wrote_hash
from leadsync.sync.changes import FieldChange, Joined, Kept, Step, digest
from leadsync.sync.compare import mark
from leadsync.sync.resolve import Value


@dataclass(frozen=True, slots=True)
class Planned:
    """What one part of a plan came to: at most one step, facts that hold without it, and which entity it is about.

    `entity` is an id, a reference to what a plan creates, or None when there is none; `relink` says that it took the
    place of a contact that is gone.
    """

    step: Step | None = None
    facts: tuple[Fact, ...] = ()
    entity: int | str | None = None
    relink: bool = False
    kept: tuple[Kept, ...] = ()
    joined: Joined | None = None


def wrote_facts(entity: str, entity_id: int | str, values: Iterable[Value], key: str) -> list[Fact]:
    return [(wrote_hash(entity, entity_id), one.slot, mark(one, key)) for one in values]


def made_fact(entity: str, key: str) -> Fact:
    """An entity of ours is never empty in our memory: a recovery must not take it for a stranger's."""
    return (wrote_hash(entity, NEW_ID), "made", digest(key))


def tag_facts(entity: str, entity_id: int | str, tags: Iterable[str]) -> list[Fact]:
    return [(wrote_hash(entity, entity_id), f"tag:{one}", "1") for one in tags]


def created_fields(values: Sequence[Value], **lists: Sequence[str]) -> tuple[FieldChange, ...]:
    shown = [FieldChange(one.label, None, one.shown, "new", one.origin) for one in values]
    return tuple(shown + [FieldChange(name, None, ", ".join(texts)) for name, texts in lists.items() if texts])
