"""Templates of a mapping file: compiled once, with every mistake told at its line; rendered to text."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from types import CodeType, TracebackType
from typing import Any

from jinja2 import Template as JinjaTemplate
from jinja2 import TemplateSyntaxError, UndefinedError
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context

from leadsync.config.document import Document
from leadsync.config.nearest import nearest
from leadsync.errors import ConfigurationError, Place, Problem, TemplateFailed
from leadsync.mapping.absent import UnknownNameError
from leadsync.mapping.bounds import MAX_TEXT, TooMuch, check_length
from leadsync.mapping.desired import Origin
from leadsync.mapping.direct import Piece, pieces_of, put_together
from leadsync.mapping.environment import MappingEnvironment
from leadsync.mapping.syntax import Bounding, leaves_nothing, mistakes, names

_EXPRESSION = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_LONGEST_SHOWN = 120

_SPELLING = (
    "a value is {{ phone }}, a text in it stands in quotes: {{ phone or 'none' }}; "
    "{% if … %} ends with {% endif %}, {% for … %} with {% endfor %}"
)

_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (ZeroDivisionError, "it divides by zero"),
    (RecursionError, "it calls itself without end, or its data is nested too deeply"),
    (MemoryError, "it needs too much memory"),
    (OverflowError, "a number or a range is too big"),
    (TypeError, "it puts together values that do not go together (text, number, none)"),
)
"""What an exception inside a template means; never its own message, which may hold a part of the record."""


_NO_NAMES: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Code:
    """What a template was compiled to. `names` are those it reads; `pieces` are set where it is texts and names alone;
    `shares` is true when it sets nothing that another template of the same record could see."""

    jinja: JinjaTemplate
    names: frozenset[str]
    pieces: tuple[Piece, ...] | None
    shares: bool


@dataclass(frozen=True, slots=True)
class Template:
    """One value of a mapping file. `field` is its dotted path, `place` where its text begins.

    `constant` is the text of a template without any expression; `origin` is what the value says in one line, and where
    the first expression in it stands.
    """

    field: str
    place: Place
    source: str
    environment: MappingEnvironment
    constant: str | None
    origin: Origin
    code: Code | None

    @property
    def names(self) -> frozenset[str]:
        """The names it reads."""
        return _NO_NAMES if self.code is None else self.code.names

    def render(self, values: dict[str, Any]) -> str:
        """The text for these values, which hold Jinja's globals too. Raises TemplateFailed, never anything else."""
        code = self.code
        if code is None:
            return self.constant or ""
        if code.pieces is not None and (text := put_together(code.pieces, values)) is not None:
            return _encodable(text)
        environment = self.environment
        environment.work.restart()
        try:
            context = environment.context_of(values) if code.shares else Context(environment, values, self.field, {})
            parts = list(code.jinja.root_render_func(context))
            check_length(sum(map(len, parts)))
            return _encodable("".join(parts))
        except Exception as error:
            failure = self._failure(error, values)
        raise failure  # outside of the block: the first error may hold a part of the record

    def _failure(self, error: Exception, values: Mapping[str, Any]) -> TemplateFailed:
        line = self._line(error.__traceback__)
        what, do = _explained(error, values, self.environment.project.tables)
        shown = self._expression(line, str(error.message) if isinstance(error, UnknownNameError) else None)
        return TemplateFailed(f"{what} in {shown}", field=self.field, where=line_place(self.place, line), do=do)

    def _line(self, trace: TracebackType | None) -> int:
        assert self.code is not None
        line = 1
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == self.code.jinja.filename:
                line = self.code.jinja.get_corresponding_lineno(trace.tb_lineno)
            trace = trace.tb_next
        return line

    def _expression(self, line: int, name: str | None) -> str:
        """The expression at fault: the first one from that line on, which holds the name if it is known."""
        begins = sum(len(text) for text in self.source.splitlines(keepends=True)[: line - 1])
        found = [match.group() for match in _EXPRESSION.finditer(self.source) if match.end() > begins]
        holding = [text for text in found if name is None or re.search(rf"\b{re.escape(name)}\b", text)]
        return _in_one_line((holding or found or [self.source])[0])


def line_place(place: Place, line: int) -> Place:
    """The place of a template's line, counted from 1, when its text begins at `place`."""
    return place if line <= 1 else Place(place.file, place.line + line - 1)


def _in_one_line(text: str) -> str:
    folded = " ".join(text.split())
    return folded if len(folded) <= _LONGEST_SHOWN else folded[:_LONGEST_SHOWN] + "…"


