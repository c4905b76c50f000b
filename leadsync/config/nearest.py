"""Did you mean: the valid name nearest to the one somebody wrote."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

LONGEST = 80
"""Characters of a name that are looked at; a longer one is no slip of the finger."""


def nearest(written: str, valid: Iterable[str]) -> str | None:
    """The valid name most like `written`, whatever its case; None when nothing comes close."""
    by_folded = {name.casefold(): name for name in valid}
    found = get_close_matches(written[:LONGEST].casefold(), by_folded, n=1)
    return by_folded[found[0]] if found else None


def advice(written: str | None, valid: Iterable[str], otherwise: str = "one of") -> str | None:
    """`did you mean X?`, or the list of what is valid when nothing is near; None when nothing is valid at all."""
    names = sorted(set(valid))
    near = nearest(written, names) if written is not None else None
    if near is not None:
        return f"did you mean {near}?"
    return f"{otherwise}: {', '.join(names)}" if names else None
