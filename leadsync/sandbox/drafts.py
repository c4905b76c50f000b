"""An item of a write request once it has been checked: what is to be done, with nothing left that can fail."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class TagRef:
    """A tag by id, or by a name that may be new."""

    id: int | None = None
    name: str | None = None


@dataclass(slots=True)
class Draft:
    """One checked lead, contact or company.

    `id` is None for a new one. `values` hold the custom fields that were sent (an empty list clears). `tags` replaces
    the set when it is no None. `contacts` are (id, is_main). `contact`, `company` and `is_unsorted` are complex's.
    """

    kind: str
    request_id: str
    id: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    values: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    tags: list[TagRef] | None = None
    tags_to_add: list[TagRef] = field(default_factory=list)
    tags_to_delete: list[TagRef] = field(default_factory=list)
    contacts: list[tuple[int, bool]] = field(default_factory=list)
    companies: list[int] = field(default_factory=list)
    contact: Draft | None = None
    company: Draft | None = None
    is_unsorted: bool = False


@dataclass(slots=True)
class NoteDraft:
    """One checked note; `id` is None for a new one."""

    request_id: str
    entity_id: int
    facts: dict[str, Any]
    id: int | None = None


@dataclass(slots=True)
class LinkDraft:
    """One checked link or unlink, with its metadata as sent."""

    entity_id: int
    to_kind: str
    to_id: int
    metadata: dict[str, Any] | None
