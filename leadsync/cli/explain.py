"""`leadsync explain KEY`: everything about one record."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import click

from leadsync.cli.main_task import run_async
from leadsync.cli.options import format_option, project_options
from leadsync.cli.output import ProgressBar, print_json, print_lines
from leadsync.cli.tables import Listing, print_listings
from leadsync.config.loader import Project, load_project
from leadsync.errors import AmoCRMAPIError
from leadsync.explaining.explanation import Explanation
from leadsync.explaining.gathering import explain_offline
from leadsync.pipeline import Pipeline
from leadsync.report.explain_json import explain_json
from leadsync.report.explain_text import COLUMNS, remembered_lines, told_lines, trouble_lines, value_rows


@click.command("explain")
@click.argument("key")
@format_option("text", "json")
@click.option("--source", metavar="NAME", help="Look in this source only.  [default: in all of them]")
@project_options
def command(key: str, format_: str, source: str | None, config: str | None) -> int:
    """One record: as it was found, read, rendered and planned, what is remembered of it, and its last error.

    KEY is what the mapping's `key:` makes (telegram:42), or where the record lies in its source (dialog:42). Nothing is
    written. When amoCRM cannot be asked, the rest is shown all the same, and the command ends with 1.

    \b
    Examples:
      leadsync explain telegram:42
      leadsync explain dialog:42 --format json | jq .rendered
    """
    project = load_project(Path(config) if config else None)
    explained = run_async(_explain(project, key, source))
    if format_ == "json":
        print_json(explain_json(explained))
    else:
        _show(explained, ZoneInfo(project.file.defaults.timezone))
    return explained.exit_code


async def _explain(project: Project, key: str, source: str | None) -> Explanation:
    with ProgressBar("explain") as progress:
        try:
            async with Pipeline(project, listener=progress) as pipeline:
                return await pipeline.explain(key, source)
        except AmoCRMAPIError as error:  # already at the opening; what comes later the explanation tells itself
            sources = list(project.sources) if source is None else [source]
            return await explain_offline(project, key, sources, error, progress)


def _show(explained: Explanation, zone: ZoneInfo) -> None:
    print_lines(told_lines(explained, zone))
    print_lines(remembered_lines(explained.remembered))
    if rows := value_rows(explained.remembered):
        print_listings([Listing("", COLUMNS, rows, all_wrap=True)])
    print_lines(trouble_lines(explained, zone))
