"""What a batch write needs: request ids to pair by, and reading the answer by them, never by position.

A merge or a refusal shifts the order of an answer: paired by position, one client put C's lead id on B (peers.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leadsync.amocrm.entities import Item, wire_of
from leadsync.errors import AmoCRMUnknownOutcome

LARGEST_BATCH = 250
"""Items of one write (amocrm-api.md §2); 50 is advised."""

LARGEST_COMPLEX = 50
"""Leads of one `leads/complex` (amoCRM docs: leads-api)."""


@dataclass(frozen=True, slots=True)
class ComplexResult:
    """One item of `leads/complex`. `merged`: duplicate control found an existing lead, the ids are the old ones."""

    lead_id: int
    contact_id: int | None
    company_id: int | None
    merged: bool


@dataclass(frozen=True, slots=True)
class UpdateResult:
    """Which ids were changed, and which the CRM does not know (id → its reason)."""

    updated: frozenset[int]
    missing: Mapping[int, str]


def numbered(items: Sequence[Item], *, most: int = LARGEST_BATCH) -> dict[str, dict[str, Any]]:
    """The items in JSON form by request id; an item without one gets its index.

    Raises ValueError for an empty batch, one above `most`, or a request id that stands twice.
    """
    bodies = checked(items, most=most)
    named: dict[str, dict[str, Any]] = {}
    for index, body in enumerate(bodies):
        body["request_id"] = name = str(body.get("request_id") or index)
        if name in named:
            raise ValueError(f"the request_id of item {index} stands twice in the batch")
        named[name] = body
    return named


def checked(items: Sequence[Item], *, most: int = LARGEST_BATCH) -> list[dict[str, Any]]:
    """The items in JSON form. Raises ValueError for an empty batch or one above `most`."""
    if not 0 < len(items) <= most:
        raise ValueError(f"a batch holds 1 to {most} items, not {len(items)}")
    return [wire_of(item) for item in items]


def with_ids(items: Sequence[Item]) -> dict[int, dict[str, Any]]:
    """The items of a change by id. Raises ValueError for one without: amoCRM would create it (amocrm-api.md §3.2)."""
    bodies: dict[int, dict[str, Any]] = {}
    for index, body in enumerate(checked(items)):
        if not isinstance(body.get("id"), int) or body["id"] in bodies:
            raise ValueError(f"item {index} of a change has no id of its own")
        bodies[body["id"]] = body
    return bodies


def embedded(answer: Any, name: str) -> list[dict[str, Any]]:
    """The list `_embedded[name]` of an answer; empty for a 204 or another shape."""
    inner = answer.get("_embedded") if isinstance(answer, dict) else None
    found = inner.get(name) if isinstance(inner, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def paired(answers: Iterable[Mapping[str, Any]], names: Iterable[str], *, where: str) -> dict[str, Mapping[str, Any]]:
    """The answer's items by our request ids. Raises AmoCRMUnknownOutcome when one of ours has none, or has two."""
    found: dict[str, list[Mapping[str, Any]]] = {name: [] for name in names}
    for answer in answers:
        for name in _request_ids(answer):
            if name in found and isinstance(answer.get("id"), int):
                found[name].append(answer)
    unclear = sum(len(answers) != 1 for answers in found.values())
    if unclear:
        what = f"the answer does not say what became of {unclear} of {len(found)} items"
        raise AmoCRMUnknownOutcome(what, status=200, where=where, do="look for them before sending them again")
    return {name: answers[0] for name, answers in found.items()}


def _request_ids(answer: Mapping[str, Any]) -> list[str]:
    # `leads/complex` answers with a list, everything else with one string; an index may come as a number.
    named = answer.get("request_id")
    return [str(one) for one in named] if isinstance(named, list) else [str(named)]
