"""`leadsync forget`: removes what is remembered of a person."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import click
from rich.text import Text

from leadsync.cli.main_task import run_async
from leadsync.cli.options import format_option, project_options
from leadsync.cli.output import error_console, print_json, print_lines
from leadsync.cli.projects import open_project
from leadsync.config.loader import Project
from leadsync.events import ignore
from leadsync.forgetting.asked import Asked
from leadsync.forgetting.held import KINDS, Held
from leadsync.forgetting.removing import Forgetting, remove
from leadsync.forgetting.unreadable import unreadable
from leadsync.project import connect

MOST_SHOWN = 20
"""Talks in sources that are named one by one."""


@click.command("forget")
@click.option("--phone", "phones", multiple=True, metavar="PHONE", help="Whoever has this phone, in any spelling.")
@click.option("--email", "emails", multiple=True, metavar="EMAIL", help="Whoever has this e-mail.")
@click.option("--key", "keys", multiple=True, metavar="KEY", help="The record with this key.")
@click.option("--unreadable", "sealed", is_flag=True, help="What is encrypted with a key that is lost.")
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@click.option("--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")
@format_option("text", "json")
@project_options
def command(
    phones: Sequence[str], emails: Sequence[str], keys: Sequence[str], format_: str, config: str | None, **flags: bool
) -> None:
    """Remove everything that leadsync remembers of a person, and say what it was.

    --phone, --email and --key may be given together and several times. What goes: whose lead and contact it is, phones
    and e-mails, refused records, open batches, marks, lines of reports. The contact of a --key stays while other
    records have it, too.

    Nothing is changed in amoCRM: the ids are shown, so that somebody can go on there. Nor in the sources: a talk that
    still lies there is named, since the next run would make it again.

    \b
    Examples:
      leadsync forget --phone '8 (916) 123-45-67' --dry-run
      leadsync forget --email ivan@example.com --phone +79161234567 --yes
      leadsync forget --key telegram:42
    """
    if bool(phones or emails or keys) == flags["sealed"]:
        raise click.UsageError("give --phone, --email or --key, or else --unreadable")
    if not (flags["dry_run"] or flags["yes"] or _can_ask()):
        raise click.UsageError("nobody can be asked here: add --yes, or look first with --dry-run")
    project = open_project(config)
    asked = None if flags["sealed"] else Asked.of(phones, emails, keys, project.file.defaults.country)
    held, gone = run_async(_looked(project, asked)), False
    if held.counts and not flags["dry_run"]:
        if not flags["yes"]:
            _ask(held)
        held, gone = run_async(_forgotten(project, asked)), True
    if format_ == "json":
        print_json(_json(held, gone))
    else:
        print_lines(_lines(held, gone))


def _can_ask() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


async def _looked(project: Project, asked: Asked | None) -> Held:
    """What is held of them; without anybody, what nobody can read."""
    with error_console().status("looking …"):
        async with connect(project, ignore) as connections:
            return await (unreadable(connections) if asked is None else Forgetting(connections, asked).look())


async def _forgotten(project: Project, asked: Asked | None) -> Held:
    """What was held of them and is no more."""
    with error_console().status("removing …"):
        async with connect(project, ignore) as connections:
            if asked is not None:
                return await Forgetting(connections, asked).forget()
            held = await unreadable(connections)
            await remove(connections, held)
            return held


def _ask(held: Held) -> None:
    """Ask whether all this may go. Raises click.Abort."""
    for line in _counts(held):
        click.echo(line.plain, err=True)
    click.confirm("remove all this for good?", abort=True, err=True)


def _lines(held: Held, gone: bool) -> Iterator[Text]:
    if not held.counts:
        yield Text("there is nothing of that kind")
    else:
        yield Text("removed:" if gone else "would be removed:", style="bold")
        yield from _counts(held)
    yield from _kept(held)
    yield from _talks(held)


def _counts(held: Held) -> Iterator[Text]:
    for kind, count in held.counts.items():
        yield Text(f"  {count:>4} × {KINDS[kind]}")


def _kept(held: Held) -> Iterator[Text]:
    ids = {"contact": sorted(held.contacts | held.listed), "lead": sorted(held.leads)}
    named = [f"{_counted(name, found)} {', '.join(map(str, found))}" for name, found in ids.items() if found]
    if named:
        yield Text(f"nothing is removed in amoCRM: {' and '.join(named)} stay there until somebody deletes them")
    if held.shared:
        yield Text(f"still remembered, since other records have them: {', '.join(sorted(held.shared))}")


def _counted(name: str, found: Sequence[int]) -> str:
    return name if len(found) == 1 else f"{name}s"


def _talks(held: Held) -> Iterator[Text]:
    theirs = [one for one in held.talks if one.is_theirs]
    others = [one for one in held.talks if not one.is_theirs]
    if theirs:
        yield Text("still in a source; the next run would make it again unless it is removed there:", style="yellow")
    for one in theirs[:MOST_SHOWN]:
        yield Text(f"  {one.source}  {one.place}  (key {one.key})", style="yellow")
    if len(theirs) > MOST_SHOWN:
        yield Text(f"  … and {len(theirs) - MOST_SHOWN} more", style="yellow")
    if others:
        yield Text("talks of others that name them: " + ", ".join(one.place for one in others[:MOST_SHOWN]))
    for reason in held.not_looked_at:
        yield Text(f"warning: a source could not be looked through: {reason}", style="yellow")


def _json(held: Held, gone: bool) -> dict[str, Any]:
    return {
        "format_version": 1,
        "removed": gone,
        "counts": held.counts,
        "keys": sorted(held.keys),
        "contacts": sorted(held.contacts | held.listed),
        "leads": sorted(held.leads),
        "shared": sorted(held.shared),
        "talks": [asdict(one) for one in held.talks],
        "not_looked_at": held.not_looked_at,
    }
