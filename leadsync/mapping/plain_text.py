"""The filters `plain` and `truncate_words`: text without its markup, and less of it."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

_DROPPED = re.compile(r"<(script|style)\b[^>]*>.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
_BREAK = re.compile(r"<(?:br|/p|/div|/li|/tr|/h[1-6])\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z][^<>]*>", re.IGNORECASE)
_LINK = re.compile(r"!?\[([^\[\]\n]{0,500})\]\((https?://[^()\s]{1,2000})\)")
_EMPHASIS = re.compile(r"(\*\*|__|~~|`)(?=\S)([^\n]{1,2000}?)(?<=\S)\1")
_EMPTY_LINES = re.compile(r"[ \t]*\n[ \t]*(?:\n[ \t]*)+")


def plain(value: Any) -> str:
    """A text without HTML and the commonest Markdown; `&amp;` and the like become what they mean.

    A lone `<` stays (`a < b`); line breaks and paragraphs become new lines; a Markdown link keeps its address.
    """
    if value is None:
        return ""
    text = _BREAK.sub("\n", _DROPPED.sub("", str(value)))
    text = _EMPHASIS.sub(r"\2", _LINK.sub(r"\1 (\2)", _TAG.sub("", text)))
    return _EMPTY_LINES.sub("\n\n", unescape(text).replace("\xa0", " ")).strip()


def truncate_words(value: Any, count: int = 30, end: str = "…") -> str:
    """The first `count` words; `end` follows when something was left out. Shorter texts stay as they are."""
    text = "" if value is None else str(value)
    words = text.split(None, count)
    if len(words) <= count:
        return text
    kept = text[: len(text) - len(words[count])].rstrip() if count > 0 else ""
    return kept.rstrip(".,;:!? ") + end
