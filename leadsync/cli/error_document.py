"""What `--format json` prints when a command refuses: the error as one document, for whoever reads stdout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from leadsync.errors import ConfigurationError, LeadsyncError, Problem, RecordError


def asks_for_json(arguments: Sequence[str]) -> bool:
    """Whether a command line says `--format json`; of several the last one holds, as it does for the command."""
    asked = ""
    for number, one in enumerate(arguments):
        if one == "--":
            break
        if one == "--format":
            asked = "".join(arguments[number + 1 : number + 2])
        elif one.startswith("--format="):
            asked = one.partition("=")[2]
    return asked == "json"


def error_json(error: LeadsyncError) -> dict[str, Any]:
    """The document of an error that ended a command."""
    what = f"{error.field}: {error.what}" if isinstance(error, RecordError) and error.field else error.what
    problems = error.problems if isinstance(error, ConfigurationError) else ()
    told = {
        "what": what,
        "where": None if error.where is None else str(error.where),
        "do": error.do,
        "exit_code": error.exit_code,
        "problems": [problem_json(one) for one in problems],
    }
    return {"format_version": 1, "error": told}


def problem_json(problem: Problem) -> dict[str, Any]:
    """One mistake in a file; line and column are 0 when the whole file is meant."""
    place = problem.place
    return {"what": problem.what, "file": place.file, "line": place.line, "column": place.column, "do": problem.do}
