"""Direct: a template of texts and names alone is put together without running any of Jinja's code.

`{{ source }}:{{ id }}` and `{{ metadata.city }}` are most of a mapping, and most values are texts. Whatever else a
value is, or lacks, is left to Jinja, so that both ways give the same text for the same record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import nodes

from leadsync.mapping.bounds import MAX_TEXT

Piece = str | tuple[str, ...]
"""A text as it stands, or where a value is found: a name, then keys."""

_LARGEST_NUMBER = 10**15


def pieces_of(tree: nodes.Template) -> tuple[Piece, ...] | None:
    """What a parsed template is put together of; None when it is more than texts and names."""
    found: list[Piece] = []
    for statement in tree.body:
        if not isinstance(statement, nodes.Output):
            return None
        for node in statement.nodes:
            piece = node.data if isinstance(node, nodes.TemplateData) else _path(node)
            if piece is None:
                return None
            found.append(piece)
    return tuple(found)


def put_together(pieces: Sequence[Piece], values: Mapping[str, Any]) -> str | None:
    """The text of a template for these values; None when Jinja has to make it, or to say what is wrong."""
    texts = []
    for piece in pieces:
        text = piece if type(piece) is str else _text(piece, values)
        if text is None:
            return None
        texts.append(text)
    whole = texts[0] if len(texts) == 1 else "".join(texts)
    return whole if len(whole) <= MAX_TEXT else None


def _text(path: Sequence[str], values: Any) -> str | None:
    for name in path:
        if type(values) is not dict or name not in values:
            return None
        values = values[name]
    if type(values) is str:
        return values
    if values is None:
        return ""
    return str(values) if type(values) is int and abs(values) < _LARGEST_NUMBER else None


def _path(node: nodes.Node) -> tuple[str, ...] | None:
    keys: list[str] = []
    while not isinstance(node, nodes.Name):
        if isinstance(node, nodes.Getattr):
            keys.append(node.attr)
        elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and type(node.arg.value) is str:
            keys.append(node.arg.value)
        else:
            return None
        node = node.node
    return None if node.name == "self" else (node.name, *reversed(keys))  # Jinja has a `self` of its own
