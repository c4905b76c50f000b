"""Trial: what a mapping makes of one record, as if it were new or with some of its messages noted already."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Any

from leadsync.config.models import Case
from leadsync.errors import RecordError
from leadsync.mapping.desired import Desired
from leadsync.mapping.mapper import Mapper
from leadsync.mapping.talk import Noted, Talk, talk_since
from leadsync.records import Record

Check = Callable[[Desired], None]
"""Looks at whether the texts fit what they are for (a price is a number); raises RecordError."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a record: `desired`, or skipped, or refused; `key` is None when not even that could be made."""

    key: str | None
    desired: Desired | None = None
    skipped: bool = False
    refused: RecordError | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """What cases of one mapping run on: its mapper, the zone of naive times, and the source of records naming none."""

    mapper: Mapper
    zone: tzinfo
    default_source: str
    check: Check

    def run(self, case: Case) -> Outcome:
        """The outcome of a case. It depends on nothing but the case and the mapping: neither sees a clock."""
        return self.run_raw(case.record, case.after)

    def run_raw(self, raw: Mapping[str, Any], after: int = 0) -> Outcome:
        """The outcome of a record in the shape of a source, when earlier notes hold its first `after` messages."""
        try:
            record = Record.from_mapping(raw, zone=self.zone, default_source=self.default_source)
        except RecordError as error:
            return Outcome(None, refused=error)
        return self.outcome(record, after)

    def outcome(self, record: Record, after: int = 0) -> Outcome:
        """What becomes of a record when earlier notes hold its first `after` messages."""
        key = None
        try:
            key = self.mapper.key(record)
            if not self.mapper.wanted(record):
                return Outcome(key, skipped=True)
            desired = self.mapper.map(record, talk_after(record, after))
            self.check(desired)
        except RecordError as error:
            return Outcome(key, refused=error)
        return Outcome(key, desired)


def talk_after(record: Record, after: int) -> Talk:
    """What is new in a talk when earlier notes hold its first `after` messages (or lines, when it has a history)."""
    noted: Noted | None = None
    if after:
        lines = (record.conversation_history or "").splitlines()
        earlier = replace(
            record, messages=record.messages[:after], conversation_history="\n".join(lines[:after]) or None
        )
        noted = talk_since(earlier, None)[1]
    return talk_since(record, noted)[0]
