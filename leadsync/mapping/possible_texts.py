"""Possible texts: all that a template can give, where that shows without a record: constants, tables, choices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from jinja2 import Environment, TemplateError, nodes

MOST = 1000
"""Texts that are looked at; a template with more is as good as one that can give anything."""

Tables = Mapping[str, Mapping[str, str]]

_PARSER = Environment(trim_blocks=True, lstrip_blocks=True)
_MARKS = ("{{", "{%", "{#")
_KEEPING = frozenset({"default", "d"})


@dataclass(frozen=True, slots=True)
class PossibleText:
    """A text that a template can give; `row` is the table and the key it comes from, when it is a whole row."""

    text: str
    row: tuple[str, str] | None = None


class _Unknown(Exception):
    """This depends on a record."""


def possible_texts(source: str, tables: Tables) -> tuple[PossibleText, ...] | None:
    """What a template can give, stripped as it is sent and without the empty text; None where only a record tells.

    A template without an expression gives one text: itself.
    """
    if not any(mark in source for mark in _MARKS):
        return _sent([PossibleText(source)])
    try:
        return _sent(_Walk(tables).of_body(_PARSER.parse(source).body))
    except (TemplateError, RecursionError, _Unknown):
        return None


def _sent(found: Iterable[PossibleText]) -> tuple[PossibleText, ...]:
    stripped = (PossibleText(one.text.strip(), one.row) for one in found)
    return tuple(dict.fromkeys(one for one in stripped if one.text))


class _Walk:
    """Walks a parsed template. Raises _Unknown for everything whose texts are not a short list."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def of_body(self, body: Iterable[nodes.Node]) -> list[PossibleText]:
        """What pieces one after the other give."""
        return self._joined([self._of_node(node) for node in body])

    def _joined(self, parts: Iterable[list[PossibleText]]) -> list[PossibleText]:
        found = [PossibleText("")]
        for part in parts:
            if len(found) * len(part) > MOST:
                raise _Unknown
            found = [_put_together(*pair) for pair in product(found, part)]
        return found

    def _of_node(self, node: nodes.Node) -> list[PossibleText]:
        if isinstance(node, nodes.Output):
            return self._joined([self._of_expression(one) for one in node.nodes])
        if isinstance(node, nodes.If):
            bodies = [node.body, *(one.body for one in node.elif_), node.else_]
            return [one for body in bodies for one in self.of_body(body)]
        raise _Unknown

    def _of_expression(self, node: nodes.Node | None) -> list[PossibleText]:
        match node:
            case None:
                return [PossibleText("")]
            case nodes.TemplateData():
                return [PossibleText(node.data)]
            case nodes.Const():
                return [PossibleText("" if node.value is None else str(node.value))]
            case nodes.CondExpr():
                return [*self._of_expression(node.expr1), *self._of_expression(node.expr2)]
            case nodes.Or():
                first = [one for one in self._of_expression(node.left) if one.text]
                return [*first, *self._of_expression(node.right)]
            case nodes.Filter(name="lookup"):
                return list(self._of_table(node))
            case nodes.Filter(name=name) if name in _KEEPING:
                return [*self._of_expression(node.node), *(one for arg in node.args for one in self._default(arg))]
            case _:
                raise _Unknown

    def _default(self, node: nodes.Node) -> list[PossibleText]:
        """What stands in the brackets of `default`: the text, and perhaps `true` after it."""
        is_switch = isinstance(node, nodes.Const) and isinstance(node.value, bool)
        return [] if is_switch else self._of_expression(node)

    def _of_table(self, node: nodes.Filter) -> Iterator[PossibleText]:
        if node.kwargs or not node.args or not all(isinstance(one, nodes.Const) for one in node.args):
            raise _Unknown
        table, *instead = [str(one.value) for one in node.args if isinstance(one, nodes.Const)]
        if table not in self._tables:
            raise _Unknown
        for key, text in self._tables[table].items():
            yield PossibleText(text, (table, key))
        yield PossibleText(instead[0] if instead else "")


def _put_together(first: PossibleText, second: PossibleText) -> PossibleText:
    """A row stays a row beside blanks, such as the line end after it."""
    row = None
    if not first.text.strip() or not second.text.strip():
        row = second.row if not first.text.strip() else first.row
    return PossibleText(first.text + second.text, row)
