"""Near users: whom somebody surely meant by a name or an e-mail that no user of the account has. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from leadsync.amocrm.entries import User
from leadsync.amocrm.near_names import folded, meant, nearest

MOST = 3
"""Users that are named when several are as near."""


def near_user(name: str, users: Iterable[User]) -> str | None:
    """The nearest active user as the beginning of an advice; None when nobody comes close, or has that very name.

    A first name, a surname or what stands before the @ is near enough, also as a word of a longer name. Only for what a
    file of the project says: of a record's own text nothing is told.
    """
    known = list(users)
    if any(name in (str(one.id), one.name.strip()) or name.lower() == one.email.lower() for one in known):
        return None
    before, at, _ = name.partition("@")
    spelled: dict[str, list[User]] = defaultdict(list)
    for one in known:
        for text in _spellings(one, is_mail=bool(at)) if one.is_active else ():
            spelled[text].append(one)
    words = set(folded(before).split())
    near = nearest(before, spelled) or next((one for one in spelled if folded(one) in words), None)
    if near is None:
        return None
    found = list(dict.fromkeys(spelled[near]))
    if folded(name) == folded(found[0].name):
        return meant(name, found[0].name, f" ({_which(found[0])})")
    return f"did you mean {' or '.join(f'«{one.name}» ({_which(one)})' for one in found[:MOST])}?"


def _spellings(user: User, *, is_mail: bool) -> Iterator[str]:
    """What is compared: of an e-mail what stands before the @, for a firm's addresses all end alike."""
    words = () if is_mail else (user.name, *user.name.split())
    yield from dict.fromkeys(filter(None, (user.email.partition("@")[0], *words)))


def _which(user: User) -> str:
    return f"{user.email}, id {user.id}" if user.email else f"id {user.id}"
