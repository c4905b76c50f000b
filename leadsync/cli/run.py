"""`leadsync run`: the sync."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any
from uuid import uuid4

import click

from leadsync.cli.addresses import Address, address_of
from leadsync.cli.main_task import run_async
from leadsync.cli.options import check_found, format_option, project_options, selection_options
from leadsync.cli.output import ProgressBar, print_json, print_lines
from leadsync.config.loader import Project
from leadsync.durations import seconds_of
from leadsync.errors import LeadsyncError
from leadsync.events import ignore
from leadsync.pipeline import Pipeline
from leadsync.project import connect
from leadsync.report.run_text import run_lines
from leadsync.state.runs import keep_run
from leadsync.sync.results import RunReport

SOME_REFUSED = 3

IN_SMALL_STEPS = (10_000, 5, 200)
"""How often Python looks for cycles while requests wait for their turn: one that is held up by it loses its turn."""


def _seconds(ctx: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    try:
        return None if text is None else seconds_of(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is {error}") from None


def _address(ctx: click.Context, parameter: click.Parameter, text: str | None) -> Address | None:
    try:
        return None if text is None else address_of(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no address such as 9108 or 127.0.0.1:9108") from None


@click.command("run")
@selection_options
@click.option("--plan", metavar="FILE", help="Send exactly this plan, saved by `leadsync dry-run --out FILE`.")
@click.option(
    "--max-new-leads",
    type=click.IntRange(min=0),
    metavar="N",
    help="Make up to N leads; for this run in place of safety.max_new_leads.",
)
@click.option(
    "--max-changed-share",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="Change values of up to this share (0..1) of the known leads, however few they are; in place of "
    "safety.max_changed_share, which counts from 100 on.",
)
@click.option("--follow", is_flag=True, help="Go on for ever: bring talks in as they are written.")
@click.option(
    "--drain",
    metavar="TIME",
    callback=_seconds,
    help="With --follow: how long SIGTERM or Ctrl-C waits for what is under way.  [default: 30s]",
)
@click.option(
    "--metrics",
    metavar="[HOST:]PORT",
    callback=_address,
    help="With --follow: show /metrics (Prometheus), /health and /ready there; without HOST on this machine only.",
)
@format_option("text", "json")
@project_options
def command(
    source: str | None, limit: int | None, record: str | None, format_: str, config: str | None, **more: Any
) -> int:
    """Bring the talks of a source into amoCRM.

    What did not change since the last run is not touched. Look first with `leadsync dry-run`.

    A saved plan is sent as it was seen, or not at all: when a talk, a mapping or a value in amoCRM moved since, nothing
    is written, the command names what moved and ends with 4. A plan that was interrupted can be sent again: it goes on
    where it stopped. Sent twice, it writes nothing the second time.

    With --follow it does not end: talks of all sources (or of --source) go in as they are written, and what stands in
    the way (amoCRM or Redis away, a ban, a login that is needed) is waited for. The first SIGTERM or Ctrl-C finishes
    what is under way, the second stops at once; SIGHUP reads the files again. Start it on several machines for more.

    A run that would do more than `safety:` in leadsync.yaml allows ends with 4 before its first write. The limits hold
    for a saved plan, too.

    \b
    Examples:
      leadsync run
      leadsync run --source redis-dialogs --limit 10
      leadsync run --format json > report.json
      leadsync dry-run --out plan.json && leadsync run --plan plan.json
      leadsync run --max-changed-share 0.9
      leadsync run --follow --metrics 9108
    """
    chosen = {"source": source, "limit": limit, "record": record}
    following, drain = more.pop("follow"), more.pop("drain")
    if following:
        return _follow({**chosen, **more}, config, 30.0 if drain is None else drain, format_)
    alone = {"--drain": drain, "--metrics": more.pop("metrics")}
    if wrong := [name for name, value in alone.items() if value is not None]:
        raise click.UsageError(f"{wrong[0]} goes with --follow only")
    if more["plan"] is not None:
        _alone(chosen)
    gc.set_threshold(*IN_SMALL_STEPS)
    report = run_async(_run({**chosen, **more}, config))
    check_found(record, report.records)
    _show(report, format_)
    return SOME_REFUSED if report.refused else 0


def _follow(options: dict[str, Any], config: str | None, drain: float, format_: str) -> int:
    from leadsync.cli.following import follow  # noqa: PLC0415 - a run that ends needs nothing of it

    wrong = [f"--{name}" for name in ("limit", "record", "plan") if options.pop(name) is not None]
    if wrong:
        raise click.UsageError(f"--follow goes without {' and '.join(wrong)}: it brings everything in, for ever")
    _show(follow(options.pop("source"), config, drain, **options), format_)
    return 0


def _show(report: RunReport, format_: str) -> None:
    if format_ == "json":
        print_json(report.as_json())
    else:
        print_lines([*run_lines(report), *report.remarks])


def _alone(chosen: Mapping[str, Any]) -> None:
    """A saved plan knows its source and its records."""
    named = [f"--{name}" for name, value in chosen.items() if value is not None]
    if named:
        raise click.UsageError(f"--plan goes without {' and '.join(named)}: the plan knows what it was made of")


async def _run(options: Mapping[str, Any], config: str | None) -> RunReport:
    with ProgressBar("run") as progress:
        pipeline = Pipeline.from_file(config, listener=progress)  # wrong files touch nothing
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(pipeline)
            except LeadsyncError as error:
                await _remember(pipeline.project, options["source"], error)
                raise
            return await pipeline.run(**options)


async def _remember(project: Project, source: str | None, error: LeadsyncError) -> None:
    """Let `leadsync status` show a run that could not even begin, as far as Redis answers."""
    report = RunReport(uuid4().hex[:12], source or ", ".join(project.sources), time.time())
    with suppress(LeadsyncError):
        async with connect(project, ignore) as connections:
            await keep_run(connections.redis, connections.names, report.as_json(), error)
