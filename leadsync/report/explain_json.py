"""One record explained as one JSON document: `explain KEY --format json`.

format_version  1
key, source, place   `source` is null when no source holds the record
raw             the text that the source found, null where it shows none
record          the fields as they were read, null when it could not be read
skipped         the mapping's `when` that says no, as in `rendered`; else null
stopped         {"key", "place", "field", "reason", "do", "where"}: why it could not be read or mapped; else null
rendered        [{"target", "text", "write", "why", "origin"}]: what the mapping makes; `text` is null for what is
                not sent, `why` says why not; `origin` as in `dry-run --format json`
missing         keys that expressions asked the data for and did not find
planned         the document of `dry-run --format json` for this record alone, without `cost`; else null
remembered      {"lead_id", "contact_id", "linked", "noted", "gone", "restored", "contact_said", "lead_said",
                "values": [{"entity", "name", "wrote", "now", "wanted"}]}
last_error      what `failed show KEY --format json` shows, or null
trouble         why amoCRM could not be asked, or null; then `planned` and `values` are missing
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from leadsync.explaining.explanation import Explanation, Rendered
from leadsync.report.plan_json import origin_json, plan_json


def explain_json(explained: Explanation) -> dict[str, Any]:
    """The explanation as plain data; its shape is told at the top of this file."""
    return {
        "format_version": 1,
        "key": explained.key,
        "source": explained.source,
        "place": explained.place,
        "raw": explained.raw,
        "record": explained.record,
        "skipped": None if explained.skipped is None else _rendered(explained.skipped),
        "stopped": None if explained.stopped is None else asdict(explained.stopped),
        "rendered": [_rendered(one) for one in explained.rendered],
        "missing": explained.missing,
        "planned": _planned(explained),
        "remembered": asdict(explained.remembered),
        "last_error": None if explained.refused is None else asdict(explained.refused),
        "trouble": explained.trouble,
    }


def _planned(explained: Explanation) -> dict[str, Any] | None:
    if explained.plan is None:
        return None
    document = plan_json(explained.plan, requests_per_second=1)
    return {name: value for name, value in document.items() if name not in ("cost", "format_version")}


def _rendered(one: Rendered) -> dict[str, Any]:
    return {
        "target": one.target,
        "text": one.text,
        "write": one.write,
        "why": one.why,
        "origin": origin_json(one.origin),
    }
