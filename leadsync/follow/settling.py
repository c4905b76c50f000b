"""Settling: talks that are waited for until nothing was said in them for a while.

Of a waiting talk only its name, its place, a digest and the time of its last change are in memory, none of its text;
after a crash it is found again in its source.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from leadsync.sources.base import RawRecord

MOST_EARLY = 10_000
"""Talks of which is known that they were sent early."""

FORGOTTEN = 3600.0
"""Seconds after which a talk that nobody came across any more is not waited for."""


@dataclass(slots=True)
class _Wait:
    place: str
    fingerprint: bytes
    since: float
    met: float


@dataclass(slots=True)
class Settling:
    """The talks of one source that wait. `seconds` is how long a talk must be quiet; `clock` gives unix seconds."""

    seconds: float
    clock: Callable[[], float]
    _waiting: dict[str, _Wait] = field(default_factory=dict)
    _early: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._waiting)

    def meet(self, raw: RawRecord) -> tuple[bool, str | None]:
        """A record was come across: whether its talk is quiet, and the place of the one it has replaced, if any."""
        now, fingerprint = self.clock(), raw.fingerprint()
        known = self._waiting.get(raw.talk)
        replaced = known.place if known is not None and known.place != raw.place else None
        if known is None or known.fingerprint != fingerprint or replaced is not None:
            written = raw.written_at()
            since = now if written is None else min(now, written)
            known = self._waiting[raw.talk] = _Wait(raw.place, fingerprint, since, now)
        known.met = now
        return now - known.since >= self.seconds, replaced

    def is_early(self, raw: RawRecord) -> bool:
        """Whether the talk may be sent early: it was not before. What is said later waits again."""
        if raw.talk in self._early:
            return False
        self._early[raw.talk] = None
        while len(self._early) > MOST_EARLY:
            self._early.popitem(last=False)
        return True

    def is_waiting(self, raw: RawRecord) -> bool:
        """Whether this very record is waited for."""
        known = self._waiting.get(raw.talk)
        return known is not None and known.place == raw.place

    def forget(self, talk: str) -> None:
        """This talk waits no longer."""
        self._waiting.pop(talk, None)

    def due(self) -> dict[str, str]:
        """The talks whose time has come, with their places; those that nobody comes across any more are forgotten."""
        now = self.clock()
        for talk in [talk for talk, one in self._waiting.items() if now - one.met > max(FORGOTTEN, 2 * self.seconds)]:
            del self._waiting[talk]
        return {talk: one.place for talk, one in self._waiting.items() if now - one.since >= self.seconds}

    def until_due(self) -> float:
        """Seconds until the next talk may be quiet, at most a minute."""
        now = self.clock()
        return min((one.since + self.seconds - now for one in self._waiting.values()), default=60.0)

    def drop_missing(self, due: Sequence[str], found: Sequence[RawRecord]) -> list[str]:
        """Forget those of the due talks that are not in their places any more; their places."""
        there = {one.talk for one in found}
        gone = [talk for talk in due if talk not in there]
        return [self._waiting.pop(talk).place for talk in gone if talk in self._waiting]
