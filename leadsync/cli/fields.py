"""`leadsync fields`: what the account calls its custom fields, pipelines, statuses and users."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import click

from leadsync.amocrm.catalogue import Catalogue, CustomField, Pipeline, Status, User, load
from leadsync.amocrm.entities import EntityType
from leadsync.cli.logins import open_project
from leadsync.cli.main_task import run_async
from leadsync.cli.options import format_option, project_options
from leadsync.cli.output import error_console, print_json
from leadsync.cli.tables import Listing, print_listings
from leadsync.config.loader import Project
from leadsync.events import ignore
from leadsync.project import connect

FIELD_COLUMNS = ("name", "code", "id", "type", "options")


@click.command("fields")
@click.argument("search", required=False)
@click.option("--companies", is_flag=True, help="Also list the fields of companies.")
@format_option("text", "json")
@project_options
def command(search: str | None, companies: bool, format_: str, config: str | None) -> None:
    """List what a mapping can name: custom fields of leads and contacts, pipelines with their statuses, users.

    SEARCH keeps what has it in its name, code or id (a user also by e-mail), in upper or lower case.

    \b
    Examples:
      leadsync fields
      leadsync fields utm
      leadsync fields --format json | jq '.fields.leads[] | {name, id}'
    """
    catalogue = run_async(_catalogue(open_project(config)))
    found = _Found(catalogue, ("leads", "contacts", "companies") if companies else ("leads", "contacts"), search or "")
    if format_ == "json":
        print_json(found.as_json())
        return
    print_listings(found.listings())
    if not catalogue.users:
        click.echo("the users are not shown to this token: only an administrator's may list them", err=True)
    if search and not any(one.rows for one in found.listings()):
        click.echo(f"nothing in this account has {search!r} in its name, code or id", err=True)


async def _catalogue(project: Project) -> Catalogue:
    with error_console().status("reading the account …"):
        async with connect(project, ignore) as connections:
            return await load(connections.client)


class _Found:
    """The part of a catalogue that is asked for."""

    def __init__(self, catalogue: Catalogue, entities: Iterable[EntityType], search: str) -> None:
        self._catalogue = catalogue
        self._entities = tuple(entities)
        self._search = search.strip().casefold()

    def fields(self, entity: EntityType) -> list[CustomField]:
        """The fields of an entity type, in the account's order."""
        known = (one for one in self._catalogue.fields if one.entity == entity)
        return [one for one in known if self._has(one.name, one.code, one.id)]

    def stages(self) -> Iterator[tuple[Pipeline, list[Status]]]:
        """The pipelines with their statuses: all of them when the pipeline itself is meant."""
        for pipeline in self._catalogue.pipelines:
            whole = self._has(pipeline.name, pipeline.id)
            statuses = [one for one in pipeline.statuses if whole or self._has(one.name, one.id)]
            if whole or statuses:
                yield pipeline, statuses

    def users(self) -> list[User]:
        """The users."""
        return [one for one in self._catalogue.users if self._has(one.name, one.email, one.id)]

    def _has(self, *names: str | int | None) -> bool:
        return any(self._search in str(name).casefold() for name in names if name is not None)

    def listings(self) -> Iterator[Listing]:
        """What is printed for people."""
        for entity in self._entities:
            yield Listing(f"Custom fields of {entity}", FIELD_COLUMNS, [_field_row(one) for one in self.fields(entity)])
        rows = [row for pipeline, statuses in self.stages() for row in _stage_rows(pipeline, statuses)]
        yield Listing("Pipelines and statuses", ("pipeline", "status", "id", ""), rows)
        people = [(one.name, one.email, str(one.id), "" if one.is_active else "not active") for one in self.users()]
        yield Listing("Users", ("name", "e-mail", "id", ""), people)

    def as_json(self) -> dict[str, Any]:
        """What is printed for programs."""
        account = self._catalogue.account
        return {
            "format_version": 1,
            "account": {"id": account.id, "name": account.name, "subdomain": account.subdomain},
            "fields": {entity: [_field_json(one) for one in self.fields(entity)] for entity in self._entities},
            "pipelines": [_pipeline_json(*one) for one in self.stages()],
            "users": [
                {"id": one.id, "name": one.name, "email": one.email, "active": one.is_active} for one in self.users()
            ],
        }


def _field_row(field: CustomField) -> tuple[str, ...]:
    kind = field.type + (", computed" if field.is_computed else "") + (", API only" if field.is_api_only else "")
    return field.name, field.code or "", str(field.id), kind, ", ".join(one.value for one in field.enums)


def _stage_rows(pipeline: Pipeline, statuses: Iterable[Status]) -> Iterator[tuple[str, ...]]:
    mark = "main" if pipeline.is_main else "archived" if pipeline.is_archive else ""
    yield pipeline.name, "", str(pipeline.id), mark
    for status in statuses:
        yield "", status.name, str(status.id), ""


def _field_json(field: CustomField) -> dict[str, Any]:
    return {
        "id": field.id,
        "name": field.name,
        "code": field.code,
        "type": field.type,
        "options": [{"id": one.id, "value": one.value, "code": one.code} for one in field.enums],
        "api_only": field.is_api_only,
        "computed": field.is_computed,
    }


def _pipeline_json(pipeline: Pipeline, statuses: Iterable[Status]) -> dict[str, Any]:
    return {
        "id": pipeline.id,
        "name": pipeline.name,
        "main": pipeline.is_main,
        "archived": pipeline.is_archive,
        "statuses": [{"id": one.id, "name": one.name} for one in statuses],
    }
