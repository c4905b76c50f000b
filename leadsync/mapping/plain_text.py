"""The filters `plain` and `truncate_words`: text without its markup, and less of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

_UNSEEN = (
    (re.compile(r"<script\b[^<>]*>", re.IGNORECASE), re.compile(r"</script\s*>", re.IGNORECASE)),
    (re.compile(r"<style\b[^<>]*>", re.IGNORECASE), re.compile(r"</style\s*>", re.IGNORECASE)),
    (re.compile(r"<!--"), re.compile(r"-->")),
)
_BREAK = re.compile(r"<(?:br|/p|/div|/li|/tr|/h[1-6])\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z][^<>]*>", re.IGNORECASE)
_LINK = re.compile(r"!?\[([^\[\]\n]*)\]\((https?://[^()\s]+)\)")
_EMPHASIS = re.compile(
    r"\*\*(?=\S)([^*\n]+)(?<=\S)\*\*|~~(?=\S)([^~\n]+)(?<=\S)~~|`([^`\n]+)`|(?<!\w)__(?=\S)([^_\n]+)(?<=\S)__(?!\w)"
)
_EMPTY_LINES = re.compile(r"\n{3,}")


def plain(value: Any) -> str:
    """A text without HTML and the commonest Markdown; `&amp;` and the like become what they mean.

    A lone `<` stays (`a < b`); line breaks and paragraphs become new lines; a Markdown link keeps its address.
    """
    text = "" if value is None else str(value)
    for begin, end in _UNSEEN:
        text = "".join(_outside(text, begin, end))
    text = _TAG.sub("", _BREAK.sub("\n", text))
    text = _EMPHASIS.sub(lambda match: match[match.lastindex or 0], _LINK.sub(r"\1 (\2)", text))
    lines = unescape(text).replace("\xa0", " ").splitlines()
    return _EMPTY_LINES.sub("\n\n", "\n".join(line.rstrip() for line in lines)).strip()


def _outside(text: str, begin: re.Pattern[str], end: re.Pattern[str]) -> Iterator[str]:
    """What stands outside of `begin … end`; a beginning without an end stays. One pass, whatever the text."""
    at = 0
    while opening := begin.search(text, at):
        closing = end.search(text, opening.end())
        if closing is None:
            break
        yield text[at : opening.start()]
        at = closing.end()
    yield text[at:]


def truncate_words(value: Any, count: int = 30, end: str = "…") -> str:
    """The first `count` words; `end` follows when something was left out. Shorter texts stay as they are."""
    text = "" if value is None else str(value)
    words = text.split(None, count)
    if len(words) <= count:
        return text
    kept = text[: len(text) - len(words[count])].rstrip() if count > 0 else ""
    return kept.rstrip(".,;:!? ") + end
