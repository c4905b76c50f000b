"""Results: what a plan, a run or a push came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from leadsync.errors import Remedy
from leadsync.events import Event, RequestFinished
from leadsync.sync.changes import Change, Joined, Kept, Outcome, Route
from leadsync.sync.not_accepted import NotAccepted

MOST_ROWS = 1000
"""Refused records that a report names; all of them stand in `leadsync failed list`."""


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A record that did not go through, for people: no value of it stands here.

    `place` is where the record lies, `where` the place in a mapping that asked for what it does not hold.
    """

    key: str
    place: str
    field: str | None
    reason: str
    do: str | None
    where: str | None = None


@dataclass(frozen=True, slots=True)
class Lookups:
    """How people were found in the account: `pages` of its contacts read, and `searches` made."""

    pages: int = 0
    searches: int = 0

    def since(self, earlier: Lookups) -> Lookups:
        """What came after an earlier count."""
        return Lookups(self.pages - earlier.pages, self.searches - earlier.searches)


@dataclass(slots=True)
class Plan:
    """What a run would do. `outcomes` counts records by what becomes of them; `reasons` says of keys why nothing is
    done for them where one might expect it; `missing` counts the records that lacked a data key the mapping reads.

    `requests` is what a run would ask of amoCRM: `reads` to look things up, as planning did, and `writes` to send the
    changes; `lookups` are the reads by which people were found. A run soon after is spared what planning has found out
    for good (the list of the account's contacts); it asks more where amoCRM refuses items or loses answers. Where a
    source holds more than a chunk of records, what the first chunks create is read by id in the later ones, which a
    plan cannot do.
    """

    source: str
    changes: list[Change] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    joined: list[Joined] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    refused: list[RefusedRow] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    missing: dict[str, int] = field(default_factory=dict)
    steps: Counter[Route] = field(default_factory=Counter)
    reads: int = 0
    writes: int = 0
    lookups: Lookups = Lookups()
    seconds: float = 0.0

    @property
    def records(self) -> int:
        """How many records were looked at."""
        return sum(self.outcomes.values())

    @property
    def requests(self) -> int:
        """How many requests a run would make."""
        return self.reads + self.writes


@dataclass(slots=True)
class RunReport:
    """What a run did. `created` and `updated` count `contacts`, `leads`, `notes`; `seconds` is its whole time.

    `remarks` is what a person may want to know though nothing is wrong; `missing` as in a Plan.
    """

    run_id: str
    source: str
    started_at: float
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    created: Counter[str] = field(default_factory=Counter)
    updated: Counter[str] = field(default_factory=Counter)
    refused: list[RefusedRow] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    missing: dict[str, int] = field(default_factory=dict)
    requests: Mapping[str, int] = field(default_factory=dict)
    throttled: int = 0
    seconds: float = 0.0
    remarks: list[str] = field(default_factory=list)

    @property
    def records(self) -> int:
        """How many records were looked at."""
        return sum(self.outcomes.values())

    def as_json(self) -> dict[str, Any]:
        """The report as plain data (contract of `run --format json`)."""
        names = ("contacts", "leads", "notes")
        counted: tuple[Outcome, ...] = ("unchanged", "skipped", "failed")
        return {
            "format_version": 1,
            "run_id": self.run_id,
            "source": self.source,
            "started_at": self.started_at,
            "summary": {
                "records": self.records,
                **{name: self.outcomes[name] for name in counted},
            },
            "created": {name: self.created[name] for name in names},
            "updated": {name: self.updated[name] for name in names},
            "requests": {
                "total": sum(self.requests.values()),
                "by_route": dict(self.requests),
                "throttled": self.throttled,
            },
            "seconds": round(self.seconds, 3),
            "refused": [asdict(one) for one in self.refused],
            "warnings": self.warnings,
            "remarks": self.remarks,
            "missing": self.missing,
        }


@dataclass(frozen=True, slots=True)
class PushResult:
    """What became of one pushed record; `message` says it in a sentence.

    `remedy` of one that failed says whose fault it is: the record's or its mapping's (FIX_RECORD, FIX_MAPPING), or that
    of amoCRM, Redis or the login, and then the same record may go through later as it is.
    """

    success: bool
    lead_id: int | None
    contact_id: int | None
    message: str
    remedy: Remedy | None = None


class RequestCounter:
    """Counts requests while it listens: by route, and those that amoCRM put off with 429."""

    def __init__(self) -> None:
        self.by_route: Counter[str] = Counter()
        self.throttled = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, RequestFinished):
            self.by_route[f"{event.method} {event.route}"] += 1
            self.throttled += event.status == 429

    @property
    def total(self) -> int:
        """How many requests were counted since they were taken last."""
        return sum(self.by_route.values())

    def taken(self) -> tuple[dict[str, int], int]:
        """The counts since they were taken last; counting starts anew."""
        counts = dict(self.by_route), self.throttled
        self.by_route, self.throttled = Counter(), 0
        return counts


def refusal_row(key: str, place: str, refused: NotAccepted) -> RefusedRow:
    """An item that amoCRM did not accept, for people."""
    return RefusedRow(key, place, refused.field, refused.reason, refused.do)
