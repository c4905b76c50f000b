"""Conditions of leadsync.yaml over a record, `send_when`: compiled and told of like the templates of a mapping."""

from __future__ import annotations

from leadsync.config.document import Document
from leadsync.mapping.environment import MapperContext, MappingEnvironment
from leadsync.mapping.record_names import record_names
from leadsync.mapping.templates import Compiler
from leadsync.records import Record

FALSE = frozenset({"", "false", "none", "0"})
"""What a condition renders to that does not hold."""


class Condition:
    """One template that says yes or no. Raises ConfigurationError, with file and line, when it cannot be read."""

    def __init__(self, source: str, document: Document, path: tuple[str, ...], context: MapperContext) -> None:
        """`path` is where it stands in the document."""
        environment = MappingEnvironment(context)
        compiler = Compiler(document, environment)
        self._template = compiler.compile(source, *path)
        compiler.finish()
        self._functions = dict(environment.globals)
        self._history = "conversation_history" in compiler.names

    @property
    def file(self) -> str:
        """The file it stands in."""
        return self._template.place.file

    def holds(self, record: Record) -> bool:
        """Whether it renders to anything but nothing, `false`, `none` or `0`. Raises TemplateFailed."""
        names = record_names(record, self._functions, history=self._history)
        return self._template.render(names).strip().lower() not in FALSE
