"""A plan as a diff for the terminal: `+` create, `~` update with before → after, `!` kept, `→` joins, `✗` refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, tzinfo
from functools import lru_cache

from leadsync.report import words
from leadsync.report.line import Line
from leadsync.report.record_diff import RecordDiff, record_diffs
from leadsync.sync.changes import Change, FieldChange, Joined, Kept
from leadsync.sync.results import Plan, RefusedRow

NOTE_LINES = 6
"""Lines of a note that are shown; the rest is counted. All are, where the origins are."""

LONGEST_VALUE = 2000
"""Characters of a value that are shown; the rest is counted."""

_name = lru_cache(maxsize=1024)(words.one_line)
"""Names of fields are the same in every record."""

Told = dict[tuple[str | None, ...], str]
"""Reasons of refusals that were printed, each with the key of the record where it stands."""

SIGNS = {"create": ("+", "green"), "update": ("~", "yellow")}


def plan_lines(plan: Plan, *, requests_per_second: float, zone: tzinfo = UTC, verbose: bool = False) -> Iterator[Line]:
    """The whole plan, line by line; `verbose` says of every value where it comes from. Times are told in `zone`."""
    told: Told = {}
    for diff in record_diffs(plan):
        yield from diff_lines(diff, zone=zone, verbose=verbose, told=told)
        if not diff.refused:
            yield Line()
    yield from summary_lines(plan, requests_per_second)


def diff_lines(
    diff: RecordDiff, *, zone: tzinfo = UTC, verbose: bool = False, told: Told | None = None
) -> Iterator[Line]:
    """Everything about one record, under its key; a refused one in a line of its own, its reason once in all `told`."""
    if diff.changes or diff.kept or diff.joined or diff.reason:
        yield Line(words.one_line(diff.key), style="bold")
    for joined in diff.joined:
        yield joined_line(joined)
    for change in diff.changes:
        yield from change_lines(change, verbose=verbose)
    for number, kept in enumerate(diff.kept):
        if not number or (kept.entity, kept.id) != (diff.kept[number - 1].entity, diff.kept[number - 1].id):
            yield _kept_title(kept, zone)
        yield from kept_lines(kept, verbose=verbose)
    if diff.reason:
        yield Line("  = ", style="dim").append(diff.reason)
    for row in diff.refused:
        yield from refused_lines(row, told)


def change_lines(change: Change, *, verbose: bool = False) -> Iterator[Line]:
    """One change: what and why, then its values."""
    sign, style = SIGNS[change.action]
    yield Line(f"  {sign} {words.one_line(words.title(change))}", style=style).append(
        f"  ({change.reason})", style="not bold dim"
    )
    if (company := words.company(change)) is not None:
        yield Line(f"      contact: {words.one_line(company)}")
    is_note = change.entity == "note"
    for field in change.fields:
        if is_note:
            yield from note_lines(field, verbose)
        else:
            yield field_line(field, style, words.why(field, change))
        if verbose and field.origin is not None:
            yield Line(f"          {words.one_line(words.source_of(field.origin))}", style="dim")


def field_line(field: FieldChange, style: str, why: str) -> Line:
    """One value, with what stood there before, and why."""
    line = Line(f"      {_name(field.name)}: ")
    if field.before is not None:
        line.append(_value(field.before), style="red").append(" → ", style="dim")
    line.append(_value(field.after or ""), style=style)
    return line.append(f"  ({words.one_line(why)})", style="dim") if why else line


def note_lines(field: FieldChange, verbose: bool = False) -> Iterator[Line]:
    """A note as the lines it adds; a long one is cut for the eye only."""
    lines = [line for line in words.visible(field.after or "").splitlines() if line.strip()]
    shown = lines if verbose else lines[:NOTE_LINES]
    for line in shown:
        yield Line("      + ", style="green").append(words.cut(line, LONGEST_VALUE))
    if len(lines) > len(shown):
        yield Line(f"      … and {words.counted(len(lines) - len(shown), 'more line')}", style="dim")


def joined_line(joined: Joined) -> Line:
    """Which lead a talk goes into, and why."""
    line = Line(f"  → {words.one_line(words.joins(joined))}", style="cyan")
    return line.append(f"  ({joined.reason})", style="not bold dim") if joined.reason else line


def _kept_title(kept: Kept, zone: tzinfo) -> Line:
    line = Line(f"  ! {kept.entity} {kept.id}", style="magenta")
    last = words.last_change(kept, zone)
    return line.append(f"  ({words.one_line(last)})", style="not bold dim") if last else line


def kept_lines(kept: Kept, *, verbose: bool = False) -> Iterator[Line]:
    """A value that stays: what stands, what the talk says, and why."""
    now = "empty" if kept.now is None else _value(kept.now)
    line = Line(f"      {words.one_line(kept.name)}: ").append(now, style="magenta").append(" stays; the talk says ")
    line.append(_value(kept.wanted))
    yield line.append(f"  ({words.one_line(kept.why)})", style="dim") if kept.why else line
    if verbose and kept.origin is not None:
        yield Line(f"          {words.one_line(words.source_of(kept.origin))}", style="dim")


def refused_lines(row: RefusedRow, told: Told | None = None) -> Iterator[Line]:
    """A refused record: where, why and what to do; or which one was refused for the same, where that is `told`."""
    key = words.one_line(row.key)
    title = Line(f"  ✗ {key}", style="bold red").append(f"  {row.field}" if row.field else "", style="red")
    same = (row.field, row.reason, None if row.where == row.place else row.where, row.do)
    first = key if told is None else told.setdefault(same, key)
    if first != key:
        yield title.append(f"  (as {first})", style="not bold dim")
        return
    yield title
    yield Line(f"      {row.reason}")
    if row.where:
        yield Line(f"      at {row.where}", style="dim")
    if row.do:
        yield Line(f"      what to do: {row.do}", style="dim")


def summary_lines(plan: Plan, requests_per_second: float) -> Iterator[Line]:
    """The counts, and what a run would cost."""
    if not plan.records:
        yield Line(f"no talk is found in {plan.source}: is it empty, or wrong in leadsync.yaml?", style="yellow")
    elif not plan.changes and not plan.refused:
        yield Line(f"no changes ({words.counted(plan.records, 'record')} looked at)", style="green")
    elif plan.outcomes["unchanged"]:
        yield Line(f"  = {plan.outcomes['unchanged']} unchanged", style="dim")
    yield Line(words.counts(plan))
    if plan.writes:
        yield Line(words.cost(plan, requests_per_second), style="dim")
        if found_by := words.lookups(plan):
            yield Line(found_by, style="dim")
    for warning in plan.warnings:
        yield Line(f"warning: {warning}", style="yellow")


def _value(text: str) -> str:
    """A value for a line of its own; the further lines of a long text stand under its beginning."""
    if len(text) <= LONGEST_VALUE and text.isprintable():  # as most are
        return text
    return words.cut(words.visible(text), LONGEST_VALUE).replace("\n", "\n          ")
