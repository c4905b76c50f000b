"""Sent words: what a request held, so that amoCRM's answer to it can be shown without repeating any of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import orjson

_WORD = re.compile(r"\w(?:[\w.@+-]*\w)?")
_SHORTEST = 3
"""Letters of a word that is cut out; shorter ones say nothing, and stand in every sentence."""

_OURS = frozenset({"request_id", "field_code", "enum_code", "note_type", "to_entity_type", "grant_type"})
"""Keys whose values are words of the API's own."""


def sent_words(response: httpx.Response) -> frozenset[str]:
    """The words of the values that the request of an answer held: in its body, its query, its authorization."""
    try:
        request = response.request
        body = orjson.loads(request.content) if request.content else None
    except (RuntimeError, orjson.JSONDecodeError):  # an answer without a request, or one whose body is no JSON
        return frozenset()
    texts = [*_texts(body), *request.url.params.values(), request.headers.get("Authorization", "")]
    return frozenset(word for text in texts for word in _WORD.findall(text) if len(word) >= _SHORTEST)


def without_words(text: str, words: frozenset[str]) -> str:
    """A text in which `…` stands for each of these words."""
    return _WORD.sub(lambda found: "…" if found[0] in words else found[0], text)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in _OURS:
                yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value
