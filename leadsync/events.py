"""What can happen in a run, as small frozen events; the engine tells, and whoever listens draws, counts or logs.

No event holds personal data: records are named by their key's place or a count, never by their content.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RequestFinished:
    """One request to amoCRM got its answer, or none: then `status` is None.

    `route` has ids replaced: `/leads/{id}`; `seconds` is from sending to the whole answer.
    """

    method: str
    route: str
    status: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class RequestRetried:
    """A request is sent again after `wait` seconds, because of `reason` (an error class's name)."""

    method: str
    route: str
    reason: str
    wait: float


@dataclass(frozen=True, slots=True)
class TokensStored:
    """A new token pair lies in Redis: after a login (`grant` = "authorization_code") or a renewal ("refresh_token")."""

    grant: str


@dataclass(frozen=True, slots=True)
class RecordsRead:
    """So many more records were read from a source."""

    count: int


@dataclass(frozen=True, slots=True)
class RecordsDone:
    """So many more records are finished: written, unchanged, skipped or refused."""

    count: int


@dataclass(frozen=True, slots=True)
class LeadCreated:
    """A lead was made in the CRM."""

    lead_id: int
    contact_id: int | None


@dataclass(frozen=True, slots=True)
class RecordRefused:
    """A record was kept as refused; `key` is its key or, when it has none, where it was read."""

    key: str
    field: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something a person should know that stops nothing: a Redis that may forget, a key missing everywhere."""

    what: str


@dataclass(frozen=True, slots=True)
class StateChanged:
    """A service can work again, or cannot for a while.

    `state` is one of troubles.State: working, crm unavailable, redis unavailable, source unavailable, banned,
    forbidden, login needed, draining; `why` is what an error said, without any value of a record.
    """

    state: str
    why: str


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A push was not brought in because of a trouble that passes; `state` is one of troubles.State, `why` what an error
    said, without any value of a record."""

    state: str
    why: str


@dataclass(frozen=True, slots=True)
class WebhookCalled:
    """Somebody was told of a change of state, or (`delivered` is false) could not be told."""

    delivered: bool


@dataclass(frozen=True, slots=True)
class RecordFinished:
    """A record is done with that was followed, or pushed (`source` is then "push"). `outcome` is what became of it:
    create, update, unchanged, skipped, failed; `seconds` is the time since it was written or pushed, or found where
    nobody knows when it was written."""

    source: str
    outcome: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Backlog:
    """So many records of a followed source wait in this process now; the oldest of them and of those under way is `age`
    seconds old."""

    source: str
    records: int
    age: float


Event = (
    RequestFinished
    | RequestRetried
    | TokensStored
    | RecordsRead
    | RecordsDone
    | LeadCreated
    | RecordRefused
    | Warned
    | StateChanged
    | HeldBack
    | WebhookCalled
    | RecordFinished
    | Backlog
)


class Listener(Protocol):
    """Whoever wants to know; called in the order things happen, must not block and must not raise."""

    def __call__(self, event: Event) -> None: ...


def ignore(event: Event) -> None:
    """The listener that hears nothing."""
