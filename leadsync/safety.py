"""Safety: a run that would do more than its limits allow stops before its first write.

Two mistakes are caught here: a source that is not the one that was meant (`max_new_leads`), and a mapping that suddenly
says something else about everybody (`max_changed_share`). The CRM is not asked for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from heapq import heappush, heapreplace
from math import ceil
from shlex import quote
from types import MappingProxyType
from zlib import crc32

from leadsync.chunks import Chunk, raw_records, read_chunks, read_record
from leadsync.config.loader import Project
from leadsync.errors import Place, RecordError, StartRefused
from leadsync.intake import Intake, Taken
from leadsync.project import Connections
from leadsync.selection import Selection
from leadsync.sources.base import RawRecord
from leadsync.state.links import Link, load_links
from leadsync.state.seen import Seen
from leadsync.sync.planner import wish_of

FEWEST_KNOWN = 100
"""Known leads from which on a share of them says something: two of three is no alarm."""

SAMPLE, FEWEST_SAMPLED, MARGIN = 1000, 500, 0.1
"""Of a large source some records are looked at first, picked by a hash of their place. When the share among at least so
many known ones stays so far below the limit, all are not mapped: that the share of all is above it has a chance of less
than one in ten thousand (Hoeffding)."""

NAMES = ("max_new_leads", "max_changed_share")

TOLERANCE = 1e-9
"""A share is a fraction in binary: 57 of 100 is not more than 0.57."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many leads a run may make, and of which share (0..1) of the known ones it may change values."""

    max_new_leads: int
    max_changed_share: float
    passed: frozenset[str] = frozenset()

    @property
    def fewest(self) -> int:
        """Known leads from which on a share counts: any number, where somebody passed the limit for this run."""
        return 1 if "max_changed_share" in self.passed else FEWEST_KNOWN

    @classmethod
    def of(cls, project: Project, max_new_leads: int | None = None, max_changed_share: float | None = None) -> Limits:
        """The project's limits, with those that are given for one run in their place."""
        section = project.file.safety
        return cls(
            section.max_new_leads if max_new_leads is None else max_new_leads,
            section.max_changed_share if max_changed_share is None else max_changed_share,
            frozenset(
                name for name, given in zip(NAMES, (max_new_leads, max_changed_share), strict=True) if given is not None
            ),
        )


@dataclass(slots=True)
class Counted:
    """What a run would come to: leads it would make, leads known, and those of them whose values it would change.

    With `lead.match: open` some of the new ones would join a lead instead: who is who is not asked for this.
    """

    new: int = 0
    known: int = 0
    changed: int = 0
    may_join: bool = False

    def exceeded(self, limits: Limits) -> list[str]:
        """The keys of `safety` whose limit this passes."""
        found = ["max_new_leads"] if self.new > limits.max_new_leads else []
        if self.known >= limits.fewest and self.changed / self.known > limits.max_changed_share + TOLERANCE:
            found.append("max_changed_share")
        return found


async def check_safety(
    connections: Connections,
    intake: Intake,
    selection: Selection,
    limits: Limits,
    everything: Sequence[Chunk] | None = None,
    *,
    options: Mapping[str, object] = MappingProxyType({}),
) -> None:
    """Raise StartRefused when a run would pass one of its limits; it names the key to change and the flag to pass.

    `options` are those of the command line that this run was begun with: the same command with the flag goes through.
    `everything` are all chunks of the run, where they are few enough to be in memory already. `intake` must be one of
    its own: what it counts of missing keys is not the run's.
    """
    if everything is None:
        counted = await count_leads(connections, intake, selection, limits)
    else:
        counted = await _count_chunks(connections, intake, everything, limits)
    names = counted.exceeded(limits)
    if names:
        said = "\n  and ".join(_said(name, counted, limits) for name in names)
        given = [f"--{name} {quote(str(value))}" for name, value in options.items() if value is not None]
        flags = " ".join([*given, *(_flag(name, counted) for name in names)])
        fewer = "" if options.get("plan") else "; --limit N takes fewer records"
        raise StartRefused(
            f"this run would {said}",
            where="\n  and ".join(_place(connections.project, name, limits) for name in names),
            do=f"look at `leadsync dry-run`; if that is what you want, use\n    leadsync run {flags}\n"
            f"  or raise {' and '.join(names)}{fewer}",
        )


async def safety_warnings(connections: Connections, intake: Intake, selection: Selection) -> list[str]:
    """What a plan has to say when a run of it would be refused."""
    limits = Limits.of(connections.project)
    counted = await count_leads(connections, intake, selection, limits)
    return [
        f"a run would be refused: it would {_said(name, counted, limits)}; pass {_flag(name, counted)} to allow it once"
        for name in counted.exceeded(limits)
    ]


async def count_leads(connections: Connections, intake: Intake, selection: Selection, limits: Limits) -> Counted:
    """Count as far as it matters for the limits: nothing for a source with fewer records than any of them needs."""
    counted = Counted()
    most = len(selection.only) if selection.only is not None else selection.limit
    glance = await _glance(connections, intake, most, limits.fewest)
    mapped = limits.max_changed_share < 1 and glance.records >= limits.fewest
    if mapped and glance.records > 2 * SAMPLE:
        mapped = not await _stays_below(limits, connections, intake, glance.sample)
    if not mapped and glance.records <= limits.max_new_leads:
        return counted
    seen = Seen(connections.redis, connections.names, intake.source.name, intake.wording)
    async with aclosing(read_chunks(connections, intake, selection, seen)) as chunks:
        async for chunk in chunks:
            await _count(counted, connections, intake, chunk, mapped=mapped)
    return counted


