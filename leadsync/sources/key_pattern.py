"""What a Redis key says about its record: the glob's stars give the id, and with two stars the source too."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(r"\\.|\[\^?(?:\\.|[^\]])*\]|\*+|\?|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class KeyPattern:
    """A Redis glob, and what its stars matched in a key."""

    glob: str
    regex: re.Pattern[str]

    @classmethod
    def of(cls, glob: str) -> KeyPattern:
        """Read a glob as Redis does: `*`, `?`, `[abc]`, `[^a]`, `[a-z]` and a backslash before a literal."""
        tokens = _TOKEN.findall(glob)
        last = max((at for at, token in enumerate(tokens) if token.startswith("*")), default=-1)
        parts = [_as_regex(token, greedy=at == last) for at, token in enumerate(tokens)]
        return cls(glob, re.compile("".join(parts), re.DOTALL))

    def has(self, key: bytes) -> bool:
        """Whether the glob matches this key."""
        return self.regex.fullmatch(key.decode(errors="surrogateescape")) is not None

    def stars(self, key: str) -> tuple[str, ...]:
        """What each star matched, the last one as much as it can; the whole key for a glob without stars."""
        match = self.regex.fullmatch(key)
        return match.groups() if match and match.groups() else (key,)

    def identity(self, key: str, source: str | None) -> tuple[str, str | None]:
        """The record's id and source, when the record itself names `source` (or None).

        One star: it is the id. Two stars (`dialog:*:*`): the first is the source and the second the id; when the record
        names another source, the id is both, joined by a colon, so that no two keys become one record.
        """
        stars = self.stars(key)
        if len(stars) == 2 and source in (None, stars[0]):
            return stars[1], stars[0]
        return ":".join(stars), source


def _as_regex(token: str, *, greedy: bool) -> str:
    if token.startswith("*"):
        return "(.*)" if greedy else "(.*?)"
    if token == "?":
        return "."
    if token.startswith("[") and len(token) > 1:
        inner = token[1:-1].replace("[", r"\[").replace("&&", r"&\&").replace("||", r"|\|").replace("~~", r"~\~")
        return f"[{inner}]" if inner.strip("^") else "(?!)"
    return re.escape(token[1:] if token.startswith("\\") and len(token) > 1 else token)
