"""A plan as Markdown, for a comment under a pull request: a table of counts, then a foldable diff of each record.

Everything out of a talk stands in a fenced block, each line behind a sign of ours, so that no line of it can end the
block; a key stands as HTML text on a line of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, tzinfo
from html import escape

from leadsync.report import words
from leadsync.report.record_diff import KINDS, RecordDiff, record_diffs
from leadsync.sync.changes import Change, FieldChange
from leadsync.sync.results import Plan, RefusedRow

LONGEST = 65_000
"""Characters of a document: GitHub refuses a comment of more than 65 536, counted in UTF-16 (GitHub docs: REST API,
issue comments)."""

MOST_LINES = 60
"""Lines of one record's diff; the rest is counted, so that one long talk leaves room for the others."""

LONGEST_LINE = 300
LONGEST_KEY = 200
_ROOM = 400
"""Characters kept for the last sentence."""


def plan_markdown(plan: Plan, *, requests_per_second: float, zone: tzinfo = UTC) -> str:
    """The whole document; where the records do not fit it says how many more there are. Times are told in `zone`."""
    parts = [_head(plan, requests_per_second)]
    left = LONGEST - _ROOM - _size(parts[0])
    diffs = record_diffs(plan)
    for number, diff in enumerate(diffs):
        block = _record(diff, zone)
        left -= _size(block)
        if left < 0:
            parts.append(f"… and {words.counted(len(diffs) - number, 'more record')}; `leadsync dry-run` shows all\n")
            break
        parts.append(block)
    return "\n".join(parts)


def _size(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2 + 1


def _head(plan: Plan, rate: float) -> str:
    found = plan.outcomes
    cells = (plan.records, *(found[name] for name in ("create", "update", "unchanged", "skipped", "failed")))
    lines = [
        f"### leadsync dry-run: <code>{_html(plan.source)}</code>",
        "",
        "| records | `+` to create | `~` to update | `=` unchanged | skipped | `✗` refused |",
        "|---:|---:|---:|---:|---:|---:|",
        "|" + "|".join(f" {cell} " for cell in cells) + "|",
        "",
    ]
    cost = "; ".join(filter(None, (words.cost(plan, rate), words.lookups(plan))))
    lines.append(f"A run takes {cost}." if plan.writes else "No changes.")
    for warning in plan.warnings[:10]:
        lines += ["", f"> ⚠ <code>{_html(words.cut(warning, LONGEST_LINE))}</code>"]
    return "\n".join(lines) + "\n"


def _record(diff: RecordDiff, zone: tzinfo) -> str:
    """One record, folded: its key and what is said of it, then the diff."""
    lines = [line for part in _lines(diff, zone) for line in part]
    if len(lines) > MOST_LINES:
        lines[MOST_LINES:] = [f"# … and {words.counted(len(lines) - MOST_LINES, 'more line')}"]
    said = ", ".join(f"{KINDS[kind][0]} {KINDS[kind][1]}" for kind in diff.kinds)
    summary = f"<details><summary><code>{_html(words.cut(diff.key, LONGEST_KEY))}</code> {said}</summary>"
    return "\n".join([summary, "", "```diff", *lines, "```", "</details>", ""])


def _html(text: str) -> str:
    """Text inside HTML inside Markdown: no markup, no line end, and nothing that Markdown would take for its own."""
    one_line = " ".join(words.visible(text).split())
    return "".join(f"&#{ord(one)};" if one in "`|*_[]\\~@#$" else one for one in escape(one_line))


def _lines(diff: RecordDiff, zone: tzinfo) -> Iterator[list[str]]:
    for joined in diff.joined:
        yield _signed("!", f"→ {words.joins(joined)}: {joined.reason}")
    for change in diff.changes:
        yield from _change(change)
    for kept in diff.kept:
        now = "empty" if kept.now is None else kept.now
        why = "; ".join(filter(None, (kept.why, words.last_change(kept, zone))))
        yield _signed("!", f"{kept.entity} {kept.id}: {kept.name}: {now} stays; the talk says {kept.wanted} ({why})")
    if diff.reason:
        yield _signed("#", diff.reason)
    for row in diff.refused:
        yield from _refused(row)


def _change(change: Change) -> Iterator[list[str]]:
    yield _signed("+" if change.action == "create" else "#", f"{words.title(change)} ({change.reason})")
    if (company := words.company(change)) is not None:
        yield _signed("+", f"  contact: {company}")
    for field in change.fields:
        yield from _note(field) if change.entity == "note" else _field(field, words.why(field, change))


def _field(field: FieldChange, why: str) -> Iterator[list[str]]:
    if field.before is not None:
        yield _signed("-", f"  {field.name}: {field.before}")
    yield _signed("+", f"  {field.name}: {field.after or ''}" + (f"  ({why})" if why else ""))


def _note(field: FieldChange) -> Iterator[list[str]]:
    for line in (field.after or "").splitlines():
        if line.strip():
            yield _signed("+", f"  {line}")


def _refused(row: RefusedRow) -> Iterator[list[str]]:
    yield _signed("-", f"✗ {row.field}: {row.reason}" if row.field else f"✗ {row.reason}")
    if row.where:
        yield _signed("#", f"  at {row.where}")
    if row.do:
        yield _signed("#", f"  what to do: {row.do}")


def _signed(sign: str, text: str) -> list[str]:
    """The lines of a text behind a sign, the further ones set in."""
    first, *others = words.visible(text).splitlines() or [""]
    return [words.cut(f"{sign} {line}", LONGEST_LINE) for line in (first, *(f"    {one}" for one in others))]
