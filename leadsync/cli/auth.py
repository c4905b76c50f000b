"""`leadsync auth`: log in to amoCRM by OAuth, see how long the login lasts, end it."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from urllib.parse import parse_qsl, urlsplit

import click

from leadsync.amocrm.login import finish_login
from leadsync.amocrm.oauth import LOGIN, OAuthClient
from leadsync.amocrm.tokens import STATE_LIFE, LoginStates, Tokens
from leadsync.cli.callback import can_listen, listening
from leadsync.cli.logins import (
    Login,
    Way,
    login_json,
    login_lines,
    login_of,
    login_without_tokens,
    nothing_set,
    span,
    until,
    verdict,
    way_of,
)
from leadsync.cli.main_task import run_async
from leadsync.cli.options import format_option, project_options
from leadsync.cli.output import print_json, print_lines
from leadsync.cli.projects import open_project
from leadsync.config.loader import Project
from leadsync.errors import AuthorizationRequired, ConfigurationError
from leadsync.events import ignore
from leadsync.project import Connections, connect

NOT_NEEDED = {
    Way.SANDBOX: (
        "no login is needed: this is the built-in sandbox. To try a login, run `leadsync sandbox` and set the "
        "variables it prints"
    ),
    Way.TOKEN: (
        "no login is needed: AMOCRM_ACCESS_TOKEN holds a long-lived token. Unset it to log in through an integration"
    ),
}


@click.group("auth")
def command() -> None:
    """Log in to amoCRM, see the login, end it.

    A private integration's id, secret key and redirect URI stand in AMOCRM_CLIENT_ID, AMOCRM_CLIENT_SECRET and
    AMOCRM_REDIRECT_URI (the environment or .env). The tokens are kept in Redis and renew themselves. With a long-lived
    token in AMOCRM_ACCESS_TOKEN, or with the built-in sandbox, no login is needed.
    """


@command.command("login", short_help="Print the address of the login, and wait until it is done.")
@click.option(
    "--timeout",
    type=click.IntRange(1, STATE_LIFE),
    default=STATE_LIFE,
    metavar="SECONDS",
    help=f"How long to wait for the browser to come back.  [default: {STATE_LIFE}, which is also the most]",
)
@click.option("--no-wait", is_flag=True, help="Only print the address; finish with `leadsync auth exchange`.")
@project_options
def login(timeout: int, no_wait: bool, config: str | None) -> None:
    """Print the address where a person allows the integration, and wait until it is done.

    When the redirect URI leads to this machine (http://localhost:8080/…), leadsync listens there and does the rest.
    Otherwise finish with `leadsync auth exchange`.

    \b
    Examples:
      leadsync auth login
      leadsync auth login --timeout 120
      xdg-open "$(leadsync auth login --no-wait)"
    """
    project = open_project(config)
    way = way_of(project)
    if way in NOT_NEEDED:
        click.echo(NOT_NEEDED[way])
        return
    if way is Way.NONE:
        raise nothing_set(project)
    run_async(log_in(project, timeout, no_wait))


async def log_in(project: Project, seconds: int, no_wait: bool) -> None:
    """Print the address, and wait for the browser where it can come back to this machine. Raises AmoCRMAPIError."""
    redirect_uri = project.settings.amocrm_redirect_uri or ""
    async with connect(project, ignore) as connections:
        oauth, states = _integration(connections)
        if no_wait or not can_listen(redirect_uri):
            await _print_address(oauth, states)
            click.echo(_by_hand(redirect_uri), err=True)
            return

        finish = partial(finish_login, oauth=oauth, states=states)
        async with listening(redirect_uri, finish) as outcome:
            await _print_address(oauth, states)
            click.echo(f"waiting {span(seconds)} for the browser at {redirect_uri}; Ctrl-C ends it", err=True)
            tokens = await _in_time(outcome, seconds)
    _logged_in(connections.account.name, tokens)


async def _print_address(oauth: OAuthClient, states: LoginStates) -> None:
    click.echo("open this address in a browser, choose the account, and allow the access:", err=True)
    click.echo(oauth.login_url(await states.issue()))


async def _in_time(outcome: asyncio.Future[Tokens], seconds: int) -> Tokens:
    try:
        async with asyncio.timeout(seconds):
            return await outcome
    except TimeoutError:
        what = f"nobody finished the login within {span(seconds)}; nothing was stored"
        do = f"{LOGIN} again; if the browser cannot reach this machine, add --no-wait"
        raise AuthorizationRequired(what, do=do) from None


def _by_hand(redirect_uri: str) -> str:
    return (
        f"then the browser goes to {redirect_uri}?code=…; a page that does not load is no harm.\n"
        "Within 20 minutes give the whole address, or the code in it, to:\n"
        "  leadsync auth exchange 'ADDRESS OR CODE'"
    )


def _logged_in(account: str, tokens: Tokens) -> None:
    click.echo(f"logged in to {account}; access token {until(tokens.expires_at, time.time())}, it renews itself")


def _integration(connections: Connections) -> tuple[OAuthClient, LoginStates]:
    if connections.oauth is None or connections.states is None:
        raise nothing_set(connections.project)
    return connections.oauth, connections.states


@command.command("exchange", short_help="Finish a login by hand, with the code.")
@click.argument("code", metavar="CODE")
@project_options
def exchange(code: str, config: str | None) -> None:
    """Finish a login by hand: CODE is what amoCRM put into the browser's address bar, or that whole address.

    A code works once and lives 20 minutes. The whole address (in quotes) is better: its `state` shows that this login
    was begun here, and its `referer` that it is the right account.

    \b
    Examples:
      leadsync auth exchange def50200…
      leadsync auth exchange 'https://example.com/callback?code=def50200…&state=…&referer=example.amocrm.ru'
    """
    project = open_project(config)
    way = way_of(project)
    if way in NOT_NEEDED:
        raise ConfigurationError("the code was not exchanged: nothing would use its tokens", do=NOT_NEEDED[way])
    if way is Way.NONE:
        raise nothing_set(project)
    run_async(exchange_code(project, code.strip()))


async def exchange_code(project: Project, code: str) -> None:
    """Turn a code, or the address that holds it, into stored tokens. Raises AmoCRMAPIError, ConfigurationError."""
    async with connect(project, ignore) as connections:
        oauth, states = _integration(connections)
        address = urlsplit(code)
        if address.scheme or address.query:
            answer = dict(parse_qsl(address.query))
            if "state" not in answer:
                what = "this address holds no `state`: it is not whole"
                raise AuthorizationRequired(what, do="put the address in quotes, or give the code alone")
            tokens = await finish_login(answer, oauth=oauth, states=states)
        else:
            tokens = await oauth.exchange(code)
    _logged_in(connections.account.name, tokens)


@command.command("status", short_help="Show how leadsync logs in, and for how long that lasts.")
@format_option("text", "json")
@project_options
def status(format_: str, config: str | None) -> int:
    """Show how leadsync logs in and how long the tokens live; amoCRM is not asked. Ends with 77 when a login is needed.

    \b
    Examples:
      leadsync auth status
      leadsync auth status --format json | jq .access_until
    """
    project = open_project(config)
    found = run_async(stored_login(project)) if way_of(project) is Way.INTEGRATION else login_without_tokens(project)
    now = time.time()
    if format_ == "json":
        print_json(login_json(found, now))
    else:
        print_lines(login_lines(found, now))
    return verdict(project, found, now)


async def stored_login(project: Project) -> Login:
    """The login of a project that uses an integration; amoCRM is not asked. Raises StateUnavailable."""
    async with connect(project, ignore) as connections:
        return await login_of(connections)


@command.command("logout", short_help="Forget both tokens of this account.")
@project_options
def logout(config: str | None) -> None:
    """Forget both tokens of this account.

    amoCRM is not told: the integration stays allowed there until it is switched off in the account's settings.

    \b
    Example:
      leadsync auth logout
    """
    project = open_project(config)
    if way_of(project) is Way.SANDBOX:
        click.echo(NOT_NEEDED[Way.SANDBOX])
        return
    run_async(_logout(project))
    if way_of(project) is Way.TOKEN:
        click.echo("AMOCRM_ACCESS_TOKEN is still set, and leadsync goes on using it: unset it", err=True)


async def _logout(project: Project) -> None:
    async with connect(project, ignore) as connections:
        account = connections.account.name
        store = connections.tokens
        async with store.lock():  # a renewal under way would store its tokens after us
            held = await store.clear()
    if held:
        click.echo(f"both tokens of {account} are dropped; amoCRM still allows the integration until you switch it off")
    else:
        click.echo(f"there were no tokens of {account}")
