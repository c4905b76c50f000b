"""Parts: what is remembered of a person who was found, one kind after the other. Nothing is changed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from leadsync.errors import RecordError
from leadsync.forgetting.asked import Mentions
from leadsync.forgetting.held import BATCHES, INDEX, OTHER, PEOPLE, RECORDS, REFUSED, RUNS, SEEN, WROTE, Held, Part
from leadsync.forgetting.stored import Piece, names_of, pieces_of
from leadsync.intake import Intakes, Skipped
from leadsync.project import Connections
from leadsync.records import Record
from leadsync.state.contact_index import entry_of
from leadsync.state.journal import JournalItem
from leadsync.state.links import key_of, leads_hash, link_hash, wrote_hash
from leadsync.state.people import PEOPLE as PEOPLE_HASH
from leadsync.state.redis import state_errors
from leadsync.state.refused import Refused, Sealed
from leadsync.state.runs import without_rows
from leadsync.state.seen import mark_of

KNOWN = frozenset(
    {
        "link",
        "people",
        "wrote",
        "leads",
        "index",
        "refused",
        "refused-at",
        "waiting",
        "journal",
        "looking",
        "seen",
        "runs",
    }
    | {"version", "budget", "batches", "catalogue", "latest", "marks", "marked", "memory", "wording", "index-state"}
    | {"alive", "owners", "claims", "token", "oauth"}
)
"""Names of ours, up to their first colon, of which it is known what they hold: the first row is looked through here,
the others hold nothing of anybody (`claims`: only while a worker is busy with somebody)."""


@dataclass(slots=True)
class Parts:
    """Adds to `held` what is to go. `places` are where the sources hold the person's own talks."""

    connections: Connections
    intakes: Intakes
    held: Held
    mentions: Mentions
    places: Collection[str]

    async def gather(self) -> None:
        """All kinds. Raises StateUnavailable, ConfigurationError."""
        await self._memory()
        await self._index()
        await self._refused()
        await self._batches()
        await self._marks()
        await self._runs()
        await self._others()

    async def _memory(self) -> None:
        held = self.held
        await self._whole(RECORDS, [link_hash(one) for one in sorted(held.keys)])
        await self._whole(WROTE, [wrote_hash("contact", one) for one in sorted(held.contacts)])
        alone = [one for one in sorted(held.leads) if f"lead {one}" not in held.shared]
        await self._whole(WROTE, [wrote_hash("lead", one) for one in alone])
        await self._whole(WROTE, [leads_hash(one) for one in sorted(held.contacts)])
        await self._fields(PEOPLE, self._name(PEOPLE_HASH), [one.encode() for one in sorted(held.contact_keys)])

    async def _index(self) -> None:
        """Who is in no whole index is in no contact, so none must be taken for whole any more: what amoCRM has would be
        made once more. It is read anew when that pays."""
        entries = [entry_of(one) for one in sorted(self.held.contact_keys)]
        names = [
            one async for page in names_of(self.connections.redis, self.connections.names, "index*") for one in page
        ]
        for name in names:
            found = await self._fields(INDEX, name, entries)
            self.held.listed |= {int(one) for ids in found.values() for one in ids.split(b",") if one.isdigit()}
        if {PEOPLE, INDEX} & self.held.counts.keys():
            self.held.parts += [Part(INDEX, name, "hash", rewritten={b"whole": b"0"}, count=0) for name in names]

    async def _refused(self) -> None:
        """Refused records by their key or place, and those that name the person somewhere."""
        keys, kept = self.held.keys | set(self.places), await self.connections.refused.all()
        for one in kept:
            if isinstance(one, Sealed):  # it may be theirs
                raise one.error()
        found = [
            one.key
            for one in kept
            if not keys.isdisjoint((one.key, one.place, self._key_of(one))) or self.mentions.in_data(asdict(one))
        ]
        fields = [one.encode() for one in found]
        self.held.add(REFUSED, self._name("refused"), "hash", fields)
        for beside in ("refused-at", "waiting"):
            self.held.add(REFUSED, self._name(beside), "zset", fields, counted=False)

    def _key_of(self, refused: Refused) -> str:
        """The key of a record; of one that is kept under its place, the one that it will have."""
        if refused.key != refused.place or refused.record is None:
            return refused.key
        zone = ZoneInfo(self.connections.project.file.defaults.timezone)
        try:
            record = Record.from_mapping(refused.record, zone=zone)
            return self.intakes.for_record(record, refused.source).take(record, refused.place).key
        except Skipped as skipped:
            return str(skipped)
        except RecordError:
            return refused.key

    async def _batches(self) -> None:
        """Items of batches whose outcome nobody knows: what others sent with them stays."""
        journal = self.connections.journal
        for entry in await journal.entries():
            rest = [one for one in entry.items if not self._is_theirs(one)]
            gone = len(entry.items) - len(rest)
            if not gone:
                continue
            self.held.entries.add(entry.id)
            field, name = entry.id.encode(), self._name("journal")
            if rest:
                left = {field: journal.stored(replace(entry, items=rest))}
                self.held.parts.append(Part(BATCHES, name, "hash", rewritten=left, count=gone))
            else:
                self.held.parts.append(Part(BATCHES, name, "hash", (field,), count=gone))
                self.held.add(BATCHES, self._name("looking"), "set", [field], counted=False)

    def _is_theirs(self, item: JournalItem) -> bool:
        keys = {item.key, *(key for name, _, _ in item.facts if (key := key_of(name)) is not None)}
        return not keys.isdisjoint(self.held.keys) or self.mentions.in_data([item.payload, item.facts])

    async def _marks(self) -> None:
        places = [mark_of(one, b"") for one in sorted(self.places)]
        for source in self.connections.project.sources:
            await self._fields(SEEN, self._name("seen", source), places)

    async def _runs(self) -> None:
        """Rows of refused records in the reports of past runs; the counts of those reports stay."""
        keys = self.held.keys | set(self.places)
        name = self._name("runs")
        async for piece in pieces_of(self.connections.redis, name):
            left, gone = without_rows(piece.values[0], keys)
            if gone:
                self.held.parts.append(Part(RUNS, name, "list", rewritten={piece.values[0]: left}, count=gone))

    async def _others(self) -> None:
        """What a part of leadsync keeps that is not known here: by what it says."""
        named = {one.encode() for one in self.held.keys | set(self.places) | self.held.contact_keys}
        async for page in names_of(self.connections.redis, self.connections.names):
            for name in page:
                kind = name.removeprefix(self.connections.names.prefix).partition(":")[0]
                if kind not in KNOWN:
                    await self._other(name, named)

    async def _other(self, name: str, named: Collection[bytes]) -> None:
        parts = name.removeprefix(self.connections.names.prefix).partition(":")
        if parts[2].encode() in named or self.mentions.in_text(parts[2]):
            self.held.parts.append(Part(OTHER, name))
            return
        found: list[Piece] = []
        async for piece in pieces_of(self.connections.redis, name):
            opened = [self.connections.seal.open(one) for one in piece.values]
            if any(one in named or self._names(one) for one in opened):
                found.append(piece)
        if found and found[0].field is None:
            self.held.parts.append(Part(OTHER, name))
        elif found:
            self.held.add(OTHER, name, found[0].type, [one.field for one in found if one.field is not None])

    def _names(self, value: bytes) -> bool:
        """Whether a stored value, JSON or not, names the person."""
        try:
            return self.mentions.in_data(orjson.loads(value))
        except orjson.JSONDecodeError:
            return self.mentions.in_text(value.decode(errors="replace"))

    # How it is looked up

    def _name(self, *parts: str | int) -> str:
        return self.connections.names.name(*parts)

    async def _whole(self, kind: str, names: Sequence[str]) -> None:
        """Add those of these keys that are there."""
        if not names:
            return
        full = [self._name(one) for one in names]
        async with state_errors(), self.connections.redis.pipeline(transaction=False) as pipe:
            for one in full:
                pipe.exists(one)
            there = await pipe.execute()
        self.held.parts += [Part(kind, one) for one, is_there in zip(full, there, strict=True) if is_there]

    async def _fields(self, kind: str, name: str, fields: Sequence[bytes]) -> dict[bytes, bytes]:
        """Add those of these fields that a hash has; what they hold."""
        if not fields:
            return {}
        async with state_errors():
            values: Any = await self.connections.redis.hmget(name, list(fields))
        found = {one: value for one, value in zip(fields, values, strict=True) if value is not None}
        self.held.add(kind, name, "hash", list(found))
        return found
