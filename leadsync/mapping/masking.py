"""Masking: a real record made fit for a repository: who it is about is replaced, the same everywhere, the rest stays.

A best effort: what is recognised is what the record itself calls a name, a phone, an e-mail, a login and the like, what
its mapping makes one of, and what looks like a phone, an e-mail, a card or a handle in its texts. The same record
always gives the same masked one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from leadsync.mapping.masked_names import NameMask
from leadsync.mapping.masked_numbers import MAIL, NUMBER, NumberMask
from leadsync.mapping.personal_keys import Kind, kind_below, kind_of_key

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_LINK = r"(?:t(?:elegram)?\.me|vk\.com|wa\.me|instagram\.com|facebook\.com|ok\.ru|viber\.click)/[^\s<>\"'«»,;]+"
_HANDLE = r"(?<![\w@])@\w{2,}"
_INTRODUCED = re.compile(r"(?:(?i:меня зовут|мо[её] имя|my name is|i am called))[\s:—-]+((?:[^\W\d_]+[ -]?){1,3})")
_SHORTEST = 3
"""Characters of a login that is looked for inside texts; a shorter one would be found in too many words."""

_KEPT_TEXTS = frozenset({"at", "role", "updated_at"})


def mask_record(record: Mapping[str, Any], *, country: str, known: Iterable[tuple[Kind, str]] = ()) -> dict[str, Any]:
    """The record (plain JSON data, in the shape of every source) with everything personal replaced; `known` are texts
    in it that are personal though their keys do not say so.

    Phones become valid ones of the same country, in the spelling they had; `country` reads those without a code.
    """
    return _Mask(record, country, known).record()


class _Mask:
    """Learns first what is personal in the whole record, then replaces it wherever it stands, in one pass a text."""

    def __init__(self, record: Mapping[str, Any], country: str, known: Iterable[tuple[Kind, str]]) -> None:
        self._record = record
        self._mails: dict[str, str] = {}
        self._words: dict[str, str] = {}
        self._names = NameMask()
        self._numbers = NumberMask(country, keep=str(record.get("budget") or ""))
        self._learn([*_leaves(record, None), *known])
        self._pattern = self._compiled()

    def record(self) -> dict[str, Any]:
        """The masked record."""
        return {name: self._value(name, value, None) for name, value in self._record.items()}

    # Learning

    def _learn(self, leaves: Iterable[tuple[Kind | None, str]]) -> None:
        texts = []
        for kind, written in leaves:
            text = _plain(written)
            if kind is Kind.NAME:
                self._names.learn(text)
            elif kind is Kind.LOGIN and len(text.strip().lstrip("@")) >= _SHORTEST and not NUMBER.fullmatch(text):
                self._words.setdefault(text.strip().lstrip("@").casefold(), f"user{len(self._words) + 1}")
            elif kind is Kind.PHONE:
                self._numbers.learn(text)
            elif kind is Kind.OTHER and len(text.strip()) >= _SHORTEST and not NUMBER.fullmatch(text.strip()):
                self._words.setdefault(text.strip().casefold(), f"masked{len(self._words) + 1}")
            texts.append(text)
        for text in texts:
            self._numbers.find(text)
            for found in _INTRODUCED.finditer(text):
                self._names.learn_introduced(found[1])

    def _compiled(self) -> re.Pattern[str]:
        words = sorted((re.escape(word) for word in self._words), key=len, reverse=True)
        parts = {"mail": MAIL, "link": _LINK, "handle": _HANDLE}
        parts |= {"word": rf"(?<!\w)(?:{'|'.join(words)})(?!\w)"} if words else {}
        parts |= {"number": NUMBER.pattern}
        parts |= {"name": self._names.pattern} if self._names.pattern else {}
        return re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in parts.items()), re.IGNORECASE)

    # Replacing

    def _value(self, key: str, value: Any, above: Kind | None) -> Any:
        if key in _KEPT_TEXTS and isinstance(value, str):
            return value
        kind = above or kind_of_key(key)
        if isinstance(value, Mapping):
            below = kind_below(kind)
            return {self._key(name): self._value(str(name), inner, below) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._value(key, inner, kind) for inner in value]
        if isinstance(value, str):
            return self._text(_plain(value), kind)
        if isinstance(value, int | float) and not isinstance(value, bool) and key != "budget":
            return self._numbers.number(value, personal=kind is not None)
        return value

    def _key(self, name: Any) -> str:
        """A key of the data, which may be a phone or an e-mail itself."""
        return self._pattern.sub(lambda found: found[0] if found.lastgroup == "name" else self._put(found), str(name))

    def _text(self, text: str, kind: Kind | None) -> str:
        bare = text.strip()
        if kind is Kind.NAME and "@" not in text and not NUMBER.search(text):
            return self._names.whole(text)
        if kind in (Kind.LOGIN, Kind.OTHER) and (word := self._words.get(bare.lstrip("@").casefold())):
            return f"@{word}" if bare.startswith("@") else word
        if kind in (Kind.LOGIN, Kind.OTHER) and bare and not NUMBER.fullmatch(bare):
            return "masked"
        if kind in (Kind.PHONE, Kind.LOGIN, Kind.OTHER) and NUMBER.fullmatch(bare):
            return self._numbers.personal(text)
        return self._replaced(text)

    def _replaced(self, text: str) -> str:
        return self._pattern.sub(self._put, text)

    def _put(self, found: re.Match[str]) -> str:
        replace: dict[str, Callable[[str], str]] = {
            "mail": self._mail,
            "link": lambda text: f"{text.partition('/')[0]}/{self._word(text.rpartition('/')[2])}",
            "handle": lambda text: f"@{self._word(text[1:])}",
            "word": lambda text: self._words[text.casefold()],
            "number": lambda text: self._numbers.replaced(text, found.string[found.end() : found.end() + 10]),
            "name": self._names.replaced,
        }
        return replace[str(found.lastgroup)](found[0])

    def _mail(self, text: str) -> str:
        return self._mails.setdefault(text.casefold(), f"user{len(self._mails) + 1}@example.com")

    def _word(self, text: str) -> str:
        return self._words.setdefault(text.casefold(), f"user{len(self._words) + 1}")


def _plain(text: str) -> str:
    """Without the characters nobody sees, which may stand amid a phone or a name, and with each letter in one piece."""
    return unicodedata.normalize("NFC", _INVISIBLE.sub("", text))


def _leaves(value: Any, kind: Kind | None) -> Iterator[tuple[Kind | None, str]]:
    """Every text and number of a record, with what its key (or one above it) says it is."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield None, str(name)
            yield from _leaves(inner, kind_below(kind) or kind_of_key(str(name)))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner, kind)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield kind, str(value)
