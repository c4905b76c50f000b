"""Changes: what a plan says will be sent, for people and for the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Literal

from leadsync.errors import RecordError
from leadsync.mapping.desired import Origin
from leadsync.state.facts import Fact
from leadsync.state.links import contact_of

Entity = Literal["contact", "lead", "note", "link"]
Action = Literal["create", "update"]
Outcome = Literal["create", "update", "unchanged", "skipped", "failed"]


def digest(text: str) -> str:
    """A short fingerprint of a text (16 hex digits), for comparing values without keeping them."""
    return blake2b(text.encode(), digest_size=8).hexdigest()


def contact_ref(key: str) -> str:
    """Stands for the id of the contact that `key`'s record is about to create."""
    return f"@contact:{key}"


def lead_ref(key: str) -> str:
    """Stands for the id of the lead that `key`'s record is about to create."""
    return f"@lead:{key}"


class Route(StrEnum):
    """The write calls, in the order in which a run makes them."""

    CREATE_CONTACTS = "POST contacts"
    UPDATE_CONTACTS = "PATCH contacts"
    CREATE_LEADS = "POST leads"
    UPDATE_LEADS = "PATCH leads"
    LINK_LEADS = "POST leads/link"
    NOTE_LEADS = "POST leads/notes"
    NOTE_CONTACTS = "POST contacts/notes"

    @property
    def entity(self) -> Literal["contacts", "leads"]:
        """Which entities the call is about."""
        return "contacts" if "contacts" in self.value else "leads"


@dataclass(slots=True, unsafe_hash=True)  # there are so many of them: frozen, they take five times as long to make
class FieldChange:
    """One value of a change, as people read it; it never changes. `before` is None when the field was empty.

    `why` says in a few words why it changes; `origin` is what in the mapping and in the talk it comes from.
    """

    name: str
    before: str | None
    after: str | None
    why: str = ""
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A value that stays, though a record wants another: a person, or another record, set it.

    `by` is who changed the entity last and `at` when (unix seconds), where amoCRM tells.
    """

    key: str
    entity: Literal["contact", "lead"]
    id: int
    name: str
    now: str | None
    wanted: str
    why: str
    by: str | None = None
    at: float | None = None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """A talk that goes into a lead which is there already, or which another record makes: `lead` is an id or a
    reference."""

    key: str
    lead: int | str
    reason: str


@dataclass(frozen=True, slots=True)
class Change:
    """One item of a plan. `payload` is exactly what is sent, but for ids that do not exist yet: those are references
    (`@contact:KEY`, `@lead:KEY`)."""

    key: str
    entity: Entity
    action: Action
    id: int | None
    reason: str
    fields: tuple[FieldChange, ...]
    payload: Mapping[str, Any]


def is_ref(value: object) -> bool:
    """Whether a value stands for the id of something that a plan is about to create."""
    return isinstance(value, str) and value.startswith(("@contact:", "@lead:"))


@dataclass(frozen=True, slots=True)
class Step:
    """A change on its way: its call, and what becomes true once amoCRM accepts it."""

    change: Change
    route: Route
    facts: tuple[Fact, ...]
    _references: frozenset[str] | None = field(init=False, default=None, compare=False, repr=False)

    @property
    def references(self) -> frozenset[str]:
        """What it refers to that another step makes, in its item and in what it will have remembered."""
        if self._references is None:
            payload = self.change.payload
            named: list[Any] = [payload.get("entity_id"), payload.get("to_entity_id")]
            named += [one["id"] for one in payload.get("_embedded", {}).get("contacts", ())]
            named += [part for name, _, value in self.facts for part in (contact_of(name), value)]
            object.__setattr__(self, "_references", frozenset(one for one in named if is_ref(one)))
        return self._references or frozenset()

    @property
    def key(self) -> str:
        """The key of the record it is done for."""
        return self.change.key

    @property
    def request_id(self) -> str:
        """The name under which the answer speaks of this item."""
        return str(self.change.payload["request_id"])


@dataclass(frozen=True, slots=True)
class RecordPlan:
    """What will happen for one record; `facts` are true already, without sending anything.

    `lead` and `contact` are ids, or references to what the plan creates. `refusal` is set when outcome is `failed`.
    """

    key: str
    place: str
    outcome: Outcome
    steps: tuple[Step, ...] = ()
    facts: tuple[Fact, ...] = ()
    lead: int | str | None = None
    contact: int | str | None = None
    refusal: RecordError | None = None
    reason: str = ""
    kept: tuple[Kept, ...] = ()
    joined: Joined | None = None
    warnings: tuple[str, ...] = ()
