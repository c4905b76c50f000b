"""Doubtful names: what a template reads that no record surely has, and that looks like a slip of the finger."""

from __future__ import annotations

from collections.abc import Container, Iterator
from functools import lru_cache

from jinja2 import Environment, TemplateError, meta, nodes

from leadsync.config.loader import LoadedMapping
from leadsync.config.models import ContactSection, LeadSection, LongValue, MappingFile, Value
from leadsync.config.nearest import nearest
from leadsync.errors import Problem
from leadsync.mapping.environment import PRESENCE, plugin_filters
from leadsync.mapping.templates import line_place

RECORD_NAMES = frozenset(
    {"id", "source", "user_name", "phone", "email", "product_interest", "budget", "messages", "all_messages"}
    | {"conversation_history", "continued", "metadata", "updated_at"}
)
"""What every record has for templates (none when it is absent); a record may bring more names of its own."""

_VALUES = ("name", "first_name", "last_name", "phone", "email", "responsible", "price", "pipeline", "status")
_ALLOWING = frozenset({"default", "d"})

Path = tuple[str | int, ...]


def doubtful_names(loaded: LoadedMapping, tables: Container[str] = ()) -> list[Problem]:
    """Names that are nearly a name of every record, or that a table of leadsync.yaml has, and for whose absence the
    template does not allow.

    No mistakes: a record may bring such a name of its own.
    """
    if loaded.file.mapper is not None:
        return []
    document = loaded.document
    problems = []
    for path, source in _templates(loaded.file):
        for name, line in _unknown(source):
            if (meant := _meant(name, tables)) is not None:
                place = line_place(document.text_place(*path), line)
                do = f"did you mean {meant}? If the talks do have it, write `{name} | default('')`"
                problems.append(document.problem(f"`{name}` is no field of every record", place, do))
    return problems


def _meant(name: str, tables: Container[str]) -> str | None:
    if name in tables:
        return f"the table '{name}', in quotes"
    near = nearest(name, RECORD_NAMES)
    return None if near is None else f"`{near}`"


def _templates(file: MappingFile) -> Iterator[tuple[Path, str]]:
    yield ("key",), file.key
    if file.when is not None:
        yield ("when",), file.when
    for part, section in (("contact", file.contact), ("lead", file.lead)):
        if section is not None:
            yield from _section(part, section)
    if file.note is not None:
        yield ("note",), file.note


def _section(part: str, section: ContactSection | LeadSection) -> Iterator[tuple[Path, str]]:
    for name in _VALUES:
        yield from _value((part, name), getattr(section, name, None))
    for field, value in section.fields.items():
        yield from _value((part, "fields", field), value)
    for number, tag in enumerate(section.tags):
        yield (part, "tags", number), tag


def _value(path: Path, value: Value | None) -> Iterator[tuple[Path, str]]:
    if isinstance(value, LongValue):
        yield (*path, "value"), value.value
    elif value is not None:
        yield path, value


@lru_cache(maxsize=1)
def _parser() -> Environment:
    parser = Environment(trim_blocks=True, lstrip_blocks=True)
    parser.filters.update(plugin_filters())  # Jinja looks for names in none but templates whose filters it knows
    return parser


def _unknown(source: str) -> Iterator[tuple[str, int]]:
    """A name that not every record has, and its line in the template; each name once."""
    if "{" not in source:
        return
    try:
        tree = _parser().parse(source)
        unknown = meta.find_undeclared_variables(tree) - RECORD_NAMES - _parser().globals.keys()
    except (TemplateError, RecursionError):
        return  # told as a mistake of the template
    allowed = {
        id(name) for node in tree.find_all((nodes.Filter, nodes.Test)) for name in _allowed(node.name, node.node)
    }
    told = set[str]()
    for node in tree.find_all(nodes.Name):
        if node.name in unknown - told and id(node) not in allowed:
            told.add(node.name)
            yield node.name, node.lineno


def _allowed(called: str, node: nodes.Expr | None) -> Iterator[nodes.Name]:
    """The names for whose absence `| default(…)` or `is defined` allows."""
    if called in _ALLOWING | PRESENCE and node is not None:
        yield from [node] if isinstance(node, nodes.Name) else node.find_all(nodes.Name)
