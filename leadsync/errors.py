"""Every error of leadsync, sorted by what somebody has to do about it.

    LeadsyncError                     exit  HTTP  remedy
    ├── ConfigurationError              78   500  fix the file
    ├── RecordError                      3   400  fix the record
    │   ├── UnreadableRecord             3   400  fix the record
    │   ├── TemplateFailed               3   400  fix the mapping
    │   └── ValueRefused                 3   400  fix the record
    ├── StartRefused                     4   409  refuse: look at the plan, then decide
    ├── StateUnavailable                 1   503  wait: Redis does not answer
    ├── StateTooNew                      1   500  stop: upgrade leadsync
    └── AmoCRMAPIError                   1   502  stop
        ├── AmoCRMRateLimitError         1   503  wait
        ├── AmoCRMUnavailable            1   503  wait: surely not written
        ├── AmoCRMUnknownOutcome         1   503  look before sending again
        ├── AmoCRMValidationError        3   400  fix the record
        ├── AmoCRMNotFound               3   502  fix the record
        ├── AmoCRMForbidden              1   502  stop: a right is missing
        ├── AmoCRMBanned                 1   503  stop: the account is blocked
        └── AuthorizationRequired       77   503  log in again

A message says what happened, where, and what to do next. It never holds a token, a name, a phone, an e-mail or the
text of a message: a field is named, its value is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Remedy(StrEnum):
    """What somebody has to do about an error."""

    FIX_FILE = "fix the file"
    FIX_MAPPING = "fix the mapping"
    FIX_RECORD = "fix the record"
    WAIT = "wait"
    LOOK = "look before sending again"
    LOG_IN = "log in"
    REFUSE = "look at the plan"
    STOP = "stop"

    @property
    def blames_record(self) -> bool:
        """Whether the record or its mapping is at fault; else the same record may go through later as it is."""
        return self in (Remedy.FIX_RECORD, Remedy.FIX_MAPPING)


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file a person edits; lines and columns count from 1, 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}" if self.column else f"{self.file}:{self.line}"


class LeadsyncError(Exception):
    """Anything leadsync can tell its user about: `what` happened, `where`, and what to `do` next."""

    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500
    remedy: ClassVar[Remedy] = Remedy.STOP

    def __init__(self, what: str, *, where: Place | str | None = None, do: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.do = do

    def __str__(self) -> str:
        parts = [self.what]
        if self.where is not None:
            parts.append(f"at {self.where}")
        if self.do:
            parts.append(f"what to do: {self.do}")
        return "\n  ".join(parts)


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file: its place, what is wrong, the two lines around it, and the nearest valid name."""

    what: str
    place: Place
    lines: tuple[str, ...] = ()
    do: str | None = None

    def __str__(self) -> str:
        shown = [f"{self.place}: {self.what}", *(f"    {line}" for line in self.lines)]
        if self.do:
            shown.append(f"  what to do: {self.do}")
        return "\n".join(shown)


class ConfigurationError(LeadsyncError):
    """leadsync.yaml, a mapping or the environment is wrong; holds every problem that was found, not the first only."""

    exit_code = 78
    remedy = Remedy.FIX_FILE

    def __init__(
        self,
        what: str,
        *,
        where: Place | str | None = None,
        do: str | None = None,
        problems: Sequence[Problem] = (),
    ) -> None:
        super().__init__(what, where=where, do=do)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *map(str, self.problems)])


class RecordError(LeadsyncError):
    """One record cannot go on; the others can. `field` names the part at fault (`phone`, `lead.price`)."""

    exit_code = 3
    http_status = 400
    remedy = Remedy.FIX_RECORD

    def __init__(
        self, what: str, *, field: str | None = None, where: Place | str | None = None, do: str | None = None
    ) -> None:
        super().__init__(what, where=where, do=do)
        self.field = field

    def __str__(self) -> str:
        said = super().__str__()
        return f"{self.field}: {said}" if self.field else said


class UnreadableRecord(RecordError):
    """What a source found is no record: JSON that does not parse, a key of the wrong type, a missing id."""


class TemplateFailed(RecordError):
    """An expression of the mapping does not work for this record: an unknown name, a loop without end."""

    remedy = Remedy.FIX_MAPPING


class ValueRefused(RecordError):
    """A value does not fit its field: a price that is no number, an option that does not exist, a text too long."""


class StartRefused(LeadsyncError):
    """A run that would do more than its limits allow, or whose plan is stale, stops before its first write."""

    exit_code = 4
    http_status = 409
    remedy = Remedy.REFUSE


class StateUnavailable(LeadsyncError):
    """Redis cannot be reached or started; nothing is written to the CRM without it."""

    http_status = 503
    remedy = Remedy.WAIT


class StateTooNew(LeadsyncError):
    """A newer leadsync wrote what Redis remembers; this one does not touch it."""


class AmoCRMAPIError(LeadsyncError):
    """amoCRM did not do what was asked. `status` is the HTTP status, or None when no answer came."""

    http_status = 502

    def __init__(
        self,
        what: str,
        *,
        status: int | None = None,
        where: Place | str | None = None,
        do: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(what, where=where, do=do)
        self.status = status
        self.retry_after = retry_after


class AmoCRMRateLimitError(AmoCRMAPIError):
    """429 on every try; nothing was written. `retry_after` is in seconds, None when the answer named no time."""

    http_status = 503
    remedy = Remedy.WAIT


class AmoCRMUnavailable(AmoCRMAPIError):
    """The request surely changed nothing: it was not sent, or it was a read that failed on every try."""

    http_status = 503
    remedy = Remedy.WAIT


class AmoCRMUnknownOutcome(AmoCRMAPIError):
    """A write went out and its answer was lost (time-out, dropped connection, 5xx): it may have been applied."""

    http_status = 503
    remedy = Remedy.LOOK


@dataclass(frozen=True, slots=True)
class ItemRefusal:
    """Why amoCRM refused one item of a batch: `path` is dotted inside the item (`custom_fields_values.0.field_id`)."""

    code: str
    path: str
    detail: str


class AmoCRMValidationError(AmoCRMAPIError):
    """The whole batch was refused; `items` says by request_id which ones are at fault."""

    exit_code = 3
    http_status = 400
    remedy = Remedy.FIX_RECORD

    def __init__(
        self,
        what: str,
        *,
        items: Mapping[str, Sequence[ItemRefusal]],
        status: int | None = 400,
        where: Place | str | None = None,
        do: str | None = None,
    ) -> None:
        super().__init__(what, status=status, where=where, do=do)
        self.items = {name: tuple(refusals) for name, refusals in items.items()}


class AmoCRMNotFound(AmoCRMAPIError):
    """An address or an entity that amoCRM does not have."""

    exit_code = 3
    remedy = Remedy.FIX_RECORD


class AmoCRMForbidden(AmoCRMAPIError):
    """The token's user lacks a right for this call (403 with a JSON body)."""


class AmoCRMBanned(AmoCRMAPIError):
    """The account or the address is blocked: 403 with the gateway's page. A run stops at once."""

    http_status = 503


class AuthorizationRequired(AmoCRMAPIError):
    """No token, or one that cannot be renewed: somebody has to log in."""

    exit_code = 77
    http_status = 503
    remedy = Remedy.LOG_IN
