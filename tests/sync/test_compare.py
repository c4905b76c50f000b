"""One value: what the record wants, what we wrote, what the CRM holds."""

from __future__ import annotations

import pytest

from leadsync.mapping.desired import WriteMode
from leadsync.sync.compare import Verdict, compare, mark
from leadsync.sync.resolve import Value


def value(text: str, write: WriteMode = "update") -> Value:
    return Value("name", "name", text, text, {"name": text}, write)


OURS, OTHERS = mark(value("old"), "a"), mark(value("old"), "b")


@pytest.mark.parametrize(
    ("write", "current", "wrote", "verdict"),
    [
        ("update", "new", OURS, "same"),
        ("update", "old", OURS, "set"),
        ("update", "edited", OURS, "kept"),
        ("update", None, OURS, "kept"),
        ("update", None, None, "set"),
        ("update", "somebody's", None, "kept"),
        ("update", "old", OTHERS, "kept"),
        ("create", "old", OURS, "left"),
        ("create", None, None, "left"),
        ("overwrite", "edited", OURS, "set"),
        ("overwrite", "somebody's", None, "set"),
        ("overwrite", "new", None, "same"),
    ],
)
def test_verdict(write: WriteMode, current: str | None, wrote: str | None, verdict: Verdict) -> None:
    """A person's edit wins, another record's value stays, `create` never comes back, `overwrite` always does."""
    assert compare(value("new", write), current, wrote, "a") == verdict
