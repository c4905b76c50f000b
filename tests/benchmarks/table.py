"""The table that people read, the JSON that programs read, and the Markdown of the README."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.figures import Figure, amount, number

Measured = Mapping[str, Sequence[Figure]]
"""The figures of each row, by its name."""

MET = {True: "met", False: "NOT MET", None: ""}


def machine() -> dict[str, Any]:
    """Where this was measured, and how busy it was just before (load averages of 1, 5 and 15 minutes)."""
    return {
        "leadsync": version("leadsync"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load": [round(one, 2) for one in os.getloadavg()],
    }


def as_json(measured: Measured, about: Mapping[str, Any], loads: Mapping[str, float]) -> dict[str, Any]:
    """Everything as plain data; `loads` are the load averages (1 minute) before each row."""
    rows = {
        name: {"load": round(loads[name], 2), "figures": [one.as_json() for one in figures]}
        for name, figures in measured.items()
    }
    return {"format_version": 1, "machine": dict(about), "rows": rows}


def print_table(measured: Measured, about: Mapping[str, Any], loads: Mapping[str, float]) -> None:
    """Print a table to stdout: median, spread and bar of each figure."""
    table = Table(caption=caption(about), caption_justify="left", show_lines=False)
    for name in ("row", "figure", "median", "spread", "n", "bar", ""):
        table.add_column(name, justify="right" if name in ("median", "n") else "left", overflow="fold")
    for row, figures in measured.items():
        for place, one in enumerate(figures):
            low, high = one.spread
            what = f"{one.what}\n[dim]{one.of}[/dim]" if one.of else one.what
            verdict = {True: "[green]met[/green]", False: "[bold red]NOT MET[/bold red]", None: ""}[one.met]
            name = "" if place else f"{row}\n[dim]load {loads[row]:.1f}[/dim]"
            bar = "" if one.bar is None else str(one.bar)
            spread = f"{number(low)}…{number(high)}" if len(one.samples) > 1 else ""
            table.add_row(name, what, amount(one.median, one.unit), spread, str(len(one.samples)), bar, verdict)
        table.add_section()
    width = None if sys.stdout.isatty() else 120
    Console(width=width).print(table)


def markdown(measured: Measured, about: Mapping[str, Any]) -> str:
    """The table of the README: the figures that are held to a bar."""
    lines = ["| figure | median | spread | bar | |", "|---|---|---|---|---|"]
    for figures in measured.values():
        for one in figures:
            if one.bar is not None:
                low, high = one.spread
                spread = f"{number(low)}…{number(high)}" if len(one.samples) > 1 else ""
                what = f"{one.what} ({one.of})" if one.of else one.what
                lines.append(f"| {what} | {amount(one.median, one.unit)} | {spread} | {one.bar} | {MET[one.met]} |")
    return "\n".join([*lines, "", caption(about), ""])


def caption(about: Mapping[str, Any]) -> str:
    """One line about the machine."""
    load = about["load"][0]
    return (
        f"leadsync {about['leadsync']}, Python {about['python']}, {about['system']}, {about['cores']} cores,"
        f" load average {load} at the start; a ratio's samples are taken round by round in one run"
    )
