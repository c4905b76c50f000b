"""Selection: which records of a source are meant."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records of a source: at most `limit`; only those whose key or place is in `only`, unless it is None.

    `whole`: as one chunk sorted by key, whatever the order of the source; a `limit` then takes the first keys.
    """

    limit: int | None = None
    only: Collection[str] | None = None
    whole: bool = False

    def has(self, *names: str) -> bool:
        """Whether a record of this key or place is meant."""
        return self.only is None or any(name in self.only for name in names)


EVERYTHING = Selection()
