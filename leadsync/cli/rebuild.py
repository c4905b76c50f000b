"""`leadsync rebuild`: what Redis forgot, given back by the account's leads."""

from __future__ import annotations

import click

from leadsync.cli.main_task import run_async
from leadsync.cli.options import format_option, project_options
from leadsync.cli.output import ProgressBar, print_json
from leadsync.errors import ConfigurationError
from leadsync.pipeline import Pipeline
from leadsync.sync.rebuild import Rebuilt


@click.command("rebuild")
@format_option("text", "json")
@project_options
def command(format_: str, config: str | None) -> int:
    """Restore what leadsync remembers from the account's leads.

    Every lead whose `key_field` holds a record's key is that record's lead again; which messages stand in its notes is
    read when the record comes next. A run does this by itself when its Redis is new: this command is for certainty.
    """
    rebuilt = run_async(_rebuild(config))
    if format_ == "json":
        print_json(
            {"format_version": 1, "leads": rebuilt.leads, "restored": rebuilt.restored, "people": rebuilt.people}
        )
    else:
        click.echo(
            f"{rebuilt.leads} leads read, {rebuilt.restored} keys and {rebuilt.people} phones and e-mails restored"
        )
    return 0


async def _rebuild(config: str | None) -> Rebuilt:
    with ProgressBar("rebuild") as progress:
        async with Pipeline.from_file(config, listener=progress) as pipeline:
            if not pipeline.has_key_field:
                raise ConfigurationError(
                    "no mapping names a `key_field`, so the account cannot tell which lead is whose",
                    where=str(pipeline.project.path),
                    do="add `key_field: NAME OF A TEXT FIELD OF THE LEAD` to the mappings",
                )
            return await pipeline.rebuild()
