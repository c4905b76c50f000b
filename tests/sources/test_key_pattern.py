"""Key patterns: what a glob says about a key."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from leadsync.sources.key_pattern import KeyPattern


@pytest.mark.parametrize(
    ("glob", "key", "stars"),
    [
        ("dialog:*", "dialog:42", ("42",)),
        ("dialog:*", "dialog:telegram:42", ("telegram:42",)),
        ("dialog:*", "dialog:", ("",)),
        ("dialog:*:*", "dialog:telegram:42:7", ("telegram", "42:7")),
        ("*:dialog", "a:dialog:dialog", ("a:dialog",)),
        ("d?alog:*", "dialog:42", ("42",)),
        ("d[aeiou]alog:*", "dialog:42", ("42",)),
        ("d[^xyz]alog:*", "dialog:42", ("42",)),
        ("d[a-z]alog:**", "dialog:42", ("42",)),
        ("dialog\\*:*", "dialog*:42", ("42",)),
        ("[[]x]:*", "[x]:42", ("42",)),
        ("dialog", "dialog", ("dialog",)),
        ("dialog:*", "dialog:a\nb", ("a\nb",)),
    ],
)
async def test_a_glob_matches_as_redis_does(redis: Redis, glob: str, key: str, stars: tuple[str, ...]) -> None:
    """What Redis finds by a glob, the pattern takes apart; the last star takes as much as it can."""
    await redis.set(key, "")
    assert await redis.keys(glob) == [key.encode()]
    assert KeyPattern.of(glob).stars(key) == stars


def test_a_key_that_does_not_match_is_its_own_id() -> None:
    """Nothing is lost over a glob that is read in another way than Redis reads it."""
    assert KeyPattern.of("a[]b*").stars("other") == ("other",)
    assert KeyPattern.of("dialog:\\").stars("dialog:\\") == ("dialog:\\",)


@pytest.mark.parametrize(
    ("glob", "source", "identity"),
    [
        ("dialog:*", None, ("web:42", None)),
        ("dialog:*", "web", ("web:42", "web")),
        ("dialog:*:*", None, ("42", "web")),
        ("dialog:*:*", "web", ("42", "web")),
        ("dialog:*:*", "avito", ("web:42", "avito")),
        ("*:*:*", None, ("dialog:web:42", None)),
    ],
)
def test_identity(glob: str, source: str | None, identity: tuple[str, str | None]) -> None:
    """One star is the id; two are source and id, unless the record names another source."""
    assert KeyPattern.of(glob).identity("dialog:web:42", source) == identity
