"""Key field: the text in which a lead holds the keys of its talks, one after another. Pure.

`telegram:1 + avito:7` reads well for whoever opens the lead, and the keys that mappings build (`{{ source }}:{{ id }}`)
hold no plus between two spaces.
"""

from __future__ import annotations

SEPARATOR = " + "


def with_key(text: str, key: str) -> str:
    """The text with one more key at its end."""
    return f"{text}{SEPARATOR}{key}" if text else key


def keys_of(text: str) -> list[str]:
    """The keys of the talks that share a lead, in the order in which they came; one for a lead of a single talk."""
    return list(dict.fromkeys(part for one in text.split(SEPARATOR) if (part := one.strip())))


def holds_key(text: str, key: str) -> bool:
    """Whether a text names a key: as a whole, as a key may hold the separator itself, or among others."""
    return text.strip() == key or key in keys_of(text)
