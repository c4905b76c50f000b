"""Possible texts: all that a template can give, where that shows without a record: constants, tables, choices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class Possible:
    """What a template can give, stripped as it is sent and without the empty text; `whole`: and nothing else."""

    texts: tuple[PossibleText, ...]
    whole: bool


def possible_texts(source: str, tables: Tables) -> Possible:
    """What a template is known to give. A template without an expression gives one text: itself."""
    if not any(mark in source for mark in _MARKS):
        return _possible([PossibleText(source)])
    try:
        return _possible(_Walk(tables).of_body(_PARSER.parse(source).body))
    except (TemplateError, RecursionError):
        return Possible((), False)


def _possible(found: Sequence[_Text]) -> Possible:
    texts = (PossibleText(one.text.strip(), one.row) for one in found if one is not None)
    return Possible(tuple(dict.fromkeys(one for one in texts if one.text)), None not in found)


_Text = PossibleText | None
"""A text, or anything: what only a record tells."""


class _Walk:
    """Walks a parsed template."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def of_body(self, body: Iterable[nodes.Node]) -> list[_Text]:
        """What pieces one after the other give."""
        return self._joined([self._of_node(node) for node in body])

    def _joined(self, parts: Iterable[list[_Text]]) -> list[_Text]:
        found: list[_Text] = [PossibleText("")]
        for part in parts:
            if len(found) * len(part) > MOST:
                return [None]
            found = list(dict.fromkeys(_put_together(*pair) for pair in product(found, part)))
        return found

    def _of_node(self, node: nodes.Node) -> list[_Text]:
        if isinstance(node, nodes.Output):
            return self._joined([self._of_expression(one) for one in node.nodes])
        if isinstance(node, nodes.If):
            bodies = [node.body, *(one.body for one in node.elif_), node.else_]
            return [one for body in bodies for one in self.of_body(body)]
        return [None]

    def _of_expression(self, node: nodes.Node | None) -> list[_Text]:
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
                first = [one for one in self._of_expression(node.left) if one is None or one.text]
                return [*first, *self._of_expression(node.right)]
            case nodes.Filter(name="lookup"):
                return list(self._of_table(node))
            case nodes.Filter(name=name) if name in _KEEPING:
                return [*self._of_expression(node.node), *(one for arg in node.args for one in self._default(arg))]
            case _:
                return [None]

    def _default(self, node: nodes.Node) -> list[_Text]:
        """What stands in the brackets of `default`: the text, and perhaps `true` after it."""
        is_switch = isinstance(node, nodes.Const) and isinstance(node.value, bool)
        return [] if is_switch else self._of_expression(node)

    def _of_table(self, node: nodes.Filter) -> Iterator[_Text]:
        names = [str(one.value) for one in node.args if isinstance(one, nodes.Const)]
        if node.kwargs or not names or len(names) != len(node.args) or names[0] not in self._tables:
            yield None
            return
        for key, text in self._tables[names[0]].items():
            yield PossibleText(text, (names[0], key))
        yield PossibleText(names[1] if len(names) > 1 else "")


def _put_together(first: _Text, second: _Text) -> _Text:
    """A row stays a row beside blanks, such as the line end after it."""
    if first is None or second is None:
        return None
    row = None
    if not first.text.strip() or not second.text.strip():
        row = second.row if not first.text.strip() else first.row
    return PossibleText(first.text + second.text, row)
