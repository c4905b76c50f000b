"""What the YAML parser cannot read, in words for people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from yaml import Mark, MarkedYAMLError

from leadsync.config.file_lines import FileLines
from leadsync.errors import Place, Problem

TEMPLATE_UNQUOTED = 'a template begins with {{ or {%, and without quotes YAML takes it for "{ }"'
QUOTE_TEMPLATE = """put the whole value in quotes: "{{ … }}" """.strip()

_TEMPLATE = re.compile(r"(?:^\s*|[:\-\[,]\s+)(?P<unquoted>\{[{%])")
_VARIABLE = re.compile(r"[:\[{,]\s*(?P<unquoted>\$\{)")


@dataclass(frozen=True, slots=True)
class _Rule:
    """Words of the parser (in its problem and its context), and ours; `opening` moves the place to what was opened."""

    problem: str
    what: str
    do: str
    context: str = ""
    opening: bool = False


_RULES = (
    _Rule(r"'\\t' that cannot start", "a tab stands where YAML wants spaces", "indent with spaces"),
    _Rule(
        "that cannot start any token",
        "a text cannot begin with this character unless it is quoted",
        "put the text in quotes",
    ),
    _Rule(
        "unexpected (end of stream|document separator)",
        "a quote is opened here and never closed",
        "close the quote",
        "quoted scalar",
        opening=True,
    ),
    _Rule(
        ".", "the [ opened here is not closed, or a comma is missing", "close it with ]", "flow sequence", opening=True
    ),
    _Rule(
        ".", "the { opened here is not closed, or a comma is missing", "close it with }", "flow mapping", opening=True
    ),
    _Rule(
        "mapping values are not allowed",
        "a ':' makes a key here, where no key can stand",
        "quote a text that holds ': ', and give the keys of one section the same indentation",
    ),
    _Rule("could not find expected ':'", "this line has no ':' after its key", "write KEY: VALUE"),
    _Rule(
        "expected <block end>",
        "this does not fit the lines above it",
        "give the keys of one section the same indentation, and let nothing follow a closing quote",
    ),
    _Rule("sequence entries are not allowed", "a list cannot begin here", "put the '- ' on a line of its own"),
    _Rule(
        "escape|hexa?decimal",
        "this backslash means nothing in double quotes",
        r"use single quotes, or write \\ for a backslash",
        "double-quoted",
    ),
    _Rule("expected the node content", "a value is missing here, or a bracket is one too many", "repair the brackets"),
    _Rule("chomping or indentation", "the text of a | or > begins on the next line", "break the line here"),
)


def syntax_problem(error: MarkedYAMLError, lines: FileLines, brackets: Sequence[Place] = ()) -> Problem:
    """The parser's complaint as a Problem, where a person would mend it; `brackets` are those not closed so far."""
    problem, context = error.problem or "", error.context or ""
    if (template := _unquoted(_TEMPLATE, error, lines)) is not None:
        return lines.problem(TEMPLATE_UNQUOTED, template, QUOTE_TEMPLATE)
    if "flow" in context and (variable := _unquoted(_VARIABLE, error, lines)) is not None:
        return lines.problem("inside [ ] and { } a ${…} must be quoted", variable, 'write "${NAME}"')
    if brackets and "<stream end>" in problem:
        return lines.problem("the bracket opened here is never closed", brackets[-1], "close it")
    for rule in _RULES:
        if re.search(rule.problem, problem) and rule.context in context:
            mark = error.context_mark if rule.opening else error.problem_mark
            return lines.problem(rule.what, _place(mark, lines), rule.do)
    return lines.problem(f"this is not YAML: {problem}", _place(error.problem_mark, lines), "repair the line")


def _place(mark: Mark | None, lines: FileLines) -> Place:
    return lines.at(1) if mark is None else lines.at(mark.line + 1, mark.column + 1)


def _unquoted(pattern: re.Pattern[str], error: MarkedYAMLError, lines: FileLines) -> Place | None:
    """Where a template or variable without its quotes stands in a line the parser names: the commonest reasons."""
    for mark in (error.context_mark, error.problem_mark):
        if mark is not None and (found := pattern.search(lines.line(mark.line + 1))):
            return lines.at(mark.line + 1, found.start("unquoted") + 1)
    return None
