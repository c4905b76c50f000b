"""Shown keys: the key of a record as it may stand in a log.

A key is made by a mapping out of anything, a name or a phone too, and what bots call an id may be a phone as well. So
only what surely names no person is shown: a channel and numbers that are no phones. Of any other key a digest is, which
is the same for as long as the process lives, and which nobody can undo.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection
from hashlib import blake2b

from leadsync.mapping.contact_keys import phone_key

CHANNELS = frozenset({"telegram", "avito", "web", "whatsapp", "vk", "viber", "instagram", "facebook", "max", "push"})
"""Words that name a channel, where a key begins with one; others are the sources of a project."""

_SEPARATOR = re.compile(r"[:/|]")
_ID = re.compile(r"[0-9]{1,20}|[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_SALT = secrets.token_bytes(16)


def shown_key(key: str, country: str, sources: Collection[str] = ()) -> str:
    """A key as it is, or `#` and a digest of it. `country` reads phones, `sources` are words that name no person."""
    words = CHANNELS.union(sources)
    if all(part in words or _is_id(part, country) for part in _SEPARATOR.split(key)):
        return key
    return f"#{blake2b(key.encode('utf-8', 'replace'), key=_SALT, digest_size=6).hexdigest()}"


def _is_id(part: str, country: str) -> bool:
    return _ID.fullmatch(part) is not None and not _is_phone(part, country)


def _is_phone(part: str, country: str) -> bool:
    return part.isdecimal() and (phone_key(part, country) or phone_key(f"+{part}", country)) is not None
