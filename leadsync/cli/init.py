"""`leadsync init`: connect, read the account, write a commented project that works as it is."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from leadsync.amocrm.catalogue import Catalogue
from leadsync.amocrm.tokens import STATE_LIFE
from leadsync.cli.auth import exchange_code, log_in, stored_login
from leadsync.cli.callback import can_listen
from leadsync.cli.checks import IMPATIENT
from leadsync.cli.demo import PACKAGE, load_talks
from leadsync.cli.init_report import Made, made_lines
from leadsync.cli.logins import Way, nothing_set, way_of
from leadsync.cli.main_task import run_async
from leadsync.cli.options import log_options
from leadsync.cli.output import error_console, print_lines
from leadsync.config.loader import Project
from leadsync.config.models import SANDBOX
from leadsync.errors import AuthorizationRequired, ConfigurationError, LeadsyncError
from leadsync.events import ignore
from leadsync.newproject.draft import draft_project
from leadsync.newproject.files import existing, explained, keep_copies, project_texts, write_project
from leadsync.newproject.found_talks import NOTHING_FOUND, FoundTalks, look_for_talks
from leadsync.newproject.project_file import INBOX, USUAL_MATCH, ProjectFacts, SourceType, fitted
from leadsync.newproject.yaml_text import literal
from leadsync.project import Connections, connect
from leadsync.settings import variables
from leadsync.sync.account_names import read_catalogue

DOMAINS = ("amocrm.ru", "amocrm.com", "kommo.com")
SOURCE_TYPES = ("redis-dialogs", "jsonl")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What somebody asked for on the command line."""

    folder: Path
    subdomain: str | None
    domain: str
    redis_url: str | None
    source_type: SourceType
    match: str | None
    sample_talks: bool
    force: bool


@click.command("init")
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path, file_okay=False), default=".")
@click.option("--subdomain", metavar="NAME", help="The account.  [default: AMOCRM_SUBDOMAIN, else the sandbox]")
@click.option("--domain", type=click.Choice(DOMAINS), default=DOMAINS[0], show_default=True, help="Where it lives.")
@click.option("--redis-url", metavar="URL", help="Your Redis.  [default: REDIS_URL, else an embedded one]")
@click.option(
    "--source-type",
    type=click.Choice(SOURCE_TYPES),
    default=SOURCE_TYPES[0],
    show_default=True,
    help="Talks in Redis, or in files with one talk a line.",
)
@click.option("--match", metavar="GLOB", help="Which keys of Redis are talks.  [default: what is found there]")
@click.option("--sample-talks", is_flag=True, help="Put two dozen sample talks in, to play with in the sandbox.")
@click.option("--force", is_flag=True, help="Write over what is there, without asking.")
@log_options
def command(**options: Any) -> None:
    """Make a project in DIR (the current folder), with a mapping made from the account's own fields.

    The account is the one that DIR/.env or the environment names: AMOCRM_SUBDOMAIN with AMOCRM_ACCESS_TOKEN, or with
    the three variables of an integration. Without any it is the built-in sandbox. What is written passes
    `leadsync validate`; then edit it. Files that are there already are not touched without asking.

    \b
    Examples:
      leadsync init my-project --sample-talks
      leadsync init --subdomain example --redis-url redis://localhost:6379/0
      leadsync init --match 'bot:*' --force
    """
    wishes = Wishes(**options)
    facts = _facts(wishes)
    project = draft_project(wishes.folder, facts)
    _check_wishes(wishes, project)
    keep = _files_to_keep(wishes)
    if way_of(project) is Way.INTEGRATION:
        _ensure_login(project)
    made = run_async(_make(wishes, facts, project, keep))
    print_lines(made_lines(made))


def _facts(wishes: Wishes) -> ProjectFacts:
    """What leadsync.yaml will say: an option as it is, else the variable, so that .env goes on deciding."""
    environment = variables(wishes.folder)
    subdomain = wishes.subdomain and literal(wishes.subdomain)
    if wishes.redis_url and "@" in wishes.redis_url:
        raise ConfigurationError(
            "a Redis URL with a login would stand in leadsync.yaml for everybody to read",
            where="--redis-url",
            do=f"write it into {wishes.folder / '.env'} as REDIS_URL=…, and leave the option out",
        )
    redis_url = wishes.redis_url and literal(wishes.redis_url)
    from_environment = "${REDIS_URL:?it holds what leadsync remembers}" if environment.get("REDIS_URL") else None
    return ProjectFacts(
        subdomain=subdomain or f"${{AMOCRM_SUBDOMAIN:-{_plain(environment.get('AMOCRM_SUBDOMAIN', SANDBOX))}}}",
        domain=wishes.domain,
        redis_url=redis_url or from_environment or "${REDIS_URL:-embedded}",
        source_type=wishes.source_type,
        match=wishes.match or USUAL_MATCH,
    )


def _plain(subdomain: str) -> str:
    """A subdomain for a default; one that is none is refused by its variable, not here."""
    return subdomain if subdomain.replace("-", "").isalnum() else SANDBOX


