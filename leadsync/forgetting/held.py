"""Held: what is remembered of a person, part by part, and how each part is removed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

RECORDS, PEOPLE, WROTE, INDEX, REFUSED = "records", "people", "written", "index", "refused"
BATCHES, SEEN, RUNS, OTHER, SEALED = "batches", "seen", "reports", "other", "unreadable"

KINDS = {
    RECORDS: "link of a record to its lead and contact",
    PEOPLE: "phone or e-mail of a known contact",
    WROTE: "account of what was written into a contact or a lead",
    INDEX: "phone or e-mail in the index of the account's contacts",
    REFUSED: "refused record",
    BATCHES: "item of a batch whose outcome is not known",
    SEEN: "mark of a talk that did not change",
    RUNS: "line in the report of a past run",
    OTHER: "other entry that names the person",
    SEALED: "value that nobody can read without its key",
}
"""What can be held, in the order it is told."""


# KEYS: a list. ARGV: a value, and what stands in its place from now on.
REPLACE = """
local at = redis.call('LPOS', KEYS[1], ARGV[1])
if at then redis.call('LSET', KEYS[1], at, ARGV[2]) end
"""


@dataclass(frozen=True, slots=True)
class Part:
    """Something in Redis that goes: some `fields` of the key `name`, whatever its `type`; None for the whole key.

    `rewritten` is what stays with another value: of a hash by field, of a list by the value before.
    """

    kind: str
    name: str
    type: str = "string"
    fields: tuple[bytes, ...] | None = None
    rewritten: Mapping[bytes, bytes] = field(default_factory=dict)
    count: int = 1

    def queue(self, pipe: Any) -> None:
        """Add the removal to a Redis pipeline."""
        if self.fields is None and not self.rewritten:
            pipe.unlink(self.name)
        for before, after in self.rewritten.items():
            if self.type == "list":
                pipe.eval(REPLACE, 1, self.name, before, after)
            else:
                pipe.hset(self.name, before, after)
        for one in self.fields or ():
            self._queue_field(pipe, one)

    def _queue_field(self, pipe: Any, one: bytes) -> None:
        if self.type == "list":
            pipe.lrem(self.name, 0, one)
        else:
            remove = {"hash": pipe.hdel, "set": pipe.srem, "zset": pipe.zrem, "stream": pipe.xdel}[self.type]
            remove(self.name, one)


@dataclass(frozen=True, slots=True, order=True)
class Talk:
    """A record that a source still holds. `is_theirs` is false where it only names the person."""

    source: str
    place: str
    key: str
    is_theirs: bool = True


@dataclass(slots=True)
class Held:
    """What is remembered of a person.

    `keys` are those of the person's records, `contacts` and `leads` the ids in amoCRM, where nothing is removed;
    `listed` are contacts that the account's list showed with the phone or e-mail. `shared` are contacts (`contact 5`)
    and leads that stay remembered, because other records have them, too. `entries` are the ids of open batches. `talks`
    stand in sources; `not_looked_at` are sources that could not be read.
    """

    keys: set[str] = field(default_factory=set)
    contacts: set[int] = field(default_factory=set)
    leads: set[int] = field(default_factory=set)
    listed: set[int] = field(default_factory=set)
    contact_keys: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)
    entries: set[str] = field(default_factory=set)
    talks: list[Talk] = field(default_factory=list)
    not_looked_at: list[str] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """How many things there are of each kind, only kinds that there are."""
        counted: Counter[str] = Counter()
        for part in self.parts:
            counted[part.kind] += part.count
        return {kind: counted[kind] for kind in KINDS if counted[kind]}

    @property
    def claims(self) -> list[str]:
        """What a worker holds while it is busy with this person."""
        return [
            *(f"key:{one}" for one in sorted(self.keys)),
            *(f"person:{one}" for one in sorted(self.contact_keys)),
            *(f"contact:{one}" for one in sorted(self.contacts)),
            *(f"lead:{one}" for one in sorted(self.leads)),
            *(f"entry:{one}" for one in sorted(self.entries)),
        ]

    def add(self, kind: str, name: str, type: str, fields: Sequence[bytes], *, counted: bool = True) -> None:
        """Add some fields of a Redis key, where there are any."""
        if fields:
            self.parts.append(Part(kind, name, type, tuple(fields), count=len(fields) if counted else 0))
