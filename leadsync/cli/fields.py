"""`leadsync fields`: what the account calls its custom fields, pipelines, statuses and users."""

from __future__ import annotations

import click

from leadsync.amocrm.catalogue import ENTITIES, Catalogue
from leadsync.amocrm.entities import EntityType
from leadsync.cli.field_search import FieldSearch
from leadsync.cli.main_task import run_async
from leadsync.cli.options import format_option, project_options
from leadsync.cli.output import error_console, print_json
from leadsync.cli.projects import open_project
from leadsync.cli.tables import print_listings
from leadsync.config.loader import Project
from leadsync.events import ignore
from leadsync.project import connect
from leadsync.sync.account_names import read_catalogue


@click.command("fields")
@click.argument("search", required=False)
@click.option(
    "--entity",
    "entities",
    type=click.Choice(ENTITIES),
    multiple=True,
    help="Only the fields of these; may be repeated.",
)
@click.option("--companies", is_flag=True, help="Also list the fields of companies.")
@format_option("text", "json")
@project_options
def command(
    search: str | None, entities: tuple[EntityType, ...], companies: bool, format_: str, config: str | None
) -> None:
    """List what a mapping can name: custom fields of leads and contacts, pipelines with their statuses, users.

    SEARCH keeps what has it in its name, code or id (a user also by e-mail), in upper or lower case. The first column
    is ready to be copied into a mapping: a name where that is one thing only, else a code or an id. When little is
    found, the lines to copy stand below.

    \b
    Examples:
      leadsync fields
      leadsync fields город
      leadsync fields --entity contacts
      leadsync fields --format json | jq '.fields.leads[] | {name, id}'
    """
    catalogue = run_async(_catalogue(open_project(config)))
    wanted: tuple[EntityType, ...] = ("leads", "contacts", "companies") if companies else ("leads", "contacts")
    found = FieldSearch(catalogue, entities or wanted, search or "", fields_only=bool(entities))
    if format_ == "json":
        print_json(found.as_json())
        return
    listings = list(found.listings())
    print_listings(listings)
    for line in found.lines_to_copy() if search else ():
        click.echo(line)
    if not catalogue.users and not entities:
        click.echo("the users are not shown to this token: only an administrator's may list them", err=True)
    if not any(one.rows for one in listings):
        click.echo(_nothing(search, entities), err=True)


def _nothing(search: str | None, entities: tuple[EntityType, ...]) -> str:
    what = f"the fields of {' and '.join(entities)}" if entities else "this account"
    return f"nothing in {what} has {search!r} in its name, code or id" if search else f"{what}: there are none"


async def _catalogue(project: Project) -> Catalogue:
    with error_console().status("reading the account …"):
        async with connect(project, ignore) as connections:
            return await read_catalogue(connections.client, connections.redis, connections.names)
