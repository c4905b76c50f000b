"""A talk as one Redis key holds it: JSON text, a hash with its messages, or a list of messages."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal
from zoneinfo import ZoneInfo

from leadsync.errors import UnreadableRecord
from leadsync.records import TIME_KEYS, Record, moment
from leadsync.sources.base import RawRecord
from leadsync.sources.decoding import (
    FINGERPRINT_SIZE,
    decode_json,
    decode_text,
    fingerprint,
    json_or_text,
    placed,
    record_of,
)
from leadsync.sources.key_pattern import KeyPattern

_TEXTS = frozenset({"id", "source", "user_name", "phone", "email", "product_interest", "conversation_history"})


@dataclass(frozen=True, slots=True)
class DialogReader:
    """What is known of every key of a source: its glob, the zone of naive times, and how lists are ordered."""

    pattern: KeyPattern
    zone: ZoneInfo
    source: str
    order: Literal["auto", "oldest", "newest"]

    def record(self, key: bytes, place: str, raw: Mapping[str, Any]) -> Record:
        """A record of decoded data; the key gives its id. Raises UnreadableRecord."""
        given = raw.get("source")
        named = given.strip() or None if isinstance(given, str) else None
        identity, source = self.pattern.identity(decode_text(key), named)
        fields = {**raw, "id": identity, "source": source or (given if named is None and given else None)}
        return record_of(fields, self.zone, self.source, place)

    def ordered(self, messages: Sequence[Any]) -> Sequence[Any]:
        """The messages of a list, oldest first."""
        newest_first = self.order == "newest" or (
            self.order == "auto" and (_is_langchain(messages) or self._times_fall(messages))
        )
        return list(reversed(messages)) if newest_first else messages

    def _times_fall(self, messages: Sequence[Any]) -> bool:
        times = [at for message in messages if (at := self._time(message)) is not None]
        return len(times) > 1 and times[0] > times[-1] and times == sorted(times, reverse=True)

    def _time(self, message: Any) -> float | None:
        if not isinstance(message, Mapping):
            return None
        at = next((moment(message[name], self.zone) for name in TIME_KEYS if message.get(name) is not None), None)
        return None if at is None else at.timestamp()


def _is_langchain(messages: Sequence[Any]) -> bool:
    """RedisChatMessageHistory keeps `{"type": …, "data": {…}}` and pushes each message to the front (LPUSH)."""
    return any(
        isinstance(message, Mapping) and isinstance(message.get("data"), Mapping) and "type" in message
        for message in messages
    )


def shown_key(key: bytes) -> str:
    """A key for people; bytes that are no text are shown as escapes."""
    return _shown(key)


def _shown(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")


class Stored(RawRecord):
    """A record in Redis that was fetched and not parsed."""

    __slots__ = ("_key", "_reader")

    def __init__(self, reader: DialogReader, key: bytes) -> None:
        super().__init__(shown_key(key))
        self._reader = reader
        self._key = key

    def read(self) -> Record:
        """Parse it. Raises UnreadableRecord with the key and the reason."""
        try:
            return self._reader.record(self._key, self.place, self._fields())
        except UnreadableRecord as error:
            failure = error if error.where else placed(error, self.place)
        raise failure

    @abstractmethod
    def _fields(self) -> Mapping[str, Any]:
        """The decoded fields. Raises UnreadableRecord."""


class StoredText(Stored):
    """A string: a JSON object with a record's fields, or a JSON list of messages."""

    __slots__ = ("_value",)

    def __init__(self, reader: DialogReader, key: bytes, value: bytes) -> None:
        self.place = key.decode(errors="backslashreplace")  # as Stored does, without two calls for each of many talks
        self._reader = reader
        self._key = key
        self._value = value

    def as_found(self) -> str:
        """The text."""
        return _shown(self._value)

    def fingerprint(self) -> bytes:
        """Of the text."""
        return blake2b(self._value, digest_size=FINGERPRINT_SIZE, person=b"string").digest()

    def _fields(self) -> Mapping[str, Any]:
        data = decode_json(self._value)
        if isinstance(data, list):
            return {"messages": data}
        if isinstance(data, dict):
            return data
        raise UnreadableRecord("the JSON is neither an object nor a list", do="write a record or a list of messages")


class StoredHash(Stored):
    """A hash: a record's fields, each as text or JSON; the list beside it holds the messages."""

    __slots__ = ("_messages", "_value")

    def __init__(
        self, reader: DialogReader, key: bytes, value: Mapping[bytes, bytes], messages: Sequence[bytes]
    ) -> None:
        super().__init__(reader, key)
        self._value = value
        self._messages = messages

    def as_found(self) -> str:
        """The fields, each in a line of its own, then the messages."""
        fields = (f"{_shown(name)}: {_shown(value)}" for name, value in sorted(self._value.items()))
        return "\n".join([*fields, *map(_shown, self._messages)])

    def fingerprint(self) -> bytes:
        """Of fields and messages; the order of fields, which Redis does not keep, does not count."""
        fields = (part for item in sorted(self._value.items()) for part in item)
        return fingerprint(b"hash", *fields, b"messages", *self._messages)

    def _fields(self) -> Mapping[str, Any]:
        fields = {decode_text(name): decode_text(value) for name, value in self._value.items()}
        decoded = {name: field_value(name, text) for name, text in fields.items()}
        if self._messages:
            decoded["messages"] = self._reader.ordered(_messages(self._messages))
        return decoded


class StoredList(Stored):
    """A list of messages, each as JSON or plain text."""

    __slots__ = ("_value",)

    def __init__(self, reader: DialogReader, key: bytes, value: Sequence[bytes]) -> None:
        super().__init__(reader, key)
        self._value = value

    def as_found(self) -> str:
        """The messages, each in a line of its own."""
        return "\n".join(map(_shown, self._value))

    def fingerprint(self) -> bytes:
        """Of every message."""
        return fingerprint(b"list", *self._value)

    def _fields(self) -> Mapping[str, Any]:
        return {"messages": self._reader.ordered(_messages(self._value))}


class Unstored(RawRecord):
    """A key that is no talk; reading it says why."""

    __slots__ = ("_do", "_key", "_what")

    def __init__(self, key: bytes, what: str, do: str) -> None:
        super().__init__(shown_key(key))
        self._key = key
        self._what = what
        self._do = do

    def fingerprint(self) -> bytes:
        """Of the reason: the content was not read."""
        return fingerprint(b"unstored", self._key, self._what.encode())

    def read(self) -> Record:
        """Raises UnreadableRecord."""
        raise UnreadableRecord(self._what, where=self.place, do=self._do)


def _messages(items: Sequence[bytes]) -> list[Any]:
    return [_message(item, index) for index, item in enumerate(items)]


def _message(raw: bytes, index: int) -> Any:
    """A message as JSON, or the text itself: a number or a bare word that happens to be JSON is what somebody said."""
    try:
        text = decode_text(raw)
        if text.lstrip().startswith('{"'):
            return decode_json(raw)
    except UnreadableRecord as error:
        raise UnreadableRecord(error.what, field=f"messages[{index}]", do=error.do) from None
    return json_or_text(text) if text.lstrip().startswith('"') else text


def field_value(name: str, text: str) -> Any:
    """A hash's field: the fields that are texts stay as they are, `0123` too, unless they are quoted JSON or null."""
    bare = text.strip()
    if name not in _TEXTS:
        return json_or_text(text)
    if bare == "null":
        return None
    quoted = bare.startswith('"') or (name == "conversation_history" and bare.startswith("["))
    return json_or_text(text) if quoted else text
