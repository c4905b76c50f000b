"""Desired: what the mapping says should stand in the CRM for one record. Plain text, not typed yet, no CRM ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from leadsync.errors import Place

WriteMode = Literal["update", "create", "overwrite"]


@dataclass(frozen=True, slots=True)
class Origin:
    """What a value comes from: the expression of the mapping, where it stands, and the message (counted from 1 in the
    whole talk) that gave it, where a single one did."""

    expression: str
    place: Place
    message: int | None = None


@dataclass(slots=True, unsafe_hash=True)  # one for every value of every record: frozen, it takes five times as long
class DesiredValue:
    """One value for one target; it never changes. `target` is `name`, `price`, … or a custom field's name, code or id
    as the mapping writes it; `text` is never empty (an empty value is not sent, so it does not stand here)."""

    target: str
    text: str
    write: WriteMode
    origin: Origin

    @property
    def place(self) -> Place:
        """Where in the mapping it is asked for."""
        return self.origin.place

    @property
    def expression(self) -> str:
        """What the mapping says."""
        return self.origin.expression

    @property
    def is_fixed(self) -> bool:
        """Whether the mapping says it, and no record."""
        return self.origin.expression == self.text

    @property
    def message(self) -> int | None:
        """The message that gave it, where a single one did."""
        return self.origin.message


@dataclass(frozen=True, slots=True)
class DesiredContact:
    """A person. `phones` and `emails` are as written in the record; `match` says which of them recognise somebody.

    `values` holds the targets `name`, `first_name`, `last_name`, `responsible`; `fields` the custom fields;
    `tag_origins` says where each tag comes from.
    """

    match: tuple[Literal["phone", "email"], ...]
    phones: tuple[DesiredValue, ...]
    emails: tuple[DesiredValue, ...]
    values: tuple[DesiredValue, ...]
    fields: tuple[DesiredValue, ...]
    tags: tuple[str, ...]
    tag_origins: Mapping[str, Origin] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DesiredLead:
    """A lead. `values` holds the targets `name`, `price`, `pipeline`, `status`, `responsible`; `tag_origins` says where
    each tag comes from, `key_origin` the record's key."""

    match: Literal["none", "open"]
    values: tuple[DesiredValue, ...]
    fields: tuple[DesiredValue, ...]
    tags: tuple[str, ...]
    tag_origins: Mapping[str, Origin] = field(default_factory=dict)
    key_origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Desired:
    """Everything one record wants. `contact` is None without phone and e-mail, `note` when there is nothing to say.

    `missing` names the keys inside the record's data that an expression asked for and did not find (`metadata.city`);
    `news` is how many messages are new in the note, None where nobody counts.
    """

    key: str
    contact: DesiredContact | None
    lead: DesiredLead | None
    note: DesiredValue | None
    missing: tuple[str, ...] = ()
    news: int | None = None
