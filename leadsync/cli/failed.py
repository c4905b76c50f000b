"""`leadsync failed`: the records that were refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

import click
import orjson
from rich.text import Text

from leadsync.cli.main_task import run_async
from leadsync.cli.options import format_option, project_options
from leadsync.cli.output import ProgressBar, print_json, print_lines
from leadsync.config.loader import load_project
from leadsync.errors import ConfigurationError
from leadsync.events import ignore
from leadsync.pipeline import Pipeline
from leadsync.project import connect
from leadsync.report.run_text import run_lines
from leadsync.state.refused import Refused, RefusedRecords
from leadsync.sync.results import RunReport

SOME_REFUSED = 3
Result = TypeVar("Result")


@click.group("failed")
def command() -> None:
    """The records that were refused: with their reason, the item that was sent, and what amoCRM said.

    A record that changed is tried again by the next run by itself, and so is one that only had to wait; one that was
    pushed and had to wait goes in by itself while a service or a bot lives. After mending something in the account, use
    `leadsync failed retry`.

    \b
    Examples:
      leadsync failed list
      leadsync failed show telegram:42
      leadsync failed retry telegram:42
    """


@command.command("list")
@format_option("text", "json")
@project_options
def list_(format_: str, config: str | None) -> int:
    """Every refused record, sorted by what has to be done about it."""
    (refused, told), zone = _asked(config, lambda records, zone: _with_zone(_living(records), zone))
    for warning in told:
        click.echo(f"warning: {warning}", err=True)
    refused.sort(key=lambda one: one.remedy)
    if format_ == "json":
        print_json({"format_version": 1, "refused": [_row(one) for one in refused]})
    else:
        print_lines(_list_lines(refused, zone))
    return 0


@command.command("show")
@click.argument("key")
@format_option("text", "json")
@project_options
def show(key: str, format_: str, config: str | None) -> int:
    """One refused record: everything that is known about it."""
    found, zone = _asked(config, lambda records, zone: _with_zone(records.find([key]), zone))
    if key not in found:
        raise ConfigurationError(f"{key} is not among the refused records", do="see `leadsync failed list`")
    if format_ == "json":
        print_json({"format_version": 1, **asdict(found[key])})
    else:
        print_lines(_show_lines(found[key], zone))
    return 0


@command.command("retry")
@click.argument("keys", nargs=-1)
@format_option("text", "json")
@project_options
def retry(keys: Sequence[str], format_: str, config: str | None) -> int:
    """Try refused records again, as they are now: those of KEYS, or all."""
    report = run_async(_retry(keys, config))
    if format_ == "json":
        print_json(report.as_json())
    else:
        print_lines(run_lines(report))
    return SOME_REFUSED if report.refused else 0


@command.command("drop")
@click.argument("keys", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Drop every refused record.")
@project_options
def drop(keys: Sequence[str], everything: bool, config: str | None) -> int:
    """Give refused records up: they are forgotten here. A run meets them again if their source still holds them."""
    if bool(keys) == everything:
        raise click.UsageError("give the keys to drop, or --all")

    async def dropped(records: RefusedRecords, zone: ZoneInfo) -> int:
        return await (records.drop_all() if everything else records.drop(keys))

    click.echo(f"{_asked(config, dropped)} dropped")
    return 0


async def _living(records: RefusedRecords) -> tuple[list[Refused], list[str]]:
    """Those whose time is not over, and what there is to tell of the others."""
    told = await records.expired_warnings()
    return await records.all(), told


async def _with_zone(result: Awaitable[Result], zone: ZoneInfo) -> tuple[Result, ZoneInfo]:
    return await result, zone


def _asked(config: str | None, question: Callable[[RefusedRecords, ZoneInfo], Awaitable[Result]]) -> Result:
    """Ask Redis for refused records; the CRM is not needed for it."""

    async def ask() -> Result:
        project = load_project(Path(config) if config else None)
        async with connect(project, ignore) as connections:
            return await question(connections.refused, ZoneInfo(project.file.defaults.timezone))

    return run_async(ask())


async def _retry(keys: Sequence[str], config: str | None) -> RunReport:
    with ProgressBar("retry") as progress:
        async with Pipeline.from_file(config, listener=progress) as pipeline:
            return await pipeline.retry(keys)


def _row(one: Refused) -> dict[str, object]:
    names = ("key", "source", "place", "field", "reason", "where", "remedy", "do", "tries", "at")
    return {name: getattr(one, name) for name in names}


def _list_lines(refused: Sequence[Refused], zone: ZoneInfo) -> Iterator[Text]:
    if not refused:
        yield Text("no refused records", style="green")
        return
    remedy = ""
    for one in refused:
        if one.remedy != remedy:
            remedy = one.remedy
            yield Text(remedy, style="bold")
        line = Text(f"  ✗ {one.key}", style="red").append(f"  {one.field}" if one.field else "", style="bold red")
        yield line.append(f"  {_when(one, zone)}" + (f", tried {one.tries}×" if one.tries else ""), style="dim")
        yield Text(f"      {one.reason}")
        if one.do:
            yield Text(f"      what to do: {one.do}", style="dim")
    counts = Counter(one.remedy for one in refused)
    yield Text(f"{len(refused)} refused: " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    yield Text("`leadsync failed show KEY` shows one whole, `leadsync failed retry` tries all again", style="dim")


def _show_lines(one: Refused, zone: ZoneInfo) -> Iterator[Text]:
    rows = {
        "key": one.key,
        "source": one.source,
        "found at": one.place,
        "field": one.field,
        "reason": one.reason,
        "at": one.where,
        "request": one.request,
        "remedy": one.remedy,
        "what to do": one.do,
        "tried": f"{one.tries}×, last {_when(one, zone)}" if one.tries else "",
    }
    for name, value in rows.items():
        if value:
            yield Text(f"{name:<11}", style="dim").append(str(value))
    for name, document in (("sent", one.payload), ("answer", one.answer), ("record", one.record)):
        if document:
            yield Text(name, style="bold")
            yield Text(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())


def _when(one: Refused, zone: ZoneInfo) -> str:
    return f"{datetime.fromtimestamp(one.at, zone):%d.%m.%Y %H:%M}"
