"""`leadsync demo`: sample talks → embedded Redis → dry-run → run, against the sandbox."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import orjson
from redis.asyncio import Redis
from rich.rule import Rule
from rich.text import Text

from leadsync.cli.main_task import run_async
from leadsync.cli.options import log_options
from leadsync.cli.output import ProgressBar, console, print_lines
from leadsync.config.loader import Project, load_project
from leadsync.config.models import SANDBOX
from leadsync.errors import ConfigurationError
from leadsync.newproject.files import write_schemas
from leadsync.pipeline import Pipeline
from leadsync.report.line import Line
from leadsync.report.plan_text import diff_lines, summary_lines
from leadsync.report.record_diff import record_diffs
from leadsync.report.run_text import run_lines
from leadsync.settings import Settings
from leadsync.sync.results import Plan, RunReport

PACKAGE = Path(__file__).parent.parent
SHOWN_RECORDS = 3
"""Records whose diff is shown whole; the rest is counted."""


@click.command("demo")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default="leadsync-demo")
@log_options
def command(folder: Path) -> int:
    """Sample talks through the whole thing: FOLDER gets a project with its own Redis and its own amoCRM look-alike.

    Nothing outside FOLDER is touched, no account is needed. A second demo in the same FOLDER finds nothing to change.
    """
    project = demo_project(_project_folder(folder))
    out = console()
    plan, report, again = run_async(_demo(project))
    out.print(Rule("dry-run: what would happen", align="left"))
    print_lines(_some_of(plan))
    out.print(Rule("run: what happened", align="left"))
    print_lines(run_lines(report))
    out.print(Rule("dry-run again", align="left"))
    print_lines(summary_lines(again, 6.5))
    out.print(Rule("try next", align="left"))
    print_lines(_next_steps(folder))
    return 3 if report.refused else 0


def _project_folder(folder: Path) -> Path:
    """The demo's project: the sample files, copied where they are not there yet; edited ones stay."""
    sample = PACKAGE / "sample"
    files = sample if (sample / "leadsync.yaml").exists() else PACKAGE.parent
    try:
        (folder / "mappings").mkdir(parents=True, exist_ok=True)
        for name in ("leadsync.yaml", *(f"mappings/{one.name}" for one in (files / "mappings").glob("*.yaml"))):
            if not (folder / name).exists():
                shutil.copyfile(files / name, folder / name)
    except OSError as error:
        raise ConfigurationError(f"cannot write the demo: {error.strerror}", where=str(folder)) from None
    list(write_schemas(folder, None))  # the files' first lines lead an editor there
    return folder / "leadsync.yaml"


def demo_project(path: Path) -> Project:
    """The demo's project, led to the Redis and the look-alike of its own folder, whatever its files and .env say.

    The sample talks must never end in somebody's real account. Raises ConfigurationError.
    """
    for name in Settings.model_fields:
        os.environ.pop(name.upper(), None)
    project = load_project(path)
    if (path.parent / ".env").exists():
        said = f"{path.parent / '.env'} is left aside: a demo has its own Redis and its own amoCRM look-alike"
        click.echo(f"{said}. The other commands do read it there.", err=True)
    amocrm = project.file.amocrm.model_copy(update={"subdomain": SANDBOX})
    redis = project.file.redis.model_copy(update={"url": "embedded"})
    file = project.file.model_copy(update={"amocrm": amocrm, "redis": redis})
    return replace(project, file=file, settings=Settings.model_construct())


async def _demo(project: Project) -> tuple[Plan, RunReport, Plan]:
    with ProgressBar("dry-run") as progress:
        async with Pipeline(project, listener=progress) as pipeline:
            await load_talks(pipeline.connections.redis)
            source = next(iter(project.sources))
            plan = await pipeline.plan(source)
            progress.begin("run")
            async with Pipeline(project, listener=progress) as running:  # it counts its own requests, not the plan's
                report = await running.run(source)
            progress.begin("dry-run again")
            return plan, report, await pipeline.plan(source)


def sample_talks() -> Iterator[dict[str, Any]]:
    """The sample talks: two dozen, from Telegram, Avito and a web chat."""
    for line in (PACKAGE / "sample" / "dialogs.jsonl").read_bytes().splitlines():
        yield orjson.loads(line)


async def load_talks(redis: Redis) -> None:
    """Write the sample talks as bots do: Avito's as a hash with a list of messages, the others as one JSON string."""
    async with redis.pipeline(transaction=True) as pipe:
        for talk in sample_talks():
            key = f"dialog:{talk['id']}"
            if talk["source"] == "avito":
                messages = [orjson.dumps(one) for one in talk.pop("messages")]
                pipe.delete(f"{key}:messages")
                pipe.hset(key, mapping={name: _plain(value) for name, value in talk.items() if value is not None})
                pipe.rpush(f"{key}:messages", *messages)
            else:
                pipe.set(key, orjson.dumps(talk))
        await pipe.execute()


def _plain(value: Any) -> str | bytes:
    return value if isinstance(value, str) else orjson.dumps(value)


def _some_of(plan: Plan) -> Iterator[Line | Text]:
    diffs = record_diffs(plan)
    for diff in diffs[:SHOWN_RECORDS]:
        yield from diff_lines(diff)
        yield Text()
    others = len(diffs) - SHOWN_RECORDS
    if others > 0:
        yield Text(f"… and {others} more talks\n", style="dim")
    yield from summary_lines(plan, 6.5)


def _next_steps(folder: Path) -> Iterator[Text]:
    yield Text(f"Everything is in {folder}/: the project, its Redis, its amoCRM look-alike.")
    yield Text(f"  cd {folder}", style="bold")
    for line, why in (
        ("leadsync fields", "what the account calls its fields"),
        ("leadsync dry-run", "edit a mapping, then see what it would change"),
        ("leadsync run", "bring it into the CRM"),
    ):
        yield Text(f"  {line:<18}", style="bold").append(why, style="not bold dim")
