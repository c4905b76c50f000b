"""Record and Message: what every source hands over, whatever a bot wrote."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from hashlib import blake2b
from typing import Any

from leadsync.errors import UnreadableRecord

DIGEST_SIZE = 8
"""Bytes of a message's digest; two different messages of one talk share one with a chance of 1 in 2**64."""

UNKNOWN_SOURCE = "unknown"
"""The `source` of a record that names none and whose source section gives none."""

ROLES = {
    "human": "user",
    "user": "user",
    "ai": "bot",
    "assistant": "bot",
    "bot": "bot",
    "humanmessage": "user",
    "aimessage": "bot",
    "humanmessagechunk": "user",
    "aimessagechunk": "bot",
    "manager": "manager",
}
"""How the roles of OpenAI and LangChain are called here; a role that is not listed stays as given."""

TIME_KEYS = ("at", "timestamp", "created_at", "date", "time")

_USUAL_PARTS = frozenset({"role", "text", "at"})

_TEXT_FIELDS = ("user_name", "phone", "email", "product_interest")
_FIELDS = frozenset(
    ("id", "source", "budget", "messages", "conversation_history", "metadata", "updated_at", *_TEXT_FIELDS)
)
_YEARS = range(1973, 5138)
_UNIX_TEXT = re.compile(r"[0-9]{9,17}(\.[0-9]+)?")
_WHOLE_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, init=False)
class Message:
    """One message of a talk. `role` is `user`, `bot`, `manager` or as given; `at` is aware, or None when unknown."""

    role: str
    text: str
    at: datetime | None

    def __init__(self, role: str, text: str, at: datetime | None = None) -> None:
        # There are so many of them, and what a frozen dataclass would write here takes three times as long.
        found = self.__dict__
        found["role"] = role
        found["text"] = text
        found["at"] = at

    @cached_property
    def digest(self) -> bytes:
        """Who said what and when, in 8 bytes: the identity of a message, whatever its index in the talk."""
        moment = "" if self.at is None else str(self.at.timestamp())
        return blake2b(f"{self.role}\0{moment}\0{self.text}".encode(), digest_size=DIGEST_SIZE).digest()


@dataclass(frozen=True, slots=True)
class Record:
    """One talk. `budget` is a whole number where it reads as one, else the text given; `extra` holds unknown keys."""

    id: str
    source: str
    user_name: str | None = None
    phone: str | None = None
    email: str | None = None
    product_interest: str | None = None
    budget: int | str | None = None
    messages: tuple[Message, ...] = ()
    conversation_history: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    updated_at: datetime | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any], *, zone: tzinfo, default_source: str = UNKNOWN_SOURCE) -> Record:
        """Read a record from decoded JSON, in any of the shapes bots write.

        A time without a zone is in `zone`; a record without a `source` gets `default_source`. Messages may be
        `{role, text, at}`, OpenAI's `{role, content}`, LangChain's `{type, data: {content}}` or plain texts; one
        without any text (a call of a tool, a picture) is left out. A list in `conversation_history` is read as
        messages when there are none. Raises UnreadableRecord with the field at fault, never with its value.
        """
        try:
            return _read_record(raw, zone, default_source)
        except RecursionError:
            raise UnreadableRecord(
                "the record is nested too deeply", do="write the record with less nesting, or leave the part out"
            ) from None


def _read_record(raw: Mapping[str, Any], zone: tzinfo, default_source: str) -> Record:
    if not isinstance(raw, Mapping):
        raise UnreadableRecord("a record must be a JSON object", do='write it as {"id": …, "source": …, …}')
    history = raw.get("conversation_history")
    messages = raw.get("messages")
    if isinstance(history, list | tuple):
        messages, history = messages or history, None
    texts = {name: _text(raw.get(name), name) for name in _TEXT_FIELDS}
    return Record(
        id=_identity(raw.get("id")),
        source=_text(raw.get("source"), "source") or default_source,
        budget=_budget(raw.get("budget")),
        messages=_messages(messages, zone),
        conversation_history=_text(history, "conversation_history"),
        metadata=_metadata(raw.get("metadata")),
        updated_at=moment(raw.get("updated_at"), zone),
        extra={str(name): value for name, value in raw.items() if name not in _FIELDS},
        **texts,
    )


def _wrong(field: str, wanted: str) -> UnreadableRecord:
    do = f"write `{field}` as {wanted}, or leave it out"
    return UnreadableRecord(f"`{field}` is not {wanted}", field=field, do=do)


