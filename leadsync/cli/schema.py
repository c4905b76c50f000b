"""`leadsync schema`: the JSON Schemas of both files, with the account's own names where it can be asked."""

from __future__ import annotations

from pathlib import Path

import click

from leadsync.amocrm.catalogue import Catalogue
from leadsync.cli.checks import IMPATIENT
from leadsync.cli.main_task import run_async
from leadsync.cli.options import project_options
from leadsync.cli.output import error_console, print_json
from leadsync.cli.projects import open_project
from leadsync.config.loader import Project, find_project
from leadsync.config.schema import mapping_schema, project_schema
from leadsync.errors import ConfigurationError, LeadsyncError
from leadsync.events import ignore
from leadsync.newproject.files import write_schemas
from leadsync.project import connect
from leadsync.sync.account_names import AccountNames


@click.command("schema")
@click.argument("which", metavar="[project|mapping]", type=click.Choice(["project", "mapping"]), required=False)
@click.option("--write", is_flag=True, help="Write both into .leadsync/ beside leadsync.yaml, where the files look.")
@click.option("--offline", is_flag=True, help="Do not ask the account: no completions of its fields.")
@project_options
def command(which: str | None, write: bool, offline: bool, config: str | None) -> None:
    """Print the JSON Schema of leadsync.yaml (project), of a mapping, or both in one document.

    An editor with a YAML language server finds them by the first line of the files, completes keys, and underlines
    mistakes. The mapping's schema offers the account's fields, pipelines and users when they can be read, and
    refuses nothing because of them.

    \b
    Examples:
      leadsync schema --write
      leadsync schema mapping > mapping.schema.json
      leadsync schema --offline | jq '.project'
    """
    if write:
        folder = find_project(Path(config) if config else None).parent
        for name in write_schemas(folder, None if offline else _catalogue(config)):
            click.echo(name)
    elif which == "project":
        print_json(project_schema())
    else:
        mapping = mapping_schema(None if offline else _catalogue(config))
        print_json(mapping if which == "mapping" else {"project": project_schema(), "mapping": mapping})


def _catalogue(config: str | None) -> Catalogue | None:
    """The account's names; None, with the reason on stderr, when they cannot be had."""
    try:
        return run_async(_read(open_project(config)))
    except LeadsyncError as error:
        reason = error.what if isinstance(error, ConfigurationError) else str(error)
        click.echo(f"without the account's own names: {reason}", err=True)
        return None


async def _read(project: Project) -> Catalogue:
    with error_console().status("reading the account …"):
        async with connect(project, ignore, retry=IMPATIENT) as connections:
            found = await AccountNames.open(connections.client, connections.redis, connections.names)
            return found.catalogue
