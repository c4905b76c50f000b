"""Talk: which messages of a record are new since its last note.

Bots trim and rewrite their histories, so a message is known by who said what and when, never by its index.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from leadsync.records import DIGEST_SIZE, Message, Record

_FORMAT = 2
_HEAD = 17


@dataclass(frozen=True, slots=True)
class Talk:
    """What a record has to say now.

    `new` are the messages no note holds yet, in their order; `continued` is true when there is an earlier note;
    `history` is the new part of `conversation_history` for a record that has no messages, else empty.
    """

    new: tuple[Message, ...]
    continued: bool
    history: str = ""

    @property
    def says_something(self) -> bool:
        """Whether there is anything for a note."""
        return bool(self.new or self.history)


@dataclass(frozen=True, slots=True)
class Noted:
    """What earlier notes hold, without its text: digests, DIGEST_SIZE bytes each.

    `timed` and `untimed` are messages, `lines` the lines of a history that are not blank; the untimed ones and the
    lines stand in their order. `last_length` counts the characters of the last line.
    """

    timed: bytes = b""
    untimed: bytes = b""
    lines: bytes = b""
    last_length: int = 0

    def __bool__(self) -> bool:
        return bool(self.timed or self.untimed or self.lines)

    def to_bytes(self) -> bytes:
        """Version, three counts, the last line's length, then the digests: 8 bytes per message or line, and 17."""
        digests = (self.timed, self.untimed, self.lines)
        counts = [*(len(some) // DIGEST_SIZE for some in digests), self.last_length]
        return b"".join([bytes([_FORMAT]), *(count.to_bytes(4, "big") for count in counts), *digests])

    @classmethod
    def from_bytes(cls, raw: bytes) -> Noted:
        """The reverse of `to_bytes`. Raises ValueError when the bytes are of another format or cut short."""
        if len(raw) < _HEAD or raw[0] != _FORMAT:
            raise ValueError("these bytes are no Noted of this version")
        timed, untimed, lines, last_length = (int.from_bytes(raw[at : at + 4], "big") for at in range(1, _HEAD, 4))
        untimed_from = _HEAD + timed * DIGEST_SIZE
        lines_from = untimed_from + untimed * DIGEST_SIZE
        if len(raw) != lines_from + lines * DIGEST_SIZE:
            raise ValueError("these bytes are cut short or too long")
        return cls(raw[_HEAD:untimed_from], raw[untimed_from:lines_from], raw[lines_from:], last_length)


def talk_since(record: Record, noted: Noted | None) -> tuple[Talk, Noted]:
    """What is new in a record since `noted`, and what will be noted once the note of it is accepted.

    A message with a time is new when it occurs more often than it was noted, wherever it stands. Messages without a
    time are aligned: the longest end of the noted sequence that stands in the present one is old, what follows is
    new, and what stands before it is new as far as it was not noted earlier. The lines of a history are aligned so
    too; a history of one line that has grown is new in its rest. When a record that had a history gets messages, those
    that stood in the history, as `role: text` or bare, are not new.
    """
    known = noted or Noted()
    if not record.messages:
        return _history_since(record, known)
    messages = record.messages
    timed, is_new_timed = _timed_since([m.digest for m in messages if m.at is not None], known.timed)
    untimed, is_new_untimed = _untimed_since([m.digest for m in messages if m.at is None], known.untimed)
    flags_timed, flags_untimed = iter(is_new_timed), iter(is_new_untimed)
    new = tuple(m for m in messages if next(flags_untimed if m.at is None else flags_timed))
    if known.lines and not known.timed and not known.untimed:
        new = _not_in_history(new, known.lines)
    if not new and timed == known.timed and untimed == known.untimed:
        return Talk((), bool(known)), known
    return Talk(new, bool(known)), replace(known, timed=timed, untimed=untimed)


def history_text(messages: Iterable[Message]) -> str:
    """A talk as text: one line per message, `role: text`."""
    return "\n".join(f"{message.role}: {message.text}" for message in messages)


def _history_since(record: Record, known: Noted) -> tuple[Talk, Noted]:
    text = (record.conversation_history or "").strip()
    lines = _lines(text)
    if not lines:
        return Talk((), bool(known)), known
    digests = [_line_digest(line) for line in lines]
    if rest := _grown_rest(lines, known):
        sequence = known.lines[:-DIGEST_SIZE] + digests[0]
    else:
        sequence, flags = _untimed_since(digests, known.lines)
        rest = text if all(flags) else "\n".join(line for line, new in zip(lines, flags, strict=True) if new)
    if sequence == known.lines:
        return Talk((), bool(known)), known
    return Talk((), bool(known), rest), replace(known, lines=sequence, last_length=len(lines[-1]))


def _lines(text: str) -> list[str]:
    return [stripped for line in text.splitlines() if (stripped := line.strip())]


def _line_digest(line: str) -> bytes:
    return blake2b(line.encode(), digest_size=DIGEST_SIZE).digest()


def _grown_rest(lines: Sequence[str], known: Noted) -> str:
    """What was added to a history that a bot writes without line breaks; empty when it is none of these."""
    begin = lines[0][: known.last_length]
    if len(lines) > 1 or len(begin) == len(lines[0]) or not known.lines.endswith(_line_digest(begin)):
        return ""
    return lines[0][known.last_length :].strip()


def _not_in_history(messages: Sequence[Message], noted: bytes) -> tuple[Message, ...]:
    """The messages that bring a line which was not noted of the record's history."""
    earlier = set(_split(noted))
    lines = [_as_lines(message, earlier) for message in messages]
    flags = iter(_untimed_since([digest for some in lines for digest in some], noted)[1])
    is_new = [True in [next(flags) for _ in some] for some in lines]
    return tuple(message for message, new in zip(messages, is_new, strict=True) if new)


def _as_lines(message: Message, noted: Container[bytes]) -> list[bytes]:
    """The lines a message has in a history, of the two forms the one that was noted."""
    forms = ([_line_digest(line) for line in _lines(text)] for text in (history_text([message]), message.text))
    as_shown, bare = forms
    return bare if bare and bare[0] in noted and as_shown[0] not in noted else as_shown


def _split(digests: bytes) -> list[bytes]:
    return [digests[at : at + DIGEST_SIZE] for at in range(0, len(digests), DIGEST_SIZE)]


def _timed_since(present: Sequence[bytes], noted: bytes) -> tuple[bytes, list[bool]]:
    flags = _beyond(present, _split(noted))
    return noted + b"".join(digest for digest, new in zip(present, flags, strict=True) if new), flags


def _beyond(present: Iterable[bytes], noted: Iterable[bytes]) -> list[bool]:
    """For each digest, whether it is an occurrence beyond those noted."""
    left = Counter(noted)
    flags = []
    for digest in present:
        flags.append(left[digest] <= 0)
        left[digest] -= 1
    return flags


def _untimed_since(present: list[bytes], noted: bytes) -> tuple[bytes, list[bool]]:
    if not present:
        return noted, []
    earlier = _split(noted)
    start, length = _longest_end(earlier, present)
    if not length:
        flags = _beyond(present, earlier)
        # Nothing continues the noted end (its last messages were deleted): the present order is the better memory.
        kept = [digest for digest, gone in zip(earlier, _beyond(earlier, present), strict=True) if gone]
        return b"".join(kept + present), flags
    matched = len(earlier) - length
    before = _beyond(present[:start], earlier[:matched])
    inserted = [digest for digest, new in zip(present, before, strict=False) if new]
    after = present[start + length :]
    sequence = earlier[:matched] + inserted + earlier[matched:] + after
    return b"".join(sequence), before + [False] * length + [True] * len(after)


def _longest_end(earlier: list[bytes], present: list[bytes]) -> tuple[int, int]:
    """Where in `present` the longest end of `earlier` stands, the first such place: (start, length); length 0 if none.

    Linear: the Z-function of the two sequences, both read from their ends.
    """
    pattern = earlier[: -len(present) - 1 : -1]
    both: list[bytes | None] = [*pattern, None, *reversed(present)]
    reach = _z_function(both)
    best_start, best_length = 0, 0
    for index in range(len(pattern) + 1, len(both)):
        if reach[index] and reach[index] >= best_length:
            best_length = reach[index]
            best_start = len(both) - index - best_length
    return best_start, best_length


def _z_function(items: Sequence[bytes | None]) -> list[int]:
    """For each index, how many items from there on equal those from the beginning."""
    reach = [0] * len(items)
    left = right = 0
    for index in range(1, len(items)):
        if index < right:
            reach[index] = min(right - index, reach[index - left])
        while index + reach[index] < len(items) and items[reach[index]] == items[index + reach[index]]:
            reach[index] += 1
        if index + reach[index] > right:
            left, right = index, index + reach[index]
    return reach
