"""Amounts: how many things wait for something, and since when."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """So many things wait, the oldest since `since` (unix seconds); None when there is none."""

    count: int = 0
    since: float | None = None

    def age(self, now: float) -> float:
        """Seconds for which the oldest waits; 0 when nothing does."""
        return 0.0 if self.since is None else max(0.0, now - self.since)
