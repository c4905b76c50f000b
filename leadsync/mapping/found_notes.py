"""Found notes: which messages of a talk already stand in notes of the CRM, when nothing else remembers it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from leadsync.amocrm.field_values import strip_four_byte
from leadsync.mapping.talk import Noted, talk_since
from leadsync.records import Message, Record


def noted_in(record: Record, notes: Sequence[str]) -> Noted:
    """What the texts of a lead's notes, oldest first, hold of a record's talk.

    Messages are looked for in their order, each after the one before it, so that a short answer is not mistaken for a
    part of an earlier line. A message of which amoCRM keeps nothing (only emoji) counts as noted with its neighbours.
    """
    if not any(notes):
        return Noted()
    text = plain("\n".join(notes))
    if record.messages:
        there = replace(record, messages=tuple(_standing(record.messages, text)))
    else:
        there = replace(record, conversation_history=_standing_history(record.conversation_history or "", text))
    return talk_since(there, None)[1]


def plain(text: str) -> str:
    """A text as it can be compared after a stay in amoCRM: no four-byte characters, spaces folded."""
    return " ".join(strip_four_byte(text).split())


def _standing(messages: Iterable[Message], text: str) -> Iterable[Message]:
    position = 0
    for message in messages:
        words = plain(message.text)
        found = text.find(words, position)
        if found >= 0:
            position = found + len(words)
            yield message


def _standing_history(history: str, text: str) -> str:
    """The beginning of a history, whole lines, as far as it stands in the notes."""
    position = end = length = 0
    for line in history.splitlines(keepends=True):
        words = plain(line)
        found = text.find(words, position)
        if found < 0:
            break
        position = found + len(words)
        length += len(line)
        end = length
    return history[:end].rstrip()
