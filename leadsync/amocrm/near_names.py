"""Near names: which of the account's names somebody surely meant, and which one is the nearest. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache

LONGEST = 80
"""Characters of a name that are looked at; a longer one is no slip of the finger."""

ALIKE = 0.6
"""From which likeness on (difflib's ratio) a name is taken for the one that was meant."""

_LOOK_ALIKE = str.maketrans("abcehkmoptxy", "авсенкмортху")
_LOOK_ALIKE_CAPITALS = str.maketrans("ABCEHKMOPTXY", "АВСЕНКМОРТХУ")


def folded(name: str) -> str:
    """A name without upper case, double spaces and the two dots of ё: what is left is compared when nothing equals."""
    return " ".join(name.split()).casefold().replace("ё", "е")


def seen(name: str) -> str:
    """A name as the eye sees it: Latin letters that look Cyrillic are Cyrillic ones."""
    return name.translate(_LOOK_ALIKE).translate(_LOOK_ALIKE_CAPITALS)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that differs in case and spaces only, else the most like one; None when nothing comes close."""
    return _nearest(name[:LONGEST], tuple(known))


@lru_cache(maxsize=512)  # one wrong option in ten thousand records is looked for once
def _nearest(name: str, known: tuple[str, ...]) -> str | None:
    by_fold = {folded(one): one for one in reversed(known)}
    near = get_close_matches(folded(name), by_fold, n=1, cutoff=ALIKE)
    return by_fold[near[0]] if near else None


def meant(name: str, near: str, told: str = "") -> str:
    """The nearest name as the beginning of an advice: a question, or that only the spelling differs.

    `told` says which of the account's things that is.
    """
    if folded(name) == folded(near):
        return f"write «{near}»{told}, upper and lower case and spaces count;"
    if seen(name) == seen(near):
        return f"write «{near}»{told}, all in one alphabet: a Latin letter may look like a Cyrillic one;"
    return f"did you mean «{near}»{told}?"
