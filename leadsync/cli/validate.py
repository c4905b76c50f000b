"""`leadsync validate`: the files, then the names against the account, then what can be reached."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby

import click
from rich.text import Text

from leadsync.cli.checks import Check, Checks, Level, Mark, checks_json
from leadsync.cli.excerpts import problem_lines
from leadsync.cli.main_task import run_async
from leadsync.cli.options import format_option, project_options
from leadsync.cli.output import console, error_console, print_json, print_lines
from leadsync.report import words

SIGNS = {
    Mark.GOOD: ("✓", "green"),
    Mark.WARNING: ("!", "yellow"),
    Mark.BAD: ("✗", "bold red"),
    Mark.SKIPPED: ("-", "dim"),
}

HEADINGS = {Level.FILES: "Files", Level.NAMES: "Names against the account", Level.REACH: "Reachability"}


@click.command("validate")
@click.option("--offline", is_flag=True, help="Stop after the files: neither Redis nor amoCRM is asked.")
@format_option("text", "json")
@project_options
def command(offline: bool, format_: str, config: str | None) -> int:
    """Check the files, then the names in them against the account, then Redis, the login and amoCRM.

    The first hundred talks of each source are put through the mappings, to see what a run would refuse.
    Everything that is wrong is shown at once, and the exit code is that of the first line that failed: 78 for the
    files and names, 77 when somebody must log in, 1 when something cannot be reached. Warnings (!) do not change it.
    Nothing is written to the CRM.

    \b
    Examples:
      leadsync validate
      leadsync validate --offline
      leadsync validate --format json | jq '.checks[] | select(.result == "failed")'
    """
    checks = run_async(_checked(offline, config))
    if format_ == "json":
        print_json(checks_json(checks))
    else:
        print_lines(_lines(checks))
    return checks.exit_code


async def _checked(offline: bool, config: str | None) -> Checks:
    with error_console().status("checking …"):
        checks = Checks(offline)
        await checks.run(config)
        return checks


def _lines(checks: Checks) -> Iterator[Text]:
    for level, group in groupby(checks.done.values(), key=lambda one: one.level):
        yield Text(HEADINGS[level], style="bold cyan")
        for check in group:
            yield from _check_lines(check)
    yield Text()
    yield _verdict(checks)


def _verdict(checks: Checks) -> Text:
    """How it stands in all, and what comes next."""
    marks = [one.mark for one in checks.done.values()]
    if failed := marks.count(Mark.BAD):
        return Text(f"{words.counted(failed, 'check')} failed; what to do stands there", style="bold red")
    if checks.offline:
        return Text("the files are in order; without --offline the account's names are checked, too", style="green")
    warned = "no mistakes, but look at the warnings (!)" if Mark.WARNING in marks else "everything is in order"
    return Text(f"{warned}; next: `leadsync dry-run` shows what a run would do", style="green")


def _check_lines(check: Check) -> Iterator[Text]:
    sign, style = SIGNS[check.mark]
    yield Text(f"  {sign} ", style=style).append(f"{check.name:<9}", style="bold").append(f" {check.text}", style="")
    if check.do:
        yield Text(f"      what to do: {check.do}")
    columns = console().width if sys.stdout.isatty() else sys.maxsize
    for problem in check.problems:
        yield from map(Text, problem_lines(problem, columns, indent=" " * 6))
