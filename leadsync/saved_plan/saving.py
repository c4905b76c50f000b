"""Saving: a plan becomes a file while it is made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from leadsync.chunks import Chunk
from leadsync.config.loader import Project
from leadsync.report.plan_json import change_json, kept_json
from leadsync.saved_plan.document import FORMAT, KIND, file_digests, talk_digest
from leadsync.saved_plan.files import check_target, write_plan
from leadsync.selection import Selection
from leadsync.sync.results import Plan


class Saving:
    """A plan on its way into a file; `add` is shown every chunk that is planned."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigurationError when nothing may be written there."""
        check_target(path)
        self._path = path
        self._talks: dict[str, str] = {}

    def add(self, chunk: Chunk) -> None:
        """Remember what the records were."""
        self._talks |= {key: talk_digest(one.record) for key, one in chunk.taken.items()}

    def write(self, plan: Plan, project: Project, account: str, selection: Selection) -> None:
        """Write the file. Raises OSError."""
        document = {
            "kind": KIND,
            "format_version": FORMAT,
            "leadsync": version("leadsync"),
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "account": account,
            "source": plan.source,
            "selection": {"limit": selection.limit, "record": next(iter(selection.only or ()), None)},
            "files": file_digests(project, plan.source),
            "records": self._records(plan),
        }
        write_plan(self._path, document)

    def _records(self, plan: Plan) -> list[dict[str, Any]]:
        changes, kept, refused = _by_key(plan.changes), _by_key(plan.kept), _by_key(plan.refused)
        return [
            {
                "key": key,
                "talk": self._talks.get(key),
                "changes": [change_json(one) for one in changes[key]],
                "kept": [kept_json(one) for one in kept[key]],
                "refused": [{"field": one.field, "reason": one.reason} for one in refused[key]],
                "reason": plan.reasons.get(key, ""),
            }
            for key in sorted({*changes, *kept, *refused, *plan.reasons})
        ]


def _by_key(things: Sequence[Any]) -> defaultdict[str, list[Any]]:
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for one in things:
        found[one.key].append(one)
    return found
