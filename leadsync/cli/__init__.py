"""The command `leadsync`: one file per command, imported only when it is used."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

import click

from leadsync.cli.endings import INTERRUPTED_EXIT, READER_GONE_EXIT, TERMINATED_EXIT, ReaderGone, Terminated
from leadsync.cli.streams import RESULTS, give_up_stdout, prepare_streams
from leadsync.errors import ConfigurationError, LeadsyncError

COMMANDS = {
    "demo": "Sample talks through the whole thing, against the sandbox: no account needed.",
    "init": "Make a project: leadsync.yaml and a mapping from the account's own fields.",
    "dry-run": "Show what a run would do; nothing is written.",
    "run": "Bring the talks of a source into amoCRM.",
    "explain": "One record: found, read, rendered, planned, remembered, and its last error.",
    "failed": "The records that were refused: list, show, retry, drop.",
    "status": "Last runs, what waits, the login, the pace, and what Redis holds.",
    "forget": "Remove everything leadsync remembers of a person, and say what.",
    "rebuild": "Restore what leadsync remembers from the account's leads (needs `key_field`).",
    "validate": "Check the files, then the names against the account, then what can be reached.",
    "test": "Run the mappings' own tests, or write one from a real talk.",
    "fields": "List the account's custom fields, pipelines, statuses and users.",
    "auth": "Log in to amoCRM, see the login, end it.",
    "serve": "Serve HTTP: bots in any language POST their talks.",
    "sandbox": "Run the amoCRM look-alike on a port of its own.",
    "schema": "Print or write the JSON Schemas that editors complete and check the files by.",
}
"""Every command with its one line for `--help`, in the order a newcomer meets them."""

EXIT_CODES = """\b
Exit codes, the same for every command:
   0  done, nothing wrong
   1  failed
   2  --exit-code was given and there are changes
   3  done, but some records were refused
   4  refused to start (safety limit, stale plan)
  77  authorisation needed: leadsync auth login
  78  bad configuration or usage
 130  interrupted by Ctrl-C
 141  the reader of stdout went away
 143  interrupted by SIGTERM
"""

SELDOM = (50_000, 20, 100)
"""How often Python looks for cycles among objects: records come and go without any, and there are many of them."""

USAGE_EXIT = 78
"""Exit code of a wrong option; click's own 2 would read as `there are changes`."""


@contextmanager
def _reader_needed() -> Iterator[None]:
    """Take a closed pipe out of click's hands, which would end with a code that reads as `failed`."""
    try:
        yield
    except BrokenPipeError:
        raise ReaderGone from None


class Commands(click.Group):
    """The commands by name; each is imported from `leadsync.cli.NAME` when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = import_module(f"leadsync.cli.{name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS:
            from difflib import get_close_matches  # noqa: PLC0415 - only a slip of the keyboard needs it

            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"No such command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        with _reader_needed():
            return super().make_context(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:
        with _reader_needed():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="leadsync", message="leadsync %(version)s")
def cli() -> None:
    """Turn the talks of your bots into contacts, leads and notes in amoCRM.

    Start with `leadsync demo`; it needs no account. Make a project of your own with `leadsync init`, edit its mapping,
    look at `leadsync dry-run`, and `leadsync run`.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its code; what a user can cause ends in a message, never in a stack trace."""
    gc.set_threshold(*SELDOM)
    prepare_streams()
    sys.exit(run_command(arguments))


def run_command(arguments: list[str] | None = None) -> int:
    """Run a command; its exit code."""
    RESULTS.begun = False
    try:
        code = _code_of(arguments)
        sys.stdout.flush()
    except (ReaderGone, BrokenPipeError):
        give_up_stdout()
        return READER_GONE_EXIT
    except OSError as error:
        give_up_stdout()
        _say(f"leadsync: {error.strerror or error}" + (f"\n  at {error.filename}" if error.filename else ""))
        return LeadsyncError.exit_code
    return code


def _code_of(arguments: list[str] | None) -> int:
    try:
        result: Any = cli.main(args=arguments, prog_name="leadsync", standalone_mode=False)
    except LeadsyncError as error:
        _say(_shown(error))
        _tell_program(error, arguments)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        _tell_program(ConfigurationError(error.format_message()), arguments)
        return USAGE_EXIT
    except (click.Abort, KeyboardInterrupt) as error:
        _say("leadsync: interrupted; what was finished is remembered")
        terminated = isinstance(error.__cause__, Terminated)  # click makes an Abort of it
        return TERMINATED_EXIT if terminated else INTERRUPTED_EXIT
    return result if isinstance(result, int) else 0


def _shown(error: LeadsyncError) -> str:
    if sys.stderr is None or not sys.stderr.isatty():
        return f"leadsync: {error}"
    from leadsync.cli.excerpts import error_lines  # noqa: PLC0415 - only a mistake on a terminal needs it

    return "\n".join(error_lines(error, os.get_terminal_size(sys.stderr.fileno()).columns))


def _tell_program(error: LeadsyncError, arguments: list[str] | None) -> None:
    """Where JSON was asked for, the error is the one document on stdout; never behind another one."""
    from leadsync.cli.error_document import asks_for_json, error_json  # noqa: PLC0415 - only an error needs it

    if asks_for_json(sys.argv[1:] if arguments is None else arguments) and not RESULTS.begun:
        from leadsync.cli.output import print_json  # noqa: PLC0415 - slow to import

        print_json(error_json(error))


def _say(message: str) -> None:
    with suppress(OSError):  # nobody reads stderr: the exit code still tells
        click.echo(message, err=True)
