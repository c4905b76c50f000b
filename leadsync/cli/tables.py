"""Lists of things: a table on a terminal, aligned plain text in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from leadsync.cli.output import console

_GAP = "  "


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows under a title. The first and the last column may be long: on a terminal they are the ones that wrap, unless
    `all_wrap` says that every one does."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    all_wrap: bool = False


def print_listings(listings: Iterable[Listing]) -> None:
    """Print lists on stdout, an empty line between them; those without rows are left out."""
    show = _print_table if sys.stdout.isatty() else _print_plain
    for number, listing in enumerate(one for one in listings if one.rows):
        if number:
            console().print()
        show(listing)


def _print_table(listing: Listing) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, column in enumerate(listing.columns):
        outer = number in (0, len(listing.columns) - 1)
        table.add_column(
            column, overflow="fold", no_wrap=not (outer or listing.all_wrap), style="dim" if number and outer else ""
        )
    for row in listing.rows:
        table.add_row(*map(Text, row))
    out = console()
    out.print(Text(listing.title, style="bold cyan"))
    out.print(table, soft_wrap=False)


def _print_plain(listing: Listing) -> None:
    rows = [tuple(column.upper() for column in listing.columns), *listing.rows]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    out = console()
    out.print(Text(listing.title))
    for row in rows:
        out.print(Text(_GAP.join(map(_padded, row, widths)).rstrip()))


def _padded(cell: str, width: int) -> str:
    return cell + " " * (width - cell_len(cell))
