"""Redis's clock read from here: between two bounds, because nobody knows when an answer was written."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

DRIFT = 0.001
"""Seconds per second by which two clocks part at most; NTP turns a clock by half of that."""


class RedisClock:
    """How far Redis's clock is from this process's, from the answers that told its time.

    The quickest answer tells most, and it keeps its worth: a later one that took long (a busy event loop, a slow
    network) does not blur it. Times are seconds; `ticks` is this process's monotonic clock.
    """

    def __init__(self, ticks: Callable[[], float] = time.monotonic) -> None:
        self.ticks = ticks
        self._least = -math.inf
        self._most = math.inf
        self._seen = 0.0

    def observe(self, asked: float, told: float) -> None:
        """Redis said `told`, at some moment between `asked` (on our clock) and now."""
        answered = self.ticks()
        parted = DRIFT * (answered - self._seen)
        least, most = max(self._least - parted, asked - told), min(self._most + parted, answered - told)
        if least > most:  # somebody has set a clock: what was known is void
            least, most = asked - told, answered - told
        self._least, self._most, self._seen = least, most, answered

    @property
    def blur(self) -> float:
        """Seconds between what Redis's clock may show at least and at most; 0 as long as it was never asked."""
        return self._most - self._least if self._most < math.inf else 0.0

    def until(self, moment: float) -> float:
        """Seconds until Redis's clock surely shows `moment`; negative when it has passed."""
        return moment + self._most - self.ticks()

    def since(self, moment: float) -> float:
        """Seconds since Redis's clock showed `moment`, at most."""
        return self.ticks() - moment - self._least
