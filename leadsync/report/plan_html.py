"""A plan as one HTML file: no script, nothing from elsewhere, everything out of a talk escaped by the template."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, tzinfo
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from leadsync.report import words
from leadsync.report.record_diff import KINDS, RecordDiff, record_diffs
from leadsync.sync.changes import Change, FieldChange, Kept
from leadsync.sync.results import Plan

HERE = Path(__file__).parent


def plan_html(plan: Plan, *, requests_per_second: float, zone: tzinfo = UTC) -> Iterator[str]:
    """The document, piece by piece. Times are told in `zone`."""
    style = (HERE / "plan.css").read_text(encoding="utf-8")
    diffs = record_diffs(plan)
    kinds = [(kind, *KINDS[kind], sum(kind in one.kinds for one in diffs)) for kind in KINDS]
    return (
        _environment()
        .get_template("plan.html.jinja")
        .generate(
            plan=plan,
            style=style,
            policy=policy(style),
            kinds=[one for one in kinds if one[-1]],
            cost="; ".join(filter(None, (words.cost(plan, requests_per_second), words.lookups(plan)))),
            cards=(_card(one, zone) for one in diffs),
        )
    )


def policy(style: str) -> str:
    """The content security policy: our own style, by its hash, and nothing else at all."""
    known = b64encode(sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{known}'; base-uri 'none'; form-action 'none'"


@cache
def _environment() -> Environment:
    made = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=FileSystemLoader(HERE),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["visible"] = words.visible
    return made


def _card(diff: RecordDiff, zone: tzinfo) -> dict[str, Any]:
    return {
        "key": diff.key,
        "kinds": diff.kinds,
        "joined": [(words.joins(one), one.reason) for one in diff.joined],
        "changes": [_change(one) for one in diff.changes],
        "kept": [_kept(one, zone) for one in diff.kept],
        "reason": diff.reason,
        "refused": diff.refused,
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "kind": change.action,
        "sign": KINDS[change.action][0],
        "title": words.title(change),
        "reason": change.reason,
        "company": words.company(change),
        "is_note": change.entity == "note",
        "fields": [_field(one, words.why(one, change)) for one in change.fields],
    }


def _field(field: FieldChange, why: str) -> dict[str, Any]:
    return {
        "name": field.name,
        "before": field.before,
        "after": field.after or "",
        "why": why,
        "origin": "" if field.origin is None else words.source_of(field.origin),
    }


def _kept(kept: Kept, zone: tzinfo) -> dict[str, Any]:
    return {
        "title": f"{kept.entity} {kept.id}",
        "name": kept.name,
        "now": kept.now,
        "wanted": kept.wanted,
        "why": "; ".join(filter(None, (kept.why, words.last_change(kept, zone)))),
        "origin": "" if kept.origin is None else words.source_of(kept.origin),
    }
