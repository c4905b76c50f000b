"""A talk as one entry of a Redis stream holds it: JSON in one field, or a field for each part of the record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from leadsync.errors import UnreadableRecord
from leadsync.records import Record
from leadsync.sources.base import RawRecord
from leadsync.sources.decoding import decode_json, decode_text, fingerprint, placed, record_of
from leadsync.sources.stored_dialogs import field_value

WHOLE = (b"record", b"data")
"""The fields that may hold the whole record as JSON, the first that does."""

_FIRST_TIME = 1e11
"""Milliseconds: an id below is a number that somebody gave, no time (1e11 is in March 1973)."""


class StreamEntry(RawRecord):
    """An entry, not parsed; its place is `STREAM:ID`."""

    __slots__ = ("_fields", "_record", "_source", "_zone", "id")

    lasting = False

    def __init__(self, stream: str, id: bytes, fields: Mapping[bytes, bytes], zone: ZoneInfo, source: str) -> None:
        super().__init__(f"{stream}:{id.decode()}")
        self.id = id.decode()
        self._fields = fields
        self._zone = zone
        self._source = source
        self._record: Record | None = None

    @property
    def talk(self) -> str:
        """The record's source and id; the place of one that cannot be read."""
        try:
            record = self.read()
        except UnreadableRecord:
            return self.place
        return f"{record.source}:{record.id}"

    @property
    def order(self) -> str:
        """The id as a text that sorts as the entries do."""
        milliseconds, _, number = self.id.partition("-")
        return f"{int(milliseconds):020}-{int(number):020}"

    def written_at(self) -> float | None:
        """The time in the entry's id."""
        milliseconds = float(self.id.partition("-")[0])
        return milliseconds / 1000 if milliseconds >= _FIRST_TIME else None

    def as_found(self) -> str:
        """The fields, each in a line of its own."""
        return "\n".join(
            f"{name.decode(errors='backslashreplace')}: {value.decode(errors='backslashreplace')}"
            for name, value in self._fields.items()
        )

    def fingerprint(self) -> bytes:
        """Of all fields."""
        return fingerprint(b"entry", *(part for item in sorted(self._fields.items()) for part in item))

    def read(self) -> Record:
        """Parse it, once. Raises UnreadableRecord with stream, id and reason."""
        if self._record is None:
            self._record = self._read()
        return self._record

    def _read(self) -> Record:
        try:
            return record_of(self._data(), self._zone, self._source, self.place)
        except UnreadableRecord as error:
            failure = error if error.where else placed(error, self.place)
        raise failure

    def _data(self) -> Mapping[str, Any]:
        """What a field holds as JSON, and the fields beside it for what it does not say; else the fields alone."""
        holder = next((name for name in WHOLE if self._fields.get(name, b"").lstrip()[:1] in (b"{", b"[")), None)
        beside = {name: value for name, value in self._fields.items() if name != holder}
        decoded = {decode_text(name): field_value(decode_text(name), decode_text(one)) for name, one in beside.items()}
        if holder is None:
            return decoded
        whole = decode_json(self._fields[holder])
        return {**decoded, **(whole if isinstance(whole, dict) else {"messages": whole})}
