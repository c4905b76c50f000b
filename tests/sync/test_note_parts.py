"""A long talk as several notes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from leadsync.sync.payload import NOTE_LIMIT, split_note


def test_a_text_within_the_limit_stays_whole() -> None:
    """Exactly 20 000 characters are one note without a number."""
    assert split_note("я" * NOTE_LIMIT) == ["я" * NOTE_LIMIT]


def test_a_longer_text_is_numbered_parts() -> None:
    """One character more makes two numbered parts, each within the limit."""
    parts = split_note("я" * (NOTE_LIMIT + 1))
    assert [part[:6] for part in parts] == ["(1/2)\n", "(2/2)\n"]
    assert all(len(part) <= NOTE_LIMIT for part in parts)


@given(st.text(st.sampled_from("аб \n"), max_size=300), st.integers(30, 60))
def test_nothing_is_lost_between_parts(text: str, limit: int) -> None:
    """The parts without their numbers are the text."""
    parts = split_note(text, limit)
    bare = [part.split("\n", 1)[1] for part in parts] if len(parts) > 1 else parts
    assert "".join(bare) == text
    assert all(len(part) <= limit for part in parts)