def _whole_characters(text: str) -> str:
    """Half a surrogate pair (an emoji that a bot cut in two) cannot be written to a CRM: it becomes a question mark."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _identity(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is not None and not isinstance(value, str):
        raise UnreadableRecord("`id` is neither text nor a whole number", field="id", do="write `id` as text")
    if not value or not value.strip():
        raise UnreadableRecord("the record has no `id`", field="id", do="give each talk an `id` that never changes")
    return _whole_characters(value.strip())


def _text(value: Any, name: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return _whole_characters(value.strip()) or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise _wrong(name, "text")


def _budget(value: Any) -> int | str | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str | None):
        raise _wrong("budget", "a number or text")
    if isinstance(value, float):
        return int(value) if value.is_integer() else str(value)
    if isinstance(value, str):
        text = _whole_characters(value.strip())
        return int(text) if _WHOLE_NUMBER.fullmatch(text) else text or None
    return value


def _metadata(value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _wrong("metadata", "a JSON object")
    return value


def moment(value: Any, zone: tzinfo) -> datetime | None:
    """A time as bots write it: ISO 8601 (naive: in `zone`), unix seconds, milliseconds or microseconds; else None."""
    if value is None:
        return None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=zone)
    if isinstance(value, str):
        text = value.strip()
        if text[4:5] != "-" and _UNIX_TEXT.fullmatch(text):
            return _from_unix(float(text))
        return _from_iso(text, zone)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _from_unix(value)
    return None


def _from_iso(text: str, zone: tzinfo) -> datetime | None:
    """The years of `_from_unix` only: Go's zero time, year 1, means that there is no time."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    if at.year not in _YEARS:
        return None
    return at if at.tzinfo else at.replace(tzinfo=zone)


def _from_unix(number: float) -> datetime | None:
    """Below 1e8 (1973) it is a counter rather than a time; 1e11 seconds would be in 5138, so these are milliseconds."""
    for ceiling, unit in ((1e11, 1), (1e14, 1_000), (1e17, 1_000_000)):
        if 1e8 * unit <= number < ceiling:
            return datetime.fromtimestamp(number / unit, UTC)
    return None


def _messages(items: Any, zone: tzinfo) -> tuple[Message, ...]:
    if items is None:
        return ()
    if not isinstance(items, list | tuple):
        raise _wrong("messages", "a list of messages")
    read = (_message(item, index, zone) for index, item in enumerate(items))
    return tuple(message for message in read if message is not None)


def _message(item: Any, index: int, zone: tzinfo) -> Message | None:
    """One message, or None when it says nothing."""
    if type(item) is dict and item.keys() <= _USUAL_PARTS:  # as most are: nothing has to be looked for
        role, text = item.get("role"), item.get("text")
        if type(role) is str and type(text) is str and role:
            known = ROLES.get(role) or ROLES.get(role.lower()) or _whole_characters(role)
            return Message(known, _whole_characters(text), moment(item.get("at"), zone)) if text.strip() else None
    if isinstance(item, str):
        item = {"role": "user", "text": item}
    if not isinstance(item, Mapping):
        raise _wrong(f"messages[{index}]", "a message: an object with `role` and `text`, or text")
    body = _body(item)
    text = _whole_characters(_content(body["text"] if body.get("text") is not None else body.get("content"), index))
    if not text.strip():
        return None
    return Message(_role(item, body, index), text, _time(item, zone) or _time(body, zone))


def _body(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where the text stands: LangChain puts it in `data` (histories) or in `kwargs` (its serialised objects)."""
    for name in ("data", "kwargs"):
        inner = item.get(name)
        if isinstance(inner, Mapping) and "content" in inner:
            return inner
    return item


def _role(item: Mapping[str, Any], body: Mapping[str, Any], index: int) -> str:
    given = item.get("role") or body.get("role") or _kind(item) or "user"
    if not isinstance(given, str):
        raise _wrong(f"messages[{index}].role", "text")
    return ROLES.get(given.lower(), _whole_characters(given))


def _kind(item: Mapping[str, Any]) -> Any:
    path = item.get("id")
    if item.get("type") == "constructor" and isinstance(path, list) and path:
        return path[-1]
    return item.get("type")


def _time(item: Mapping[str, Any], zone: tzinfo) -> datetime | None:
    for name in TIME_KEYS:
        if item.get(name) is not None:
            return moment(item[name], zone)
    return None


def _content(content: Any, index: int) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, int | float) and not isinstance(content, bool):
        return str(content)
    if isinstance(content, list | tuple):
        return "\n".join(_part_texts(content))
    raise _wrong(f"messages[{index}].text", "text")


def _part_texts(parts: Sequence[Any]) -> list[str]:
    """The texts among the parts of an OpenAI message; pictures, sounds and files have none."""
    texts = (part.get("text") if isinstance(part, Mapping) else part for part in parts)
    return [text for text in texts if isinstance(text, str) and text]
