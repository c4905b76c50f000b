"""`leadsync run`: the sync."""

from __future__ import annotations

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
@format_option("text", "json")
@project_options
def command(source: str | None, limit: int | None, record: str | None, format_: str, config: str | None) -> int:
    """Bring the talks of a source into amoCRM.

    What did not change since the last run is not touched. Look first with `leadsync dry-run`.

    \b
    Examples:
      leadsync run
      leadsync run --source redis-dialogs --limit 10
      leadsync run --format json > report.json
    """
    report = run_async(_run(source, limit, record, config))
    check_found(record, report.records)
    if format_ == "json":
        print_json(report.as_json())
    else:
        print_lines(run_lines(report))
    return SOME_REFUSED if report.refused else 0


async def _run(source: str | None, limit: int | None, record: str | None, config: str | None) -> RunReport:
    with ProgressBar("run") as progress:
        async with Pipeline.from_file(config, listener=progress) as pipeline:
            return await pipeline.run(source, limit=limit, record=record)
