"""`leadsync run`: the sync."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from leadsync.cli.main_task import run_async
from leadsync.cli.options import check_found, format_option, project_options, selection_options
from leadsync.cli.output import ProgressBar, print_json, print_lines
from leadsync.pipeline import Pipeline
from leadsync.report.run_text import run_lines
from leadsync.sync.results import RunReport

SOME_REFUSED = 3


@click.command("run")
@selection_options
@click.option("--plan", metavar="FILE", help="Send exactly this plan, saved by `leadsync dry-run --out FILE`.")
@click.option(
    "--max-new-leads",
    type=click.IntRange(min=0),
    metavar="N",
    help="Make up to N leads; for this run in place of safety.max_new_leads.",
)
@click.option(
    "--max-changed-share",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="Change values of up to this share (0..1) of the known leads, however few they are; in place of "
    "safety.max_changed_share, which counts from 100 on.",
)
@format_option("text", "json")
@project_options
def command(
    source: str | None, limit: int | None, record: str | None, format_: str, config: str | None, **more: Any
) -> int:
    """Bring the talks of a source into amoCRM.

    What did not change since the last run is not touched. Look first with `leadsync dry-run`.

    A saved plan is sent as it was seen, or not at all: when a talk, a mapping or a value in amoCRM moved since, nothing
    is written, the command names what moved and ends with 4. A plan that was interrupted can be sent again: it goes on
    where it stopped. Sent twice, it writes nothing the second time.

    A run that would do more than `safety:` in leadsync.yaml allows ends with 4 before its first write. The limits hold
    for a saved plan, too.

    \b
    Examples:
      leadsync run
      leadsync run --source redis-dialogs --limit 10
      leadsync run --format json > report.json
      leadsync dry-run --out plan.json && leadsync run --plan plan.json
      leadsync run --max-changed-share 0.9
    """
    chosen = {"source": source, "limit": limit, "record": record}
    if more["plan"] is not None:
        _alone(chosen)
    report = run_async(_run({**chosen, **more}, config))
    check_found(record, report.records)
    if format_ == "json":
        print_json(report.as_json())
    else:
        print_lines([*run_lines(report), *report.remarks])
    return SOME_REFUSED if report.refused else 0


def _alone(chosen: Mapping[str, Any]) -> None:
    """A saved plan knows its source and its records."""
    named = [f"--{name}" for name, value in chosen.items() if value is not None]
    if named:
        raise click.UsageError(f"--plan goes without {' and '.join(named)}: the plan knows what it was made of")


async def _run(options: Mapping[str, Any], config: str | None) -> RunReport:
    with ProgressBar("run") as progress:
        async with Pipeline.from_file(config, listener=progress) as pipeline:
            return await pipeline.run(**options)
