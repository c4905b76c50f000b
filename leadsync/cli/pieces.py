"""Pieces of a large result, written as they are made."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

import orjson

from leadsync.cli.streams import RESULTS, takes_unicode

_UTF_8 = ("utf-8", "utf8")


def dumped(value: Any) -> bytes:
    """JSON in one line; where stdout has no Unicode, with escapes."""
    raw = orjson.dumps(value)
    return raw if takes_unicode() else json.dumps(orjson.loads(raw)).encode()


def print_pieces(parts: Iterable[str | bytes]) -> None:
    """Write texts, or what is UTF-8 already, to stdout: past its own encoder, which takes longer than all the rest."""
    whole = b"".join([one if isinstance(one, bytes) else one.encode("utf-8", "replace") for one in parts])
    RESULTS.begun = True
    binary = getattr(sys.stdout, "buffer", None)  # a stream in memory has none
    if binary is None or (sys.stdout.encoding or "").lower() not in _UTF_8:
        sys.stdout.write(whole.decode())
        return
    sys.stdout.flush()
    left = memoryview(whole)
    while left:  # an unbuffered stdout (PYTHONUNBUFFERED) may take less than it is given
        left = left[binary.write(left) :]
