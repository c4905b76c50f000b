"""The streams of the command: what they cannot show, and what happens when they take no more."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True)
class Results:
    """Whether a document has begun on stdout: from then on nothing else may be written there."""

    begun: bool = False


RESULTS = Results()
"""Those of the command that runs."""


def prepare_streams() -> None:
    """Make stdout and stderr streams that take every character: one they cannot show becomes `?`."""
    if sys.stdout is None:  # `>&-`: the next file or socket must not become the stdout of some library
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for as long as we live
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for as long as we live
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def takes_unicode() -> bool:
    """Whether stdout can be sent every character."""
    encoding = sys.stdout.encoding or "utf-8"  # a stream in memory has none
    return encoding.lower().replace("_", "-").startswith("utf")


def give_up_stdout() -> None:
    """Send what is left to nowhere: the interpreter flushes once more at its exit, and would complain again."""
    with suppress(OSError, ValueError):  # a stream in memory has no number
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
