"""Nodes: what stands in a YAML file, each with its place, built from the parser's events and from nothing else.

No tag is obeyed and no object is made, so a file can do nothing. What is wrong is collected and reading goes on, until
the parser itself cannot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml import events

from leadsync.config.file_lines import FileLines
from leadsync.config.scalars import plain
from leadsync.config.substitution import expand, mentions_variable
from leadsync.config.syntax import QUOTE_TEMPLATE, TEMPLATE_UNQUOTED, syntax_problem
from leadsync.errors import Place, Problem

MAX_DEPTH = 64
"""Levels of nesting; a real file has eight."""

MAX_NODES = 100_000
"""Values in one file, each alias counted as all it stands for."""

Key = str | int

_TEXT_TAGS = (None, "!", "tag:yaml.org,2002:str")
_KEY_KINDS = {bool: "true or false", float: "a number with a fraction", type(None): "nothing"}


@dataclass(slots=True)
class Node:
    """One value and its place. `broken`: a problem was told about it, so its value says nothing. `partial`: some of its
    keys were told about and left out. `from_variable`: the value came from `${…}` and is not to be shown."""

    value: Any
    place: Place
    text_place: Place
    size: int = 1
    children: dict[Key, Node] = field(default_factory=dict)
    key_places: dict[Key, Place] = field(default_factory=dict)
    broken: bool = False
    partial: bool = False
    from_variable: bool = False


class _Stop(Exception):
    """Reading cannot go on."""


class Composer:
    """Builds the nodes of one file; `problems` grows while it does."""

    def __init__(self, lines: FileLines, variables: Mapping[str, str]) -> None:
        self.problems: list[Problem] = []
        self._lines = lines
        self._variables = variables
        self._loader = yaml.SafeLoader(lines.text)
        self._anchors: dict[str, Node] = {}
        self._open: set[str] = set()
        self._brackets: list[Place] = []

    def compose(self) -> Node | None:
        """The root, or None when the file cannot be read to its end."""
        try:
            return self._document()
        except yaml.MarkedYAMLError as error:
            self._add_syntax(syntax_problem(error, self._lines, self._brackets))
        except (ValueError, OverflowError):  # PyYAML hands \UFFFFFFFF and endless version numbers to chr() and int()
            mark = self._loader.get_mark()
            self._tell("this character or number is out of range", self._lines.at(mark.line + 1, mark.column + 1))
        except _Stop:
            pass
        finally:
            self._loader.dispose()
        return None

    def _add_syntax(self, problem: Problem) -> None:
        """A line that was told about already confuses the parser too: once is enough."""
        if problem.place.line not in {known.place.line for known in self.problems}:
            self.problems.append(problem)

    def _document(self) -> Node:
        self._next()
        start = self._next()
        if isinstance(start, events.StreamEndEvent):
            return Node(None, self._lines.at(1), self._lines.at(1))
        root = self._node(1)
        self._next()
        if not isinstance(extra := self._next(), events.StreamEndEvent):
            do = "keep one document in a file: remove the '---' and what follows"
            self._tell("a second document begins here", self._place(extra), do)
        return root

    def _next(self) -> events.Event:
        event: events.Event = self._loader.get_event()  # type: ignore[no-untyped-call]
        return event

    def _place(self, event: events.Event) -> Place:
        return self._lines.at_offset(_start(event))

    def _tell(self, what: str, place: Place, do: str | None = None) -> None:
        self.problems.append(self._lines.problem(what, place, do))

    def _stop(self, what: str, place: Place, do: str) -> _Stop:
        self._tell(what, place, do)
        return _Stop()

    def _node(self, depth: int, event: events.Event | None = None) -> Node:
        event = event or self._next()
        if isinstance(event, events.AliasEvent):
            return self._alias(event)
        if depth > MAX_DEPTH:
            raise self._stop(f"this is nested deeper than {MAX_DEPTH} levels", self._place(event), "flatten it")
        anchor = event.anchor if isinstance(event, events.NodeEvent) else None
        if anchor is not None:
            self._open.add(anchor)
        node = self._bare_node(event, depth)
        if anchor is not None:
            self._open.discard(anchor)
            self._anchors[anchor] = node
        return node

    def _bare_node(self, event: events.Event, depth: int) -> Node:
        if isinstance(event, events.ScalarEvent):
            return self._scalar(event)
        place = self._place(event)
        in_brackets = isinstance(event, events.CollectionStartEvent) and event.flow_style
        self._brackets += [place] if in_brackets else []
        if isinstance(event, events.MappingStartEvent):
            node = self._mapping(Node({}, place, place), depth)
        else:
            node = self._sequence(Node([], place, place), depth)
        if in_brackets:
            self._brackets.pop()
        if isinstance(event, events.CollectionStartEvent) and event.tag is not None:
            self._refuse_tag(node)
        return node

    def _alias(self, event: events.AliasEvent) -> Node:
        place, name = self._place(event), event.anchor or ""
        if name in self._open:
            self._tell(f"*{shortened(name)} stands inside the value it names", place, "write the value out")
        elif name in self._anchors:
            return self._anchors[name]
        else:
            do = "put quotes around a text that begins with *"
            self._tell(f"*{shortened(name)} names nothing above it", place, do)
        return Node(None, place, place, broken=True)

    def _adopt(self, parent: Node, key: Key, child: Node, place: Place) -> None:
        parent.children[key] = child
        parent.size += child.size
        if parent.size > MAX_NODES:
            what = f"the values here grow to more than {MAX_NODES}, each alias counted as all it stands for"
            raise self._stop(what, place, "write less, or use fewer aliases")

    def _sequence(self, node: Node, depth: int) -> Node:
        while not isinstance(event := self._next(), events.SequenceEndEvent):
            child = self._node(depth + 1, event)
            self._adopt(node, len(node.value), child, self._place(event))
            node.value.append(child.value)
        return node

    def _mapping(self, node: Node, depth: int) -> Node:
        written: dict[str, Place] = {}  # 1 and "1" are one key to whoever reads the file
        while not isinstance(event := self._next(), events.MappingEndEvent):
            key = self._key(event, node, depth)
            child = self._node(depth + 1)
            place = self._place(event)
            if key is None:
                node.partial = True
            elif str(key) in written:
                self._tell_twice(key, written[str(key)], place)
            else:
                self._adopt(node, key, child, place)
                node.key_places[key] = written[str(key)] = place
                node.value[key] = child.value
        return node

    def _tell_twice(self, key: Key, first: Place, second: Place) -> None:
        what = f"the key {shortened(key)} stands twice: first in line {first.line}, column {first.column}"
        self.problems.append(self._lines.twice(what, first, second, "remove or rename one of them"))

    def _key(self, event: events.Event, parent: Node, depth: int) -> Key | None:
        """The key, or None when it cannot be one (which is told)."""
        place = self._place(event)
        if not isinstance(event, events.ScalarEvent):
            self._node(depth + 1, event)
            self._refuse_collection_key(parent, place)
            return None
        bare = event.style is None and event.tag is None
        key = plain(event.value) if bare else event.value
        if bare and key == "<<":
            self._tell("merge keys (<<) are not read here", place, "write the keys out")
        elif mentions_variable(event.value):
            self._tell("a variable cannot stand in a key", place, "write the key out; ${…} is for values")
        elif event.tag not in _TEXT_TAGS or _whole_text(event.value) is None:
            self._tell("a key must be a text or a whole number", place, "write it in quotes, without a tag")
        elif isinstance(key, str) or (isinstance(key, int) and not isinstance(key, bool)):
            return key
        else:
            kind = _KEY_KINDS[type(key)]
            self._tell(f"a key must be a text or a whole number, and this is {kind}", place, "put it in quotes")
        return None

    def _refuse_collection_key(self, parent: Node, place: Place) -> None:
        outer = parent.place
        if self._lines.line(outer.line)[outer.column - 1 :].startswith("{{"):
            parent.broken = True
            self._tell(TEMPLATE_UNQUOTED, outer, QUOTE_TEMPLATE)
        else:
            self._tell("a key must be a text or a whole number, not a list or keys of its own", place, "name the key")

    def _refuse_tag(self, node: Node) -> None:
        node.broken = True
        do = "remove the tag (the word that begins with '!'); put a text in quotes"
        self._tell("tags are not read here", node.place, do)

    def _scalar(self, event: events.ScalarEvent) -> Node:
        place = self._place(event)
        node = Node(event.value, place, self._text_place(event, place))
        if event.tag not in _TEXT_TAGS:
            self._refuse_tag(node)
            return node
        text = _whole_text(event.value)
        if text is None:
            node.broken, node.value = True, None
            self._tell("half of a character (a lone \\uD8xx escape) stands in this text", place, "write it whole")
            return node
        return self._expanded(node, text, event)

    def _expanded(self, node: Node, text: str, event: events.ScalarEvent) -> Node:
        expanded = expand(text, self._variables)
        for mistake in expanded.mistakes:
            self._tell(mistake.what, self._nth_reference(mistake.nth, event) or node.place, mistake.do)
        node.broken = bool(expanded.mistakes)
        node.from_variable = expanded.used
        typed = event.style is None and event.tag is None and (expanded.whole or not expanded.used)
        node.value = plain(expanded.text) if typed else expanded.text
        return node

    def _nth_reference(self, nth: int, event: events.ScalarEvent) -> Place | None:
        """Where the n-th `${` of a text stands; None when an escape such as \\x24 hides it."""
        offset = _start(event) - 1
        for _ in range(nth + 1):
            offset = self._lines.text.find("${", offset + 1, _end(event))
            if offset < 0:
                return None
        return self._lines.at_offset(offset)

    def _text_place(self, event: events.ScalarEvent, place: Place) -> Place:
        """Where the text itself begins: after the quote, or in the line below a `|` or `>`."""
        if event.style in ("'", '"'):
            return Place(place.file, place.line, place.column + 1)
        if event.style not in ("|", ">"):
            return place
        for number in range(place.line + 1, self._lines.at_offset(_end(event)).line + 1):
            if written := self._lines.line(number).strip("\r\n"):
                indent = len(written) - len(written.lstrip(" "))
                kept = event.value.lstrip("\n")
                own = len(kept) - len(kept.lstrip(" "))
                return Place(place.file, place.line + 1, max(indent - own, 0) + 1)
        return Place(place.file, place.line + 1, 1)


def shortened(key: Key) -> str:
    """A key for a message: cut when it is long, and nothing in it that a terminal would obey."""
    text = "".join(character if character.isprintable() else "\ufffd" for character in str(key)[:60])
    return text if len(str(key)) <= 60 else text[:57] + "…"


def _start(event: events.Event) -> int:
    return event.start_mark.index if event.start_mark else 0


def _end(event: events.Event) -> int:
    return event.end_mark.index if event.end_mark else 0


def _whole_text(text: str) -> str | None:
    r"""The text with `\ud83d\ude00` pairs joined as JSON means them; None when one half stands alone."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        return None