def _check_wishes(wishes: Wishes, project: Project) -> None:
    """Refuse what cannot work before anything is opened. Raises ConfigurationError."""
    way, settings = way_of(project), project.settings
    if way is Way.NONE:
        raise nothing_set(project)
    if way is Way.SANDBOX and wishes.subdomain is None and (settings.amocrm_access_token or settings.amocrm_client_id):
        raise ConfigurationError(
            "there is a login to amoCRM, but nothing says to which account",
            where="the environment or .env",
            do="set AMOCRM_SUBDOMAIN, or give --subdomain; `--subdomain sandbox` is the built-in look-alike",
        )
    if wishes.sample_talks and (way is not Way.SANDBOX or project.file.redis.url != "embedded"):
        raise ConfigurationError(
            "sample talks are for the built-in sandbox and the embedded Redis only",
            where="--sample-talks",
            do="leave the option out, or unset AMOCRM_* and REDIS_URL",
        )


def _files_to_keep(wishes: Wishes) -> set[str]:
    """The files that must stay as they are. Raises ConfigurationError where nobody can be asked."""
    there = [] if wishes.force else existing(wishes.folder)
    if there and not _on_terminal():
        raise ConfigurationError(
            f"there are files already, and nothing was written: {', '.join(there)}",
            where=str(wishes.folder),
            do="`--force` writes over them; or give another folder",
        )
    return {name for name in there if not _may_overwrite(name, there)}


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _may_overwrite(name: str, there: list[str]) -> bool:
    return click.confirm(f"{name} is there already ({there.index(name) + 1} of {len(there)}): write over it?", err=True)


def _ensure_login(project: Project) -> None:
    """Log in where nobody has: on a terminal here and now. Raises AuthorizationRequired."""
    if not run_async(stored_login(project)).is_needed(0):
        return
    section = project.file.amocrm
    if not _on_terminal():
        raise AuthorizationRequired(
            f"nobody has logged in to {section.subdomain}.{section.domain} yet, and nothing was written",
            do="`leadsync init` on a terminal leads through the login, as `leadsync auth login` does in a project; "
            "or set AMOCRM_ACCESS_TOKEN, a long-lived token",
        )
    click.echo(f"nobody has logged in to {section.subdomain}.{section.domain} yet", err=True)
    run_async(log_in(project, STATE_LIFE, no_wait=False))
    if not can_listen(project.settings.amocrm_redirect_uri or ""):
        answer = click.prompt("or give it here: the address, or the code", hide_input=True, err=True)
        run_async(exchange_code(project, answer.strip()))


async def _make(wishes: Wishes, facts: ProjectFacts, project: Project, keep: set[str]) -> Made:
    with error_console().status("reading the account …") as status:
        async with connect(project, ignore, retry=IMPATIENT) as connections:
            await _bring_samples(wishes, connections)
            catalogue = await read_catalogue(connections.client, connections.redis, connections.names)
            account = await connections.client.account()
            facts = fitted(facts, catalogue.account.timezone, account.get("country"))
            status.update("looking for talks …")
            talks = await _talks(wishes, connections, facts)
    facts = replace(facts, match=wishes.match or talks.match or facts.match)
    return _written(wishes, facts, catalogue, talks, keep, way_of(project) is Way.SANDBOX)


async def _bring_samples(wishes: Wishes, connections: Connections) -> None:
    inbox = wishes.folder / INBOX
    if wishes.source_type == "jsonl":
        with explained(inbox):
            inbox.mkdir(parents=True, exist_ok=True)
            if wishes.sample_talks:
                (inbox / "sample.jsonl").write_bytes((PACKAGE / "sample" / "dialogs.jsonl").read_bytes())
    elif wishes.sample_talks:
        await load_talks(connections.redis)


async def _talks(wishes: Wishes, connections: Connections, facts: ProjectFacts) -> FoundTalks:
    """What lies in Redis; a Redis that does not let us look is no reason to stop."""
    if wishes.source_type == "jsonl":
        return NOTHING_FOUND
    try:
        return await look_for_talks(connections.redis, ZoneInfo(facts.timezone), wishes.match)
    except LeadsyncError as error:
        click.echo(f"the talks in Redis were not looked at: {error}", err=True)
        return NOTHING_FOUND


def _written(
    wishes: Wishes, facts: ProjectFacts, catalogue: Catalogue, talks: FoundTalks, keep: set[str], is_sandbox: bool
) -> Made:
    made = project_texts(facts, catalogue, talks)
    texts = {name: text for name, text in made.texts.items() if name not in keep}
    copies = dict(keep_copies(wishes.folder, texts))
    written = tuple(write_project(wishes.folder, texts, catalogue))
    return Made(
        folder=wishes.folder,
        account=f"{catalogue.account.subdomain}.{facts.domain}",
        is_sandbox=is_sandbox,
        has_samples=wishes.sample_talks,
        facts=facts,
        catalogue=catalogue,
        talks=talks,
        filled=made.filled,
        has_key_field=made.has_key_field,
        written=written,
        kept=tuple(sorted(keep)),
        copies=copies,
    )
