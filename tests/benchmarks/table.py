"""The table that people read, the JSON that programs read, and the Markdown of the README."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.benchmarks.figures import Figure, amount, number


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of one row; `load` is the load average (1 minute) before it, `trouble` why there are no figures."""

    row: str
    load: float
    figures: Sequence[Figure] = ()
    trouble: str | None = None

    @property
    def failed(self) -> bool:
        """Whether a bar was not met, or the row could not be measured."""
        return self.trouble is not None or any(one.met is False for one in self.figures)


MET = {True: "met", False: "**not met**", None: ""}


def machine() -> dict[str, Any]:
    """Where this was measured, and how busy it was just before (load averages of 1, 5 and 15 minutes)."""
    return {
        "leadsync": version("leadsync"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load": [round(one, 2) for one in os.getloadavg()],
    }


def as_json(measured: Sequence[Measured], about: Mapping[str, Any]) -> dict[str, Any]:
    """Everything as plain data."""
    rows = {
        one.row: {
            "load": round(one.load, 2),
            "figures": [figure.as_json() for figure in one.figures],
            "trouble": one.trouble,
        }
        for one in measured
    }
    return {"format_version": 1, "machine": dict(about), "rows": rows}


def print_table(measured: Sequence[Measured], about: Mapping[str, Any]) -> None:
    """Print a table to stdout: median, spread and bar of each figure."""
    table = Table(caption=caption(about), caption_justify="left")
    for name in ("row", "figure", "median", "spread", "n", "bar", ""):
        table.add_column(name, justify="right" if name in ("median", "n") else "left", overflow="fold")
    for row in measured:
        name = f"{row.row}\n[dim]load {row.load:.1f}[/dim]"
        if row.trouble is not None:
            table.add_row(name, escape(row.trouble), "", "", "", "", "[bold red]failed[/bold red]")
        for one in row.figures:
            told = ": ".join(part for part in (one.of, one.parts) if part)
            what = f"{one.what}\n[dim]{told}[/dim]" if told else one.what
            verdict = {True: "[green]met[/green]", False: "[bold red]NOT MET[/bold red]", None: ""}[one.met]
            bar = "" if one.bar is None else str(one.bar)
            table.add_row(name, what, amount(one.median, one.unit), _spread(one), str(len(one.samples)), bar, verdict)
            name = ""
        table.add_section()
    width = None if sys.stdout.isatty() else 120
    Console(width=width).print(table)


def markdown(measured: Sequence[Measured], about: Mapping[str, Any]) -> str:
    """The table of the README: the figures that are held to a bar."""
    lines = ["| | median | spread | bar | |", "|---|---|---|---|---|"]
    for one in (figure for row in measured for figure in row.figures if figure.bar is not None):
        median = amount(one.median, one.unit) + (f" ({one.parts})" if one.parts else "")
        lines.append(f"| {one.what} | {median} | {_spread(one)} | {one.bar} | {MET[one.met]} |")
    return "\n".join([*lines, "", caption(about), ""])


def _spread(figure: Figure) -> str:
    low, high = figure.spread
    return f"{number(low)}…{number(high)}" if len(figure.samples) > 1 else ""


def caption(about: Mapping[str, Any]) -> str:
    """One line about the machine."""
    load = about["load"][0]
    return (
        f"leadsync {about['leadsync']}, Python {about['python']}, {about['system']}, {about['cores']} cores,"
        f" load average {load} at the start; a ratio's samples are taken round by round in one run"
    )
