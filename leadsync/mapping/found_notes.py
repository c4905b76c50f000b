"""Found notes: which messages of a talk already stand in notes of the CRM, when nothing else remembers it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from leadsync.amocrm.field_values import strip_four_byte
from leadsync.mapping.talk import Noted, talk_since
from leadsync.records import Message, Record

_BEGIN = 20
"""Characters by which a message is known in a note: a template may cut the rest, or make something else of it."""


@dataclass(frozen=True, slots=True)
class FoundNote:
    """A note of the lead as amoCRM gives it: its text, and when it was made (aware; None when unknown)."""

    text: str
    at: datetime | None = None

    @classmethod
    def of(cls, note: Mapping[str, Any]) -> FoundNote:
        """Read a note of the API; its times are unix seconds (amoCRM docs: notes-api)."""
        made = note.get("created_at")
        at = datetime.fromtimestamp(made, UTC) if isinstance(made, int) and made > 0 else None
        return cls(str((note.get("params") or {}).get("text") or ""), at)


@dataclass(frozen=True, slots=True)
class _Sighting:
    """A text that was found: which one it is, its words, and where it stands in the notes."""

    index: int
    words: str
    start: int


def noted_in(record: Record, notes: Sequence[FoundNote]) -> Noted:
    """What a lead's notes, oldest first, hold of a record's talk.

    Messages are looked for by how they begin, in their order, each after the one before it, so that a short answer is
    not mistaken for a part of an earlier line. What stands before the last one that is found was noted with it, also
    where the template leaves it out or writes it otherwise. So was what had been said when that note was made, unless
    the notes would show it: they show others of its role that are as long. A message of which amoCRM keeps nothing
    (only emoji) counts as noted. The lines of a history go by their order alone.
    """
    text = " ".join(words for note in notes if (words := plain(note.text)))
    if not text:
        return Noted()
    if not record.messages:
        history = _noted_history(record.conversation_history or "", text)
        return talk_since(replace(record, conversation_history=history), None)[1]
    seen = _seen([message.text for message in record.messages], text)
    made = _made_at(seen[-1].start, [(len(plain(note.text)), note.at) for note in notes]) if seen else None
    return talk_since(replace(record, messages=tuple(_noted(record.messages, seen, made))), None)[1]


def plain(text: str) -> str:
    """A text as it can be compared after a stay in amoCRM: no four-byte characters, spaces folded."""
    return " ".join(strip_four_byte(text).split())


def _seen(texts: Iterable[str], shown: str) -> list[_Sighting]:
    """The texts that stand in what the notes show, each after the one before it."""
    seen: list[_Sighting] = []
    position = 0
    for index, text in enumerate(texts):
        words = plain(text)
        start = shown.find(words[:_BEGIN], position) if words else -1
        if start >= 0:
            seen.append(_Sighting(index, words, start))
            position = start + _shared(words, shown[start : start + len(words)])
    return seen


def _shared(words: str, shown: str) -> int:
    """How many characters the two begin with alike."""
    alike = (at for at, (one, other) in enumerate(zip(words, shown, strict=False)) if one != other)
    return next(alike, min(len(words), len(shown)))


def _noted(messages: Sequence[Message], seen: Sequence[_Sighting], made: datetime | None) -> Iterable[Message]:
    """The messages up to the last one seen, and of the later ones those that its note, made then, left out."""
    longest: dict[str, int] = {}
    for one in seen:
        role = messages[one.index].role
        longest[role] = max(longest.get(role, 0), len(one.words[:_BEGIN]))
    later = seen[-1].index + 1 if seen else 0
    yield from messages[:later]
    for message in messages[later:]:
        words = plain(message.text)
        would_show = len(words[:_BEGIN]) <= longest.get(message.role, 0)
        said_before = made is not None and message.at is not None and message.at <= made
        if not words or (said_before and not would_show):
            yield message


def _made_at(position: int, notes: Iterable[tuple[int, datetime | None]]) -> datetime | None:
    """When the note was made that holds a position of the joined texts, given each one's length and time."""
    for length, at in notes:
        if not length:
            continue
        if position < length:
            return at
        position -= length + 1
    return None


def _noted_history(history: str, shown: str) -> str:
    """A history up to its last line that stands in the notes, and those after it of which amoCRM keeps nothing."""
    lines = history.splitlines(keepends=True)
    seen = _seen(lines, shown)
    end = seen[-1].index + 1 if seen else 0
    while end < len(lines) and not plain(lines[end]):
        end += 1
    return "".join(lines[:end]).rstrip()
