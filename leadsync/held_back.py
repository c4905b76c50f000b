"""Held back: what is kept of pushed talks goes along with the next push, and goes when it has gone in.

A push may wait, for amoCRM was in trouble, or be refused for what it says. The next one of its talk may say what was
missing, so all of it is tried together first; what is wrong with an earlier push keeps no later one from going in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

from leadsync.done import Done
from leadsync.errors import RecordError
from leadsync.intake import Intake, Skipped, Taken, keepable
from leadsync.merging import merged
from leadsync.records import Record
from leadsync.state.refused import Refused, RefusedRecords, Sealed, is_pushed, pushed_place

MESSAGES = ("messages", "conversation_history")
"""Parts of a record that add up: what was noted once is known, and not noted again."""

ENOUGH = 2
"""Talks of which amoCRM took none, one after the other, after which it is not the talks that are to blame."""


class Losses:
    """Pushes whose writes failed again and again though amoCRM answers questions: it is to blame, or the talk."""

    def __init__(self) -> None:
        self._keys: set[str] = set()

    def heard(self, done: Done) -> str | None:
        """What became of a push that went out; why amoCRM takes none, once it took none of ENOUGH talks in a row."""
        if done.outcome in ("create", "update"):
            self._keys.clear()
        if not is_held_back(done):
            return None
        if len(self._keys) < ENOUGH:
            self._keys.add(done.key)
        return done.refused[0].reason if len(self._keys) == ENOUGH else None


def is_held_back(done: Done) -> bool:
    """Whether a record failed through no fault of its own, and may go through later as it is."""
    return done.outcome == "failed" and done.remedy is not None and not done.remedy.blames_record


def is_at_fault(done: Done) -> bool:
    """Whether a record failed for what it says, or its mapping."""
    return done.remedy is not None and done.remedy.blames_record


@dataclass(slots=True)
class Joined:
    """Pushes with what is kept of their talks: what is `going`, what has `ended` meanwhile, and, by key, with how much
    `less` one may go in whose whole is refused."""

    going: list[Taken] = field(default_factory=list)
    ended: list[Done] = field(default_factory=list)
    less: dict[str, list[Taken]] = field(default_factory=dict)

    def first(self, tries: Sequence[Taken]) -> Taken:
        """The first of some tries; the others are for when it is refused."""
        first, *less = tries
        self.less[first.key] = less
        return replace(first, on_trial=bool(less)) if first.on_trial != bool(less) else first

    def again(self, done: Iterable[Done]) -> list[Taken]:
        """What to try in place of those that are at fault."""
        tries = [self.less.get(one.key, []) for one in done if is_at_fault(one)]
        return [self.first(less) for less in tries if less]


async def with_held_back(refused: RefusedRecords, intake: Intake, taken: Sequence[Taken], zone: ZoneInfo) -> Joined:
    """Records that are to go in, the pushed ones with what is kept of their talks; one that was kept itself and is not
    any more has ended: others brought it in, or gave it up.

    To be called under their claims. Raises StateUnavailable.
    """
    names = {one.key: {one.key, one.place, one.kept or one.key} for one in taken if one.pushed is not None}
    found = await refused.find(sorted({name for some in names.values() for name in some}))
    joined = Joined()
    for one in taken:
        if one.kept is not None and one.kept not in found:
            joined.ended.append(Done(one.key, one.place, "unchanged"))
            continue
        kept = [found[name] for name in names.get(one.key, ()) if name in found and is_pushed(found[name].place)]
        joined.going.append(joined.first(_together(intake, one, kept, zone)))
    return joined


def _together(intake: Intake, taken: Taken, kept: Sequence[Refused], zone: ZoneInfo) -> list[Taken]:
    """One push with all that is kept, with what waits, and alone: those that fit, each with less than before."""
    tries = list[Taken]()
    for some in (kept, [one for one in kept if one.waits]):
        whole = _with(intake, taken, some, zone) if some else None
        tries += [whole] if whole is not None else []
    tries.append(taken)
    return [one for number, one in enumerate(tries) if not number or one.pushed != tries[number - 1].pushed]


def _with(intake: Intake, taken: Taken, kept: Sequence[Refused], zone: ZoneInfo) -> Taken | None:
    """One push with others of its talk, in the order in which they came; None where they do not fit."""
    pushes = [(one.since, one.record or {}) for one in kept]
    if all(one.key != taken.kept for one in kept):
        pushes.append((taken.came, taken.pushed or {}))
    pushes.sort(key=lambda one: one[0])
    raw: dict[str, Any] = {}
    for _, push in pushes:
        raw = merged(raw, push)
    try:
        whole = intake.take(Record.from_mapping(raw, zone=zone), taken.place, pushed=raw)
    except (RecordError, Skipped):
        return None
    return replace(whole, came=pushes[-1][0], kept=taken.kept) if whole.key == taken.key else None


async def let_go(refused: RefusedRecords, went: Sequence[Taken], zone: ZoneInfo) -> None:
    """Forget what is kept of records that went in: of a source's what that source gave before, of pushes what they say.

    What somebody pushed beyond that stays and goes in later, in everything else by the later word. Raises
    StateUnavailable.
    """
    names = [sorted(_names(one)) for one in went]
    found = await refused.find([name for some in names for name in some])
    gone, changed = dict[str, float](), list[tuple[Refused, Refused]]()
    for one, some in zip(went, names, strict=True):
        for entry in (found[name] for name in some if name in found):
            if isinstance(entry, Sealed) or entry.since > one.came:
                continue
            left = _left(entry, one, zone)
            if left is None:
                gone[entry.key] = entry.since
            elif left is not entry:
                changed.append((entry, left))
    await refused.drop_older(gone)
    await refused.put_right(changed)


def _names(taken: Taken) -> set[str]:
    """Under what something of a record may be kept."""
    pushed = pushed_place(taken.record.source, taken.record.id)
    return {taken.key, taken.place, pushed, taken.kept or taken.key}


def _left(entry: Refused, went: Taken, zone: ZoneInfo) -> Refused | None:
    """What is to stay of a kept record once one of its talk went in; None: nothing."""
    if not is_pushed(entry.place):
        return None if went.pushed is None or entry.key == went.kept else entry
    said = keepable(went.record) if went.pushed is None else went.pushed
    if said is None or entry.record is None or merged(entry.record, said) == said or _is_in(entry.record, went, zone):
        return None
    words = {name: value for name, value in said.items() if name not in MESSAGES}
    record = merged(entry.record, words)
    return entry if record == entry.record else replace(entry, record=record)


def _is_in(pushed: Any, went: Taken, zone: ZoneInfo) -> bool:
    """Whether a record says all that a push says, in whatever shape."""
    try:
        plain, said = keepable(Record.from_mapping(pushed, zone=zone)), keepable(went.record)
    except RecordError:
        return False
    return plain is not None and said is not None and merged(plain, said) == said