def _origin(source: str, place: Place) -> Origin:
    found = _EXPRESSION.search(source)
    line = source.count("\n", 0, found.start()) + 1 if found else 1
    return Origin(_in_one_line(source), line_place(place, line))


def _encodable(text: str) -> str:
    """Half an emoji inside the data of a record cannot be sent: it becomes a question mark."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def _explained(error: Exception, values: Mapping[str, Any], tables: Container[str]) -> tuple[str, str]:
    """What happened, and what to do about it."""
    if isinstance(error, UnknownNameError):
        name = str(error.message)
        meant = _meant(name, values, tables)
        either = f"did you mean {meant}? Otherwise " if meant else ""
        do = f"{either}correct the name, or allow for its absence: `{name} | default('')`"
        return f"`{name}` is neither a field of every record nor in this one", do
    if isinstance(error, UndefinedError):
        what = f"something this record does not have is used as if it were there ({error.message})"
        return what, "allow for its absence: `| default(…)`"
    if isinstance(error, TooMuch):
        do = f"make less of it; a template may make {MAX_TEXT:_} characters"
        return f"the template goes too far: {error.message}", do
    if isinstance(error, SecurityError):
        return (
            "the sandbox does not allow this",
            "templates see a record's data and filters only; write a filter plugin",
        )
    reason = next((text for kind, text in _REASONS if isinstance(error, kind)), "an expression fails")
    do = "allow for what this record does not have: `| default(…)`; try it with `leadsync dry-run --record KEY`"
    return f"{reason} ({type(error).__name__})", do


def _meant(name: str, values: Mapping[str, Any], tables: Container[str]) -> str | None:
    """What an unknown name was surely meant to be; it is repeated, and nothing else of the record's own data."""
    if name in tables:
        return f"the table '{name}', in quotes"
    data = values.get("metadata")
    if isinstance(data, Mapping) and name in data:
        return f"`metadata.{name}`"
    near = nearest(name, (known for known in values if known != name))
    return f"`{near}`" if near else None


class Compiler:
    """Compiles the templates of one file and collects what is wrong with them; `names` are all they read."""

    def __init__(self, document: Document, environment: MappingEnvironment) -> None:
        self._document = document
        self._environment = environment
        self._problems: list[Problem] = []
        self.names: frozenset[str] = frozenset()

    def compile(self, source: str, *path: str | int) -> Template:
        """The template at a path of the file; after a mistake an empty one, so that the others are looked at too."""
        place = self._document.text_place(*path)
        before = len(self._problems)
        field = ".".join(map(str, path))
        code = self._code(source, f"<mapping {place.file} {field}>", place)
        constant = "" if len(self._problems) > before else None if code else source.rstrip("\n")
        return Template(field, place, source, self._environment, constant, _origin(source, place), code)

    def finish(self) -> None:
        """Raise ConfigurationError with every problem there was, as they stand in the file."""
        problems = sorted(self._problems, key=lambda problem: (problem.place.line, problem.place.column))
        if problems:
            what = f"{len(problems)} mistake{'s' if len(problems) > 1 else ''} in the templates of this mapping"
            raise ConfigurationError(what, where=problems[0].place.file, problems=problems)

    def _code(self, source: str, filename: str, place: Place) -> Code | None:
        """A template's code; None for one without any expression, and after a mistake."""
        try:
            tree = self._environment.parse(source)
            found = list(mistakes(tree, self._environment))
            for mistake in found:
                self._tell(mistake.what, line_place(place, mistake.line), mistake.do)
            if found or _is_plain(source):
                return None
            used, pieces, shares = names(tree), pieces_of(tree), leaves_nothing(tree)
            self.names |= used
            code = self._environment.compile(Bounding(self._environment).visit(tree), filename=filename)
            assert isinstance(code, CodeType)
            jinja = JinjaTemplate.from_code(self._environment, code, self._environment.globals)
            return Code(jinja, used, pieces, shares)
        except TemplateSyntaxError as error:
            self._tell(f"the template cannot be read: {error.message}", line_place(place, error.lineno), _SPELLING)
        except (SyntaxError, RecursionError, MemoryError):
            self._tell("the template is nested too deeply", place, "make a filter plugin or a table of it")
        return None

    def _tell(self, what: str, place: Place, do: str | None = None) -> None:
        self._problems.append(self._document.problem(what, place, do))


def _is_plain(source: str) -> bool:
    return not any(mark in source for mark in ("{{", "{%", "{#"))
