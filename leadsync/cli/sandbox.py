"""`leadsync sandbox`: the amoCRM look-alike in the foreground, on a port of its own."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import click

from leadsync.cli.main_task import run_async
from leadsync.errors import ConfigurationError, LeadsyncError
from leadsync.sandbox import FaultRule, Sandbox

PORT = 8765


def _rules(ctx: click.Context, param: click.Parameter, lines: tuple[str, ...]) -> list[FaultRule]:
    try:
        return [FaultRule.parse(line) for line in lines]
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None


@click.command("sandbox")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="On 127.0.0.1; 0 takes a free one."
)
@click.option(
    "--data",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="SQLite file that keeps the content between starts.  [default: in memory only]",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0),
    default=7,
    show_default=True,
    metavar="N",
    help="Requests per second before it answers 429; 0 for no limit.",
)
@click.option(
    "--fault",
    "faults",
    callback=_rules,
    multiple=True,
    metavar="RULE",
    help="What goes wrong: 'METHOD PATH KIND [p=0.3] [nth=5] [every=10] [times=3] [seconds=2]'; repeatable.",
)
def command(port: int, data: Path | None, rate: float, faults: list[FaultRule]) -> None:
    """Run the amoCRM look-alike until Ctrl-C, with amoCRM's limits, refusals and quirks.

    It prints the variables that lead a leadsync project to it, as lines for a shell or a .env file. While it runs,
    `/_sandbox/switches`, `/_sandbox/faults` and `/_sandbox/requests` turn it, break it, and show what came in.

    \b
    Examples:
      leadsync sandbox
      leadsync sandbox --port 0 --data crm.db > sandbox.env
      leadsync sandbox --fault 'POST /api/v4/leads drop_after p=0.3' --fault '* /api/* 429 nth=5 times=10'
      leadsync sandbox --fault 'GET /api/v4/contacts late seconds=5'
    """
    try:
        sandbox = Sandbox(data, port, rate)
    except sqlite3.Error as error:
        raise ConfigurationError(
            f"the content file cannot be used: {error}", where=str(data), do="give --data another file, or leave it out"
        ) from error
    for rule in faults:
        sandbox.faults.add(rule)
    run_async(_serve(sandbox, port, data))


async def _serve(sandbox: Sandbox, port: int, data: Path | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await sandbox.start()
    except OSError as error:
        await sandbox.stop()
        raise LeadsyncError(
            f"the sandbox cannot listen: {error.strerror}",
            where=f"127.0.0.1:{port}",
            do="choose another --port; 0 takes a free one",
        ) from error
    try:
        click.echo("\n".join(_lines(sandbox, data)))
        click.echo("the sandbox is running; Ctrl-C ends it", err=True)
        await stop.wait()
    finally:
        await sandbox.stop()
    click.echo("the sandbox has ended", err=True)


def _lines(sandbox: Sandbox, data: Path | None) -> Iterator[str]:
    oauth = sandbox.oauth
    kept = f"kept in {data}" if data else "kept in memory only"
    yield f"# an amoCRM look-alike at {sandbox.url}, its content {kept}"
    yield f"export AMOCRM_BASE_URL={sandbox.url}"
    yield "export AMOCRM_SUBDOMAIN=sandbox"
    yield f"export AMOCRM_ACCESS_TOKEN={sandbox.long_lived_token()}"
    yield "# its integration: with these and without AMOCRM_ACCESS_TOKEN, `leadsync auth login` logs in"
    yield f"# export AMOCRM_CLIENT_ID={oauth.client_id}"
    yield f"# export AMOCRM_CLIENT_SECRET={oauth.client_secret}"
    yield f"# export AMOCRM_REDIRECT_URI={oauth.redirect_uri}"
