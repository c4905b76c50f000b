"""A plan as a diff for the terminal: `+` create, `~` update with before → after, `!` kept, `✗` refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from rich.text import Text

from leadsync.sync.changes import Change, FieldChange
from leadsync.sync.results import Plan, RefusedRow

NOTE_LINES = 6
"""Lines of a note that are shown; the rest is counted."""

NOUNS = {"contact": "contact", "lead": "lead", "note": "note", "link": "link"}


def plan_lines(plan: Plan, *, requests_per_second: float) -> Iterator[Text]:
    """The whole plan, line by line."""
    for key, changes in groupby(plan.changes, key=lambda one: one.key):
        yield Text(key, style="bold")
        for change in changes:
            yield from change_lines(change)
        yield Text()
    for row in plan.refused:
        yield from refused_lines(row)
    yield from summary_lines(plan, requests_per_second)


def change_lines(change: Change) -> Iterator[Text]:
    """One change: what and why, then its values."""
    sign, style = ("+", "green") if change.action == "create" else ("~", "yellow")
    number = f" {change.id}" if change.id else ""
    yield Text(f"  {sign} {NOUNS[change.entity]}{number}", style=style).append(f"  ({change.reason})", style="dim")
    for field in change.fields:
        yield from note_lines(field) if change.entity == "note" else [field_line(field, style)]


def field_line(field: FieldChange, style: str) -> Text:
    """One value, with what stood there before."""
    line = Text(f"      {field.name}: ")
    if field.before is not None:
        line.append(field.before, style="red").append(" → ", style="dim")
    return line.append(field.after or "", style=style)


def note_lines(field: FieldChange) -> Iterator[Text]:
    """A note as the lines it adds; a long one is cut for the eye only."""
    lines = [line for line in (field.after or "").splitlines() if line.strip()]
    for line in lines[:NOTE_LINES]:
        yield Text("      + ", style="green").append(line)
    if len(lines) > NOTE_LINES:
        yield Text(f"      … and {len(lines) - NOTE_LINES} more lines", style="dim")


def refused_lines(row: RefusedRow) -> Iterator[Text]:
    """A refused record: where, why, and what to do."""
    yield Text(f"  ✗ {row.key}", style="bold red").append(f"  {row.field}" if row.field else "", style="red")
    yield Text(f"      {row.reason}")
    if row.where:
        yield Text(f"      at {row.where}", style="dim")
    if row.do:
        yield Text(f"      what to do: {row.do}", style="dim")


def summary_lines(plan: Plan, requests_per_second: float) -> Iterable[Text]:
    """The counts, and what a run would cost."""
    if not plan.changes and not plan.refused:
        yield Text(f"no changes ({plan.records} records looked at)", style="green")
    counts = plan.outcomes
    yield Text(
        f"{plan.records} records: {counts['create']} to create, {counts['update']} to update, "
        f"{counts['unchanged']} unchanged, {counts['skipped']} skipped, {counts['failed']} refused"
    )
    if plan.requests:
        yield Text(_cost(plan.requests, requests_per_second), style="dim")
    for warning in plan.warnings:
        yield Text(f"warning: {warning}", style="yellow")


def _cost(requests: int, rate: float) -> str:
    seconds = requests / rate
    lasting = f"about {seconds:.0f} s" if seconds >= 1 else "less than a second"
    return f"{requests} write request{'s' if requests > 1 else ''}, {lasting} at {rate:g} per second"
