"""Differences: what a case expects against what came out, for a terminal and as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import unified_diff
from typing import Any

from rich.text import Text

from leadsync.errors import Place
from leadsync.mapping.selftest import Difference

LONGEST_EXPRESSION = 60
"""Characters of an expression that are shown; its line says where the rest is."""

MOST_LINES = 20
"""Lines of a text's diff that are shown."""


def difference_lines(difference: Difference) -> Iterator[Text]:
    """One difference: its name, then what was expected and what came, each with its line."""
    yield Text(f"      {difference.name}", style="bold")
    if "\n" in difference.expected or "\n" in difference.got:
        yield from _text_lines(difference)
        return
    width = max(len(difference.expected), len(difference.got))
    expected = Text("        expected  ").append(difference.expected.ljust(width), style="green")
    yield expected.append(f"  {shown(difference.place)}", style="dim")
    got = Text("        got       ").append(difference.got.ljust(width), style="red")
    yield got.append(f"  {made_by(difference)}", style="dim")


def _text_lines(difference: Difference) -> Iterator[Text]:
    """A text of several lines as a diff: what is missing, and what stands in its place."""
    yield Text(f"        - expected  {shown(difference.place)}", style="dim")
    yield Text(f"        + got       {made_by(difference)}", style="dim")
    expected, got = ([line.rstrip() for line in text.splitlines()] for text in (difference.expected, difference.got))
    lines = list(unified_diff(expected, got, n=1, lineterm=""))[2:]
    for line in lines[:MOST_LINES]:
        style = {"-": "green", "+": "red"}.get(line[:1], "dim")
        if not line.startswith("@@"):
            yield Text(f"        {line[:1]} {line[1:]}", style=style)
    if len(lines) > MOST_LINES:
        yield Text(f"        … and {len(lines) - MOST_LINES} more lines", style="dim")


def made_by(difference: Difference) -> str:
    """Which line of the mapping made it, and what stands there."""
    if difference.made_at is None:
        return "the mapping has no line for it"
    expression = " ".join(difference.expression.split())
    if len(expression) > LONGEST_EXPRESSION:
        expression = expression[:LONGEST_EXPRESSION] + "…"
    said = f"{shown(difference.made_at)}: {expression}" if expression else shown(difference.made_at)
    return said if difference.message is None else f"{said} (message {difference.message})"


def shown(place: Place) -> str:
    """A place as people say it: the column does not help here."""
    return f"{place.file}:{place.line}"


def difference_json(difference: Difference) -> dict[str, Any]:
    """One difference as plain data; `made_by` is None when the mapping has no line for it."""
    made = difference.made_at
    return {
        "name": difference.name,
        "expected": difference.expected,
        "got": difference.got,
        "line": difference.place.line,
        "made_by": made
        and {
            "file": made.file,
            "line": made.line,
            "expression": difference.expression,
            "message": difference.message,
        },
    }
