"""Scanned: every key of a SCAN once, however often it comes, in little room."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from leadsync.sources.scanned import Scanned

KEYS = 50_000


@given(st.lists(st.lists(st.binary(max_size=2), max_size=20), max_size=8))
def test_each_key_comes_once(pages: list[list[bytes]]) -> None:
    """Whatever pages SCAN gives, each key is fresh the first time and never again, in the order of its coming."""
    scanned = Scanned()
    found = [key for page in pages for key in scanned.fresh(page)]
    assert found == list(dict.fromkeys(key for page in pages for key in page))


def test_many_keys_take_little_room() -> None:
    """No key is dropped for another that looks alike, and a key takes 40 bytes at most."""
    tracemalloc.start()
    try:
        scanned = Scanned()
        for start in range(0, KEYS, 500):
            page = [b"dialog:%d" % number for number in range(start, start + 500)]
            assert scanned.fresh(page) == page
            assert scanned.fresh(page[:1]) == []
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    empty = 8 * 65536
    assert held - empty < 40 * KEYS
