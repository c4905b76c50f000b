"""`python -m tests.benchmarks [ROW…]`: measure, and print a table, JSON or Markdown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import orjson

from tests.benchmarks.options import Options, Row
from tests.benchmarks.rows import ROWS
from tests.benchmarks.table import Measured, as_json, machine, markdown, print_table


@click.command(
    "python -m tests.benchmarks", epilog="\b\nRows:\n" + "\n".join(f"  {r.name:<10} {r.about}" for r in ROWS.values())
)
@click.argument("rows", nargs=-1, type=click.Choice(list(ROWS)), metavar="[ROW]...")
@click.option("--quick", is_flag=True, help="Small numbers, no bars: for work on the benchmarks themselves.")
@click.option("--rounds", type=click.IntRange(min=1), help="Rounds of each row, in place of its own number.")
@click.option("--format", "format_", type=click.Choice(["table", "json", "markdown"]), default="table")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the JSON there, too.")
def main(rows: tuple[str, ...], quick: bool, rounds: int | None, format_: str, file: Path | None) -> None:
    """Measure leadsync. Without a ROW all of them, which takes about twenty minutes.

    Ends with 1 when a figure does not meet its bar, or a row cannot be measured.
    """
    options, about = Options(quick, rounds), machine()
    measured = [_measured(ROWS[name], options) for name in rows or ROWS]
    document = orjson.dumps(as_json(measured, about), option=orjson.OPT_INDENT_2)
    if file is not None:
        file.write_bytes(document)
    if format_ == "json":
        click.echo(document.decode())
    elif format_ == "markdown":
        click.echo(markdown(measured, about))
    else:
        print_table(measured, about)
    sys.exit(any(one.failed for one in measured))


def _measured(row: Row, options: Options) -> Measured:
    """One row; what goes wrong in it does not take the figures of the others away."""
    click.echo(f"{row.name}: {row.about}", err=True)
    load = os.getloadavg()[0]
    try:
        return Measured(row.name, load, row.measure(options))
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        return Measured(row.name, load, trouble=str(error))


main()
