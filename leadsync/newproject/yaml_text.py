"""Any name as YAML: in quotes as a key or value, and flat in a comment."""

from __future__ import annotations

from collections.abc import Iterable

COLUMN = 44
"""Where the comment of a short line begins, as in the sample files."""

_LONGEST_COMMENT = 100
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def quoted(text: str) -> str:
    """A text as a double-quoted scalar on one line, which reads back as the same text."""
    return '"' + "".join(map(_escaped, text)) + '"'


def literal(text: str) -> str:
    """The same for a value that is not to be read as `${NAME}`."""
    return quoted(text.replace("${", "$${"))


def _escaped(character: str) -> str:
    if short := _SHORT.get(character):
        return short
    if character.isprintable():
        return character
    return f"\\u{ord(character):04X}" if ord(character) < 0x10000 else f"\\U{ord(character):08X}"


def flat(text: str, longest: int = _LONGEST_COMMENT) -> str:
    """A text for a comment: on one line, without what a terminal would obey, and not too long."""
    even = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return even if len(even) <= longest else even[: longest - 1] + "…"


def listed(texts: Iterable[str], longest: int = _LONGEST_COMMENT) -> str:
    """Several texts for a comment, parted by ` | `; those that do not fit are counted."""
    rest = [flat(one, 40) for one in texts]
    count, length = 0, 0
    for one in rest:
        length += len(one) + 3
        if count and length > longest:
            break
        count += 1
    more = len(rest) - count
    return " | ".join(rest[:count]) + (f" … and {more} more" if more else "")


def remarked(line: str, remark: str, column: int = COLUMN) -> str:
    """A line with a comment behind it, in that column where the line leaves room."""
    return f"{line:<{column - 2}}  # {remark}" if remark else line
