"""Merging: two pushes of one talk as one, as if they had gone into the CRM one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson


def merged(older: Mapping[str, Any], newer: Mapping[str, Any]) -> dict[str, Any]:
    """What the newer push does not say stays as the older said it; messages, history and metadata add up.

    A bot may push the whole talk every time, or each message by itself: a message of both stands there once, and so
    does a line of both histories.
    """
    both = {**older, **{name: value for name, value in newer.items() if value not in (None, "")}}
    was, now = older.get("messages"), newer.get("messages")
    if isinstance(was, list) and isinstance(now, list):
        known = {_digest(one) for one in now}
        both["messages"] = [one for one in was if _digest(one) not in known] + now
    was, now = older.get("conversation_history"), newer.get("conversation_history")
    if isinstance(was, str) and isinstance(now, str):
        both["conversation_history"] = _one_history(was, now)
    if isinstance(was := older.get("metadata"), Mapping) and isinstance(now := newer.get("metadata"), Mapping):
        both["metadata"] = {**was, **now}
    return both


def _one_history(older: str, newer: str) -> str:
    """Lines of the older history that the newer does not have, before it; it may have grown within a line."""
    if newer.strip().startswith(older.strip()):
        return newer
    known = {line.strip() for line in newer.splitlines()}
    gone = [line for line in older.splitlines() if line.strip() and line.strip() not in known]
    return "\n".join([*gone, newer] if newer.strip() else gone)


def _digest(message: Any) -> bytes:
    return orjson.dumps(message, default=str, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