async def _count_chunks(connections: Connections, intake: Intake, chunks: Sequence[Chunk], limits: Limits) -> Counted:
    records = sum(len(one) + one.same.total() for one in chunks)
    counted = Counted()
    for chunk in chunks:
        mapped = limits.max_changed_share < 1 and records >= limits.fewest
        await _count(counted, connections, intake, chunk, mapped=mapped)
    return counted


@dataclass(slots=True)
class _Glance:
    """How many records there are, and some of them from everywhere in the source; nothing is parsed for it."""

    records: int = 0
    sample: Sequence[RawRecord] = ()


async def _glance(connections: Connections, intake: Intake, most: int | None, fewest: int) -> _Glance:
    """Look over a source; at most `most` of its records are meant, and which is not known before they are read."""
    if most is not None and most < fewest:
        return _Glance(most)
    glance, found = _Glance(), list[tuple[int, int, RawRecord]]()
    async with aclosing(raw_records(connections, intake)) as records:
        async for raw in records:
            glance.records += 1
            item = (-crc32(raw.place.encode("utf-8", "replace")), -glance.records, raw)
            if len(found) < SAMPLE:
                heappush(found, item)
            elif item > found[0]:
                heapreplace(found, item)
    if most is not None:
        return _Glance(min(most, glance.records))
    glance.sample = [raw for _, _, raw in found]
    return glance


async def _stays_below(limits: Limits, connections: Connections, intake: Intake, sample: Sequence[RawRecord]) -> bool:
    """Whether a sample says clearly that the share of changed leads stays below its limit."""
    counted, chunk = Counted(), Chunk()
    for raw in sample:
        chunk.add(read_record(intake, raw, b""))
    await _count(counted, connections, intake, chunk, mapped=True)
    return counted.known >= FEWEST_SAMPLED and counted.changed / counted.known < limits.max_changed_share - MARGIN


async def _count(counted: Counted, connections: Connections, intake: Intake, chunk: Chunk, *, mapped: bool) -> None:
    counted.known += chunk.same["unchanged"]
    links = await load_links(connections.redis, connections.names, list(chunk.taken))
    for key, link in links.items():
        if link.lead_id is None:
            counted.new += _makes_leads(intake, chunk.taken[key])
            counted.may_join = counted.may_join or _may_join(intake, chunk.taken[key])
        elif not link.gone:
            counted.known += 1
            counted.changed += mapped and _would_change(intake, chunk.taken[key], link)


def _makes_leads(intake: Intake, taken: Taken) -> bool:
    """Whether the record's mapping makes leads at all; a plugin may."""
    mappings = intake.source.mappings
    mapping = mappings.get(taken.record.source) or mappings[None]
    return mapping.file.lead is not None or mapping.file.mapper is not None


def _may_join(intake: Intake, taken: Taken) -> bool:
    """Whether the record's talk may go into an open lead of its contact, which only amoCRM can tell."""
    mappings = intake.source.mappings
    lead = (mappings.get(taken.record.source) or mappings[None]).file.lead
    return lead is not None and lead.match == "open"


def _would_change(intake: Intake, taken: Taken, link: Link) -> bool:
    """Whether the record wants other values than when it was last accepted; new messages do not count.

    What was never accepted is not changed: a link that came back from the account does not know what was said.
    """
    try:
        wish = wish_of(intake.map(taken, link))
    except (RecordError, ArithmeticError, LookupError, TypeError, ValueError):
        return False  # it will be refused, by the run
    lead = wish.lead is not None and link.said_lead not in ("", wish.lead.said)
    return lead or (wish.contact is not None and link.said_contact not in ("", wish.contact.said))


def _said(name: str, counted: Counted, limits: Limits) -> str:
    if name == "max_new_leads":
        most = "up to " if counted.may_join else ""
        leads = "lead" if counted.new == 1 else "leads"
        return f"make {most}{counted.new} new {leads}; the limit is {limits.max_new_leads}"
    share = f"{counted.changed / counted.known:.0%}"
    allowed = f"{limits.max_changed_share:.0%}"
    return f"change {counted.changed} of {counted.known} known leads ({share}); the limit is {allowed}"


def _flag(name: str, counted: Counted) -> str:
    if name == "max_new_leads":
        return f"--max-new-leads {counted.new}"
    return f"--max-changed-share {ceil(100 * counted.changed / counted.known - TOLERANCE) / 100:g}"


def _place(project: Project, name: str, limits: Limits) -> str:
    """Where the limit stands: the flag, its own line, the section's, or the file when there is none."""
    if name in limits.passed:
        return f"--{name.replace('_', '-')}"
    document = project.document
    _, found = document.node("safety", name)
    place = document.key_place(*found) if found else Place(document.place().file)
    return f"{place}: safety.{name}"
