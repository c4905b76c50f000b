"""`leadsync status`: how it goes, as far as Redis tells."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import click

from leadsync.cli.logins import login_of, verdict
from leadsync.cli.main_task import run_async
from leadsync.cli.options import format_option, project_options
from leadsync.cli.output import print_json, print_lines
from leadsync.cli.projects import open_project
from leadsync.cli.status_lines import Status, status_json, status_lines
from leadsync.config.loader import Project
from leadsync.events import ignore
from leadsync.figures import figures_of
from leadsync.project import connect
from leadsync.state.persistence import persistence_warnings
from leadsync.state.redis import state_errors
from leadsync.state.runs import KEPT, last_runs
from leadsync.state.sizes import sizes_of


@click.command("status")
@click.option(
    "--runs", type=click.IntRange(0, KEPT), default=5, show_default=True, metavar="N", help="How many runs are shown."
)
@format_option("text", "json")
@project_options
def command(runs: int, format_: str, config: str | None) -> int:
    """How it goes: the last runs, what waits for a person, the login, the pace, workers, and what Redis holds.

    Only Redis is asked, not amoCRM. Ends with 0 whatever the figures are, with 77 when somebody must log in, with 1
    when Redis cannot be reached.

    \b
    Examples:
      leadsync status
      leadsync status --runs 20
      leadsync status --format json | jq .refused.count
    """
    project = open_project(config)
    found = run_async(_asked(project, runs))
    if format_ == "json":
        print_json(status_json(found))
    else:
        print_lines(status_lines(found, ZoneInfo(project.file.defaults.timezone)))
    return verdict(project, found.login, found.figures.at)


async def _asked(project: Project, runs: int) -> Status:
    async with connect(project, ignore) as connections:
        async with state_errors():
            warnings = await persistence_warnings(connections.redis)
        return Status(
            connections.account.name,
            await login_of(connections),
            await figures_of(connections),
            await last_runs(connections.redis, connections.names, runs) if runs else [],
            await sizes_of(connections.redis, connections.names),
            connections.place,
            connections.seal.is_on,
            warnings,
        )
