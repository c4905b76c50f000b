"""Pace: how many lanes are of use.

One lane gathers what comes while its requests are under way, and so needs the fewest of them. Others help only where
the budget has room while amoCRM thinks: with a budget that is used up they would stand in each other's way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from leadsync.events import Event, RequestFinished
from leadsync.lanes import MOST

SMOOTHING = 0.1
"""How much of the mean the newest answer's time makes."""


@dataclass(slots=True)
class Pace:
    """A listener: `rate` is the budget's requests per second, `seconds` how long an answer takes."""

    rate: float
    seconds: float = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, RequestFinished):
            self.seconds += SMOOTHING * (event.seconds - self.seconds)

    @property
    def lanes(self) -> int:
        """As many as it takes to use the budget, from 1 to MOST."""
        return max(1, min(MOST, math.ceil(self.seconds * self.rate)))
