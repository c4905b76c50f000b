"""What a template is made of: its mistakes that show without a record, and its compilation into bounded code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from leadsync.config.nearest import advice
from leadsync.mapping.environment import COUNTED, CUT, GET, JOINED, PEEK, PRESENCE, MappingEnvironment

_DEFAULTS = frozenset({"default", "d"})
_FOREIGN = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends, nodes.Block)

_LEAVING_NOTHING = (nodes.Output, nodes.For, nodes.If)

AnyNode = TypeVar("AnyNode", bound=nodes.Node)


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with a template, in which of its lines (from 1), and what to do."""

    what: str
    line: int
    do: str | None


def mistakes(tree: nodes.Template, environment: MappingEnvironment) -> Iterator[Mistake]:
    """Unknown filters, tests and tables, and statements that need other templates; in the order they stand."""
    for node in tree.find_all((nodes.Filter, nodes.Test, *_FOREIGN)):
        if isinstance(node, nodes.Filter):
            yield from _filter_mistakes(node, environment)
        elif isinstance(node, nodes.Test):
            yield from _unknown("test", node.name, node.lineno, environment.tests)
        else:
            what = f"`{type(node).__name__.lower()}` does not work here: a value of a mapping stands alone"
            yield Mistake(what, node.lineno, "write it out in this value")


def _filter_mistakes(node: nodes.Filter, environment: MappingEnvironment) -> Iterator[Mistake]:
    known = [name for name in environment.filters if not name.startswith(" ")]
    yield from _unknown("filter", node.name, node.lineno, known)
    if node.name == "lookup" and node.args and isinstance(node.args[0], nodes.Const):
        yield from _unknown("table", str(node.args[0].value), node.lineno, environment.project.tables)


def _unknown(kind: str, name: str, line: int, known: Any) -> Iterator[Mistake]:
    if name not in known:
        yield Mistake(f"there is no {kind} `{name}`", line, advice(name, known))


def names(tree: nodes.Template) -> frozenset[str]:
    """Every name a template reads."""
    return frozenset(node.name for node in tree.find_all(nodes.Name) if node.ctx == "load")


def leaves_nothing(tree: nodes.Template) -> bool:
    """Whether a template sets no name (`set`, `macro`) and nothing of how Jinja goes on."""
    return all(type(one) in _LEAVING_NOTHING for one in tree.find_all(nodes.Stmt))


class Bounding(NodeTransformer):
    """Rewrites a parsed template so that loops are counted, joins measured, and a missing key knows its path."""

    def __init__(self, environment: MappingEnvironment) -> None:
        self._environment = environment
        self._aliases: dict[str, str] = {}

    def visit_For(self, node: nodes.For) -> nodes.Node:
        """`{% for m in messages %}`: each pass is paid for; `m.x` is `messages.x` in reports."""
        self._remember(node.target, node.iter)
        node = self._inside(node)
        assert isinstance(node.iter, nodes.Expr)
        node.iter = self._called(COUNTED, node.iter)
        return node

    def visit_Assign(self, node: nodes.Assign) -> nodes.Node:
        """`{% set c = metadata.client %}`: `c.city` is `metadata.client.city` in reports."""
        self._remember(node.target, node.node)
        return self._inside(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        """`a ~ b`."""
        node = self._inside(node)
        return self._called(JOINED, nodes.List(node.nodes, lineno=node.lineno))

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:
        """`a.b`."""
        return self._looked_up(node, GET)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        """`a[b]` and `a[b:c]`."""
        if not isinstance(node.arg, nodes.Slice):
            return self._looked_up(node, GET)
        node = self._inside(node)
        cut = node.arg
        ends = [end or nodes.Const(None, lineno=node.lineno) for end in (cut.start, cut.stop, cut.step)]  # type: ignore[attr-defined]
        return self._called(CUT, node.node, *ends)

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:
        """`a.b | default(…)`: the author knows that the key may be missing."""
        return self._with_first(node) if node.name in _DEFAULTS and node.node is not None else self._inside(node)

    def visit_Test(self, node: nodes.Test) -> nodes.Node:
        """`a.b is defined` and `a.b is none`: the same."""
        return self._with_first(node) if node.name in {*PRESENCE, "none"} else self._inside(node)

    def _with_first(self, node: nodes.Filter | nodes.Test) -> nodes.Node:
        assert node.node is not None
        node.node = self._without_notice(node.node)
        node.args = [self.visit(argument) for argument in node.args]
        node.kwargs = [self.visit(argument) for argument in node.kwargs]
        return node

    def _inside(self, node: AnyNode) -> AnyNode:
        return self.generic_visit(node)  # type: ignore[return-value]

    def _without_notice(self, node: nodes.Expr) -> nodes.Expr:
        if isinstance(node, nodes.Getattr) or (
            isinstance(node, nodes.Getitem) and not isinstance(node.arg, nodes.Slice)
        ):
            return self._looked_up(node, PEEK)
        return self._visited(node)

    def _looked_up(self, node: nodes.Getattr | nodes.Getitem, how: str) -> nodes.Expr:
        named = isinstance(node, nodes.Getattr) or (
            isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str)
        )
        # A key that is computed may be a part of the record, so it never becomes a name in a report.
        path = nodes.Const(_path(node, self._aliases) if named else "", lineno=node.lineno)
        value = self._without_notice(node.node) if how == PEEK else self._visited(node.node)
        if isinstance(node, nodes.Getattr):
            return self._called(how, value, nodes.Const(node.attr, lineno=node.lineno), path)
        return self._called(how, value, self._visited(node.arg), path)

    def _visited(self, node: nodes.Expr) -> nodes.Expr:
        seen: nodes.Expr = self.visit(node)
        return seen

    def _called(self, name: str, value: nodes.Expr, *args: nodes.Expr) -> nodes.Filter:
        call = nodes.Filter(value, name, list(args), [], None, None, lineno=value.lineno)
        call.set_environment(self._environment)
        return call

    def _remember(self, target: nodes.Node, value: nodes.Node) -> None:
        path = _path(value, self._aliases)
        if isinstance(target, nodes.Name) and path:
            self._aliases[target.name] = path


def _path(node: nodes.Node | None, aliases: dict[str, str]) -> str:
    """How a person would name what an expression reads: `metadata.client`, `messages` for one of them; or nothing."""
    if isinstance(node, nodes.Name):
        return aliases.get(node.name, node.name)
    if isinstance(node, nodes.Getattr):
        return ".".join(filter(None, (_path(node.node, aliases), node.attr)))
    if isinstance(node, nodes.Getitem):
        key = node.arg.value if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str) else None
        return ".".join(filter(None, (_path(node.node, aliases), key)))
    return _path(node.node, aliases) if isinstance(node, nodes.Filter) else ""
