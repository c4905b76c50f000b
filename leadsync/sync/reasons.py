"""Reasons: why something is written or left alone, in words for whoever reads a plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from leadsync.mapping.desired import Origin
from leadsync.sync.compare import is_as_written, written_by
from leadsync.sync.resolve import Value

NEW = "new"
EMPTY = "was empty"
DEFAULT = "was amoCRM's default"
SAID = "the talk or the mapping changed"
MAPPING = "the mapping says otherwise now"
OVERWRITE = "the mapping says overwrite"

CHANGED = "changed in amoCRM since our last write"
BEFORE_US = "was there before us"
ANOTHER = "set by another talk"
REMOVED = "removed in amoCRM since"

MOST = 2
"""Reasons of a change that are told; the others are counted."""

RESTORED = "1"
"""What stands for the maker of an entity that came back from the account: our memory of it was lost."""

_NOUNS = {"phone": "phone", "email": "e-mail", "tag": "tag"}
_AS_REASONS = {EMPTY: "fills what was empty", DEFAULT: "replaces what amoCRM chose"}


def why_set(value: Value, current: str | None, wrote: str | None) -> str:
    """Why a value of an entity that exists is written."""
    if wrote is None:
        return OVERWRITE if current else EMPTY
    if not is_as_written(current or "", wrote):
        return OVERWRITE
    return MAPPING if value.origin is not None and is_constant(value.origin) else SAID


def why_kept(slot: str, current: str | None, wrote: Mapping[str, str], owner: str) -> str:
    """Why a value stays though a record wants another; `owner` is the digest of the record's key."""
    last = wrote.get(slot)
    if last is None:
        return CHANGED if is_ours(wrote) else BEFORE_US
    return ANOTHER if written_by(last) != owner and is_as_written(current or "", last) else CHANGED


def is_ours(wrote: Mapping[str, str]) -> bool:
    """Whether we made an entity, and know everything we wrote into it."""
    return wrote.get("made", RESTORED) != RESTORED


def why_added(kind: str, origin: Origin | None, *, created: bool = False) -> str:
    """Why a phone, an e-mail or a tag is added to an entity, or `created` with it."""
    if origin is not None and origin.message is not None:
        return f"{_NOUNS[kind]} {'found' if created else 'appeared'} in message {origin.message}"
    return NEW if created else f"new {_NOUNS[kind]}"


def reason_of(slot: str, why: str, origin: Origin | None) -> str:
    """What the change of one value is as a reason for the change of the whole entity."""
    if slot != "stage":
        return _AS_REASONS.get(why, why)
    return "stage rule" if origin is None else f"stage rule {origin.place.file}:{origin.place.line}"


def told(reasons: Iterable[tuple[str, str]]) -> str:
    """The reasons of a change, given with their slots, in one line: the most telling first, and only some of them."""
    ordered = list(dict.fromkeys(reason for _, reason in sorted(reasons, key=lambda one: _rank(*one))))
    more = len(ordered) - MOST
    return "; ".join(ordered[:MOST]) + (f" and {more} more" if more > 0 else "")


def why_noted(news: int | None, *, continued: bool) -> str:
    """Why a note is made; `news` is how many messages are new in it, where that is known."""
    if news is None:
        return "new messages" if continued else "the talk"
    counted = f"{news} message{'' if news == 1 else 's'}"
    return f"{news} new {counted.partition(' ')[2]}" if continued else f"the talk: {counted}"


def is_constant(origin: Origin) -> bool:
    """Whether the mapping says the same for every record."""
    return bool(origin.expression) and not any(mark in origin.expression for mark in ("{{", "{%", "…"))


def _rank(slot: str, reason: str) -> int:
    """A phone tells more than a stage, and a stage more than the rest."""
    order = ("phone", "email", "stage")
    return order.index(slot) if slot in order else len(order) + ("tag" in reason)
