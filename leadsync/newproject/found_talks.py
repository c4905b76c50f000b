"""What lies in a Redis already: which keys look like talks, and which fields those have. Never a value."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from zoneinfo import ZoneInfo

from redis.asyncio import Redis

from leadsync.errors import UnreadableRecord
from leadsync.records import Record
from leadsync.sources.key_pattern import KeyPattern
from leadsync.sources.stored_dialogs import DialogReader, Stored, StoredHash, StoredList, StoredText
from leadsync.state.redis import state_errors

MOST_KEYS = 1000
"""Keys that are looked at; SCAN gives them in no order, so they are a fair sample."""

_PAGES, _PAGE = 60, 200
_GROUPS, _PER_GROUP = 60, 15
_LONGEST_TEXT, _LONGEST_LIST, _MOST_FIELDS = 1 << 20, 50, 200
_OURS = b"leadsync:{"
_MESSAGES = b":messages"
_LAST_SEPARATOR = re.compile(rb"^(.*:|[^:]*[_/.|-])(?=[^:])", re.DOTALL)
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_SOURCE = re.compile(r"[a-z][a-z0-9_-]{0,19}")
_PLAIN = ("user_name", "phone", "email", "product_interest", "budget", "messages", "conversation_history", "updated_at")
_MOST_SOURCES = 12


@dataclass(frozen=True, slots=True)
class FoundTalks:
    """What was seen. `match` is the glob that most talks have, None when there are none; `keys` were looked at.

    `fields` are names only: `phone`, `metadata.city`, `utm_source`. `sources` are those that the talks name.
    """

    keys: int = 0
    match: str | None = None
    fields: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


NOTHING_FOUND = FoundTalks()


@dataclass(frozen=True, slots=True)
class _Group:
    """The keys of one prefix in the sample, and the talks among those that were read."""

    prefix: bytes
    keys: int
    read: int
    talks: tuple[Record, ...]

    @property
    def weight(self) -> float:
        """About how many talks it holds; one that has no messages counts half."""
        full = sum(1.0 if one.messages or one.conversation_history else 0.5 for one in self.talks)
        return self.keys * full / self.read if self.read else 0.0


async def look_for_talks(redis: Redis, zone: ZoneInfo, match: str | None = None) -> FoundTalks:
    """Look at a thousand keys at most, and read a few of each kind. Raises StateUnavailable."""
    async with state_errors():
        keys = await _some_keys(redis, match)
        groups = [await _read_group(redis, zone, prefix, members) for prefix, members in _most_frequent(keys)]
    chosen = None if match is not None else _best_prefix(groups)
    talks = [one for group in groups if chosen is None or group.prefix.startswith(chosen) for one in group.talks]
    if not talks:
        return FoundTalks(len(keys))
    return FoundTalks(len(keys), match or _glob(chosen or b""), tuple(_fields(talks)), tuple(_sources(talks)))


async def _some_keys(redis: Redis, match: str | None) -> list[bytes]:
    found: dict[bytes, None] = {}
    cursor = 0
    for _ in range(_PAGES):
        cursor, page = await redis.scan(cursor, match=match, count=_PAGE)
        found.update(dict.fromkeys(one for one in cast(list[bytes], page) if not one.startswith(_OURS)))
        if not cursor or len(found) >= MOST_KEYS:
            break
    keys = list(found)[:MOST_KEYS]
    return [one for one in keys if not (one.endswith(_MESSAGES) and one.removesuffix(_MESSAGES) in found)]


def _most_frequent(keys: Iterable[bytes]) -> list[tuple[bytes, list[bytes]]]:
    groups: dict[bytes, list[bytes]] = defaultdict(list)
    for key in keys:
        groups[_prefix(key)].append(key)
    return sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))[:_GROUPS]


def _prefix(key: bytes) -> bytes:
    """`bot:dialog:` of `bot:dialog:42`, `dialog_` of `dialog_42`, nothing of `dialog`."""
    found = _LAST_SEPARATOR.match(key)
    return found[1] if found else b""


async def _read_group(redis: Redis, zone: ZoneInfo, prefix: bytes, keys: Sequence[bytes]) -> _Group:
    sample = keys[:_PER_GROUP]
    reader = DialogReader(KeyPattern.of(_glob(prefix)), zone, "", "auto")
    read = [_talk(one) for one in await _stored(redis, reader, sample)]
    return _Group(prefix, len(keys), len(sample), tuple(one for one in read if one is not None))


async def _stored(redis: Redis, reader: DialogReader, keys: Sequence[bytes]) -> list[Stored]:
    """The values of a few keys, of none more than a little: a queue or a picture is not what is looked for."""
    types = await _ask(redis, [("TYPE", key) for key in keys])
    kinds = {key: kind for key, kind in zip(keys, types, strict=True) if kind in _SIZES}
    sizes = await _ask(redis, [(_SIZES[kind], key) for key, kind in kinds.items()])
    small = {
        key: kind
        for (key, kind), size in zip(kinds.items(), sizes, strict=True)
        if isinstance(size, int) and size <= _MOST[kind]
    }
    values = iter(await _ask(redis, [command for key, kind in small.items() for command in _commands(key, kind)]))
    found = [_found(reader, key, kind, values) for key, kind in small.items()]
    return [one for one in found if one is not None]


_SIZES: Mapping[bytes, str] = {b"string": "STRLEN", b"hash": "HLEN", b"list": "LLEN"}
_MOST: Mapping[bytes, int] = {b"string": _LONGEST_TEXT, b"hash": _MOST_FIELDS, b"list": 1 << 62}


async def _ask(redis: Redis, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    pipe = redis.pipeline(transaction=False)
    for command in commands:
        pipe.execute_command(*command)
    return await pipe.execute(raise_on_error=False) if commands else []


def _commands(key: bytes, kind: bytes) -> list[tuple[Any, ...]]:
    if kind == b"string":
        return [("GET", key)]
    if kind == b"list":
        return [("LRANGE", key, 0, _LONGEST_LIST)]
    return [("HGETALL", key), ("LRANGE", key + _MESSAGES, 0, _LONGEST_LIST)]


def _found(reader: DialogReader, key: bytes, kind: bytes, values: Iterator[Any]) -> Stored | None:
    value = next(values)
    if kind == b"hash":
        messages = next(values)
        return StoredHash(reader, key, value, messages if isinstance(messages, list) else ()) if value else None
    if not isinstance(value, bytes | list) or not value:  # vanished, or of another type by now
        return None
    return StoredText(reader, key, value) if isinstance(value, bytes) else StoredList(reader, key, value)


def _talk(stored: Stored) -> Record | None:
    """The record, when somebody speaks in it or is named in it."""
    try:
        record = stored.read()
    except UnreadableRecord:
        return None
    says = record.messages or record.conversation_history
    return record if says or record.user_name or record.phone or record.email else None


def _best_prefix(groups: Sequence[_Group]) -> bytes | None:
    """The prefix with the most talks below it; of equal ones the longest."""
    weights: dict[bytes, float] = defaultdict(float)
    for group in groups:
        for prefix in _shorter(group.prefix):
            weights[prefix] += group.weight
    best = max(weights, key=lambda one: (weights[one], len(one)), default=None)
    return best if best is not None and weights[best] > 0 else None


def _shorter(prefix: bytes) -> Iterator[bytes]:
    """`a:b:` and `a:` of `a:b:`."""
    yield prefix
    for colon in re.finditer(rb":", prefix[:-1]):
        yield prefix[: colon.end()]


def _glob(prefix: bytes) -> str:
    text = prefix.decode(errors="replace")
    return re.sub(r"([*?\[\]\\^])", r"\\\1", text).replace("\ufffd", "?") + "*"


def _fields(talks: Iterable[Record]) -> Iterator[str]:
    """The names of what the talks hold; a name that may itself be data (a phone, a word of a language) is left out."""
    seen: Counter[str] = Counter()
    for one in talks:
        seen.update(name for name in _PLAIN if getattr(one, name))
        seen.update(f"metadata.{name}" for name, value in one.metadata.items() if _is_name(name) and value)
        seen.update(name for name, value in one.extra.items() if _is_name(name) and value)
    yield from (name for name in _PLAIN if seen[name])
    others = [(name, count) for name, count in seen.most_common() if name not in _PLAIN]
    yield from (name for name, _ in others)


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and _IDENTIFIER.fullmatch(name) is not None


def _sources(talks: Iterable[Record]) -> list[str]:
    counted = Counter(one.source for one in talks if _SOURCE.fullmatch(one.source))
    return [name for name, _ in counted.most_common(_MOST_SOURCES)]
