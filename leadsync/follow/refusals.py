"""Refusals: records that were refused as they are, so that they are not tried again with every look at their source."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field

MOST = 50_000

AGAIN = 3600.0
"""Seconds after which a refused record that did not change is tried again: somebody may have mended the account."""


@dataclass(slots=True)
class Refusals:
    """Marks of refused records (state.seen), 16 bytes each; gone with the process and with every change of mappings."""

    _until: OrderedDict[bytes, tuple[bytes, float]] = field(default_factory=OrderedDict)

    def add(self, mark: bytes) -> None:
        """This record was refused with these bytes."""
        self._until[mark[:8]] = (mark[8:], time.monotonic() + AGAIN)
        self._until.move_to_end(mark[:8])
        while len(self._until) > MOST:
            self._until.popitem(last=False)

    def has(self, mark: bytes) -> bool:
        """Whether it was refused with these bytes a short while ago."""
        fingerprint, until = self._until.get(mark[:8], (b"", 0.0))
        return fingerprint == mark[8:] and time.monotonic() < until
