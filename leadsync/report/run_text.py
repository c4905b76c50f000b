"""A run for the terminal: what was created, updated, refused, and what it took."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from leadsync.report.plan_text import refused_lines
from leadsync.sync.results import RunReport

MOST_REFUSED = 20
"""Refused records that are printed whole; all of them stand in `leadsync failed list`."""


def run_lines(report: RunReport) -> Iterator[Text]:
    """The whole report, line by line."""
    for row in report.refused[:MOST_REFUSED]:
        yield from refused_lines(row)
    if len(report.refused) > MOST_REFUSED:
        yield Text(f"  … and {len(report.refused) - MOST_REFUSED} more", style="red")
    if report.refused:
        yield Text("they are kept: `leadsync failed list` shows them, `leadsync failed retry` tries again", style="dim")
    yield Text(f"created  {_counts(report.created)}", style="green" if report.created.total() else "")
    yield Text(f"updated  {_counts(report.updated)}", style="yellow" if report.updated.total() else "")
    counts = report.outcomes
    yield Text(
        f"{report.records} records: {counts['create']} new, {counts['update']} changed, {counts['unchanged']} "
        f"unchanged, {counts['skipped']} skipped, {counts['failed']} refused"
    )
    total = sum(report.requests.values())
    throttled = f", {report.throttled} put off by amoCRM" if report.throttled else ""
    yield Text(f"{total} requests{throttled}, {report.seconds:.1f} s", style="dim")
    for warning in report.warnings:
        yield Text(f"warning: {warning}", style="yellow")


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(_counted(counts.get(name, 0), name) for name in ("contacts", "leads", "notes"))


def _counted(count: int, name: str) -> str:
    return f"{count} {name.removesuffix('s') if count == 1 else name}"
