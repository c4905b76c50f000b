"""`leadsync dry-run`: the plan, printed and not applied."""

from __future__ import annotations

import sys
from shlex import quote
from zoneinfo import ZoneInfo

import click

from leadsync.cli.main_task import run_async
from leadsync.cli.offline_plan import offline_plan
from leadsync.cli.options import check_found, format_option, project_options, selection_options
from leadsync.cli.output import ProgressBar, print_document, print_json, print_lines
from leadsync.config.loader import Project
from leadsync.report.plan_html import plan_html
from leadsync.report.plan_json import plan_json
from leadsync.report.plan_markdown import plan_markdown
from leadsync.report.plan_text import plan_lines
from leadsync.selection import Selection
from leadsync.sync.results import Plan

THERE_ARE_CHANGES = 2
SOME_REFUSED = 3


@click.command("dry-run")
@selection_options
@format_option("text", "json", "markdown", "html")
@click.option("-v", "--verbose", is_flag=True, help="Say of every value where it comes from; show notes whole.")
@click.option("--exit-code", is_flag=True, help="End with 2 when there are changes.")
@click.option("--offline", is_flag=True, help="Do not ask amoCRM: the items of every talk as if it were new.")
@click.option("--out", metavar="FILE", help="Also save the plan, for `leadsync run --plan FILE`.")
@project_options
def command(
    source: str | None,
    limit: int | None,
    record: str | None,
    format_: str,
    exit_code: bool,
    offline: bool,
    out: str | None,
    verbose: bool,
    config: str | None,
) -> int:
    """Show what a run would do: who is created, what changes, which notes are added. Nothing is written.

    With --offline amoCRM is not asked and nothing remembered is looked at: what would be sent if every talk were new.
    With --out the plan is saved: exactly that can be sent later, or nothing, should anything move. It is read as one
    piece, so a large source takes memory; --limit N takes the first N keys.

    \b
    Examples:
      leadsync dry-run
      leadsync dry-run --record telegram:42
      leadsync dry-run --verbose
      leadsync dry-run --format json | jq .summary
      leadsync dry-run --format html > plan.html
      leadsync dry-run --out plan.json
    """
    if offline and out is not None:
        raise click.UsageError("--out saves a plan for the account as it is: it does not go with --offline.")
    if offline:
        selection = Selection(limit, None if record is None else (record,))
        plan = run_async(offline_plan(source, selection, format_, config, verbose=verbose))
        check_found(record, plan.records)
        return _exit_code(plan, exit_code and plan.outcomes["create"] > 0)
    plan, project = run_async(_plan(source, limit, record, out, config))
    check_found(record, plan.records)
    _show(plan, project, format_, verbose)
    if out is not None:
        click.echo(f"the plan is saved; to send exactly this: leadsync run --plan {quote(out)}", err=True)
    elif plan.changes and format_ == "text" and sys.stdout.isatty():
        print_lines(["nothing is written yet: `leadsync run` does it"])
    return _exit_code(plan, exit_code and bool(plan.changes))


def _exit_code(plan: Plan, told_of_changes: bool) -> int:
    if plan.refused:
        return SOME_REFUSED
    return THERE_ARE_CHANGES if told_of_changes else 0


def _show(plan: Plan, project: Project, format_: str, verbose: bool) -> None:
    rate, zone = project.file.amocrm.requests_per_second, ZoneInfo(project.file.defaults.timezone)
    if format_ == "json":
        print_json(plan_json(plan, requests_per_second=rate))
    elif format_ == "markdown":
        print_document([plan_markdown(plan, requests_per_second=rate, zone=zone)])
    elif format_ == "html":
        print_document(plan_html(plan, requests_per_second=rate, zone=zone))
    else:
        print_lines(plan_lines(plan, requests_per_second=rate, zone=zone, verbose=verbose))


async def _plan(
    source: str | None, limit: int | None, record: str | None, out: str | None, config: str | None
) -> tuple[Plan, Project]:
    with ProgressBar("dry-run") as progress:
        from leadsync.pipeline import Pipeline  # noqa: PLC0415 - offline nothing of it is needed

        async with Pipeline.from_file(config, listener=progress) as pipeline:
            plan = await pipeline.plan(source, limit=limit, record=record, out=out)
            return plan, pipeline.project
