"""Explanation: one record from what its source found to what amoCRM said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from leadsync.mapping.desired import Origin, WriteMode
from leadsync.state.refused import Refused
from leadsync.sync.results import Plan, RefusedRow

Wrote = Literal["as we wrote it", "another record's", "changed since", "removed since", "never written"]
"""What we remember of a value that stands in the CRM: we keep its fingerprint, never the value itself."""

Entity = Literal["contact", "lead"]


@dataclass(frozen=True, slots=True)
class Rendered:
    """What the mapping makes for one target (`lead.fields.Продукт`); `text` is None for what is not sent, and `why`
    says why not."""

    target: str
    text: str | None
    write: WriteMode | None
    origin: Origin
    why: str = ""


@dataclass(frozen=True, slots=True)
class Compared:
    """One value three times: what we wrote last, what stands in amoCRM now, what the talk says.

    `now` and `wanted` are None where nothing stands.
    """

    entity: Entity
    name: str
    wrote: Wrote
    now: str | None
    wanted: str | None


@dataclass(frozen=True, slots=True)
class Remembered:
    """What we remember of a record's key; empty for one never seen.

    `contact_said` and `lead_said` say whether the record still wants what it wanted when it was last accepted, None
    when that is not known. `noted` counts the messages (or lines of a history) that stand in notes. `values` is empty
    when amoCRM could not be asked.
    """

    lead_id: int | None = None
    contact_id: int | None = None
    linked: int | None = None
    noted: int = 0
    gone: bool = False
    restored: bool = False
    contact_said: bool | None = None
    lead_said: bool | None = None
    values: tuple[Compared, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the key was never seen."""
        return self.lead_id is None and self.contact_id is None and not self.noted and not self.gone


@dataclass(slots=True)
class Explanation:
    """Everything about one record, as far as it goes.

    `source` is None when no source holds the record (any more); `raw` is what the source found; `record` its fields as
    they were read. `skipped` is the mapping's `when` that says no; `stopped` why it could not be read or mapped.
    `plan` holds this record alone. `trouble` says why amoCRM could not be asked, and `exit_code` what that ends with.
    """

    key: str
    source: str | None = None
    place: str | None = None
    raw: str | None = None
    record: Mapping[str, Any] | None = None
    skipped: Rendered | None = None
    stopped: RefusedRow | None = None
    rendered: list[Rendered] = field(default_factory=list)
    missing: tuple[str, ...] = ()
    plan: Plan | None = None
    remembered: Remembered = Remembered()
    refused: Refused | None = None
    trouble: str | None = None
    exit_code: int = 0
