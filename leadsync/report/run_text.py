"""A run for the terminal: what was created, updated, refused, and what it took."""

from __future__ import annotations

from collections.abc import Iterator

from leadsync.report import words
from leadsync.report.line import Line
from leadsync.report.plan_text import Told, refused_lines
from leadsync.report.record_diff import in_key_order
from leadsync.sync.results import RunReport

MOST_REFUSED = 20
"""Refused records that are printed whole; all of them stand in `leadsync failed list`."""


def run_lines(report: RunReport) -> Iterator[Line]:
    """The whole report, line by line."""
    told: Told = {}
    for row in in_key_order(report.refused)[:MOST_REFUSED]:
        yield from refused_lines(row, told)
    if len(report.refused) > MOST_REFUSED:
        yield Line(f"  … and {len(report.refused) - MOST_REFUSED} more", style="red")
    if report.refused:
        yield Line("they are kept: `leadsync failed list` shows them, `leadsync failed retry` tries again", style="dim")
    yield Line(f"created  {_counts(report.created)}", style="green" if report.created.total() else "")
    yield Line(f"updated  {_counts(report.updated)}", style="yellow" if report.updated.total() else "")
    counts = report.outcomes
    yield Line(
        f"{words.counted(report.records, 'record')}: {counts['create']} new, {counts['update']} changed, "
        f"{counts['unchanged']} unchanged, {counts['skipped']} skipped, {counts['failed']} refused"
    )
    total = sum(report.requests.values())
    throttled = f", {report.throttled} put off by amoCRM" if report.throttled else ""
    yield Line(f"{words.counted(total, 'request')}{throttled}, {report.seconds:.1f} s", style="dim")
    for warning in report.warnings:
        yield Line(f"warning: {warning}", style="yellow")


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(words.counted(counts.get(f"{name}s", 0), name) for name in ("contact", "lead", "note"))
