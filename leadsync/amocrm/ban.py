"""Ban: while amoCRM blocks an account, whoever goes on asking makes it last; one request looks whether it is over."""

from __future__ import annotations

import time
from collections.abc import Callable

from leadsync.errors import AmoCRMAPIError, AmoCRMBanned

PAUSE = 300.0
"""Seconds between two looks: a ban is no matter of minutes, and each request may prolong it."""


class Ban:
    """What all clients of an account in a process know of a ban; handed to each of them.

    After an answer that says so nothing is sent for `pause` seconds: every request raises AmoCRMBanned at once. Then
    one goes out, and its answer ends the ban or prolongs it.
    """

    def __init__(self, pause: float = PAUSE, clock: Callable[[], float] = time.monotonic) -> None:
        self._pause = pause
        self._clock = clock
        self._said: AmoCRMBanned | None = None
        self._until = 0.0

    def check(self) -> None:
        """To be called before a request is sent. Raises AmoCRMBanned when it must not be."""
        if self._said is None:
            return
        if self._clock() < self._until:
            do = f"write to amoCRM's support; it is tried again every {self._pause / 60:g} minutes"
            raise AmoCRMBanned(self._said.what, status=self._said.status, do=do)
        self._begin()  # for all but this one

    def heard(self, error: AmoCRMAPIError | None) -> None:
        """An answer came: good (None), or this error."""
        if isinstance(error, AmoCRMBanned):
            self._said = error
            self._begin()
        elif error is None or (error.status or 500) < 500:
            self.lift()

    def lift(self) -> None:
        """Somebody has done something about it: let the next request find out."""
        self._said = None

    def _begin(self) -> None:
        self._until = self._clock() + self._pause
