"""The file of cases beside a mapping: one more case is put at its end, and nothing that stands in it is touched."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from leadsync.config.document import Document
from leadsync.config.file_lines import FileLines
from leadsync.config.nodes import Composer
from leadsync.config.reading import MAX_BYTES, Unreadable, read_lines, shown_path
from leadsync.config.scalars import plain
from leadsync.errors import ConfigurationError, Place

HEADER = """\
# Cases of {mapping}, run by `leadsync test`. What `expect` does not name is not compared.
tests:
"""

REMINDER = "# Recorded from a real talk and masked. Read it before you commit it: masking is a best effort."

_LINE_ENDS = re.compile("[\r\x85\u2028\u2029]")
"""Characters that YAML takes for the end of a line, and so would not give back as they were."""

WIDTH = 110
"""Columns after which a long text goes on in the next line."""


def append_case(path: Path, mapping: str, case: Mapping[str, Any]) -> Place:
    """Write a case to the end of a file, which is made when it is not there; the place is that of the case.

    Raises ConfigurationError, and writes nothing, when the file is wrong or its list of cases cannot be gone on with.
    """
    before = _text(path)
    document = _document(path, before) if before is not None else None
    if document is not None:
        _check_new(document, case)
    addition = _addition(before, document, case) if document is not None else _begun(mapping, case, before or "")
    after = (before or "") + addition
    written = _document(path, after)
    cases = _cases(written)
    if cases != [*(_cases(document) if document is not None else []), _plain(case)] or len(after.encode()) > MAX_BYTES:
        raise _refused(path, "one more case cannot be put at its end")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", newline="") as file:
            file.write(addition)
    except OSError as error:
        raise _refused(path, f"the file cannot be written: {error.strerror}") from None
    return written.place(*(("tests",) if isinstance(written.data, dict) else ()), len(cases) - 1)


def _text(path: Path) -> str | None:
    """What stands in the file; None when there is no such file."""
    if not path.exists():
        return None
    try:
        return read_lines(path).text
    except Unreadable as error:
        raise ConfigurationError(f"{shown_path(path)} cannot be read", problems=[error.problem]) from None


def _document(path: Path, text: str) -> Document:
    lines = FileLines(shown_path(path), text)
    composer = Composer(lines, {})
    root = composer.compose()
    told = [one for one in composer.problems if "variable" not in one.what]  # those are read by `leadsync test`
    if root is None or told:
        raise ConfigurationError(f"{shown_path(path)} has mistakes: nothing was written", problems=composer.problems)
    return Document(path, root.value, root, lines)


def _cases(document: Document | None) -> list[Any]:
    data = document.data if document is not None else None
    found = data.get("tests") if isinstance(data, dict) else data
    return found if isinstance(found, list) else []


def _check_new(document: Document, case: Mapping[str, Any]) -> None:
    """A case of the same name was recorded before. Raises ConfigurationError with its place."""
    steps = ("tests",) if isinstance(document.data, dict) else ()
    for number, one in enumerate(_cases(document)):
        if isinstance(one, dict) and "name" in case and one.get("name") == case["name"]:
            place = document.place(*steps, number)
            what = f"already recorded at {place.file}:{place.line}"
            raise ConfigurationError(what, do="delete it to record it anew; nothing was written")


def _begun(mapping: str, case: Mapping[str, Any], before: str) -> str:
    return ("" if not before or before.endswith("\n") else "\n") + HEADER.format(mapping=mapping) + _item(case, "  ")


def _addition(before: str | None, document: Document, case: Mapping[str, Any]) -> str:
    """The text of one more item, under the dashes of those that are there."""
    text = before or ""
    break_ = "" if not text or text.endswith("\n") else "\n"
    if document.data is None:
        return _begun(document.path.name.replace(".tests.yaml", ".yaml"), case, text)
    if _cases(document):
        steps = ("tests",) if isinstance(document.data, dict) else ()
        place = document.place(*steps)
        line = document.file_lines.line(place.line)
        if line[place.column - 1 : place.column] != "-":
            what = "its cases stand in brackets, so that none can be put behind them"
            raise _refused(document.path, what, place)
        return f"{break_}\n{_item(case, ' ' * (place.column - 1))}"
    if isinstance(document.data, dict) and document.data.get("tests", ...) is None:
        return break_ + _item(case, "  ")
    raise _refused(document.path, "it holds no list of cases that could be gone on with", document.place())


def _refused(path: Path, what: str, place: Place | None = None) -> ConfigurationError:
    do = "write its cases one below the other, each behind a dash; nothing was written"
    return ConfigurationError(what, where=place or shown_path(path), do=do)


def _item(case: Mapping[str, Any], indent: str) -> str:
    dumped = yaml.dump([_escaped(case)], Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=WIDTH)
    return "".join(f"{indent}{line}\n" if line else "\n" for line in [REMINDER, *dumped.removesuffix("\n").split("\n")])


def _escaped(value: Any) -> Any:
    """The value with every `${` doubled: it is what somebody said, not a variable."""
    if isinstance(value, Mapping):
        return {name: _escaped(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_escaped(inner) for inner in value]
    return value.replace("${", "$${") if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    return {name: _plain(inner) for name, inner in value.items()} if isinstance(value, Mapping) else value


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks; quotes around what would not read back as the text it is."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text_node(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    if _LINE_ENDS.search(text):
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
    if "\n" in text:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")
    style = None if isinstance(plain(text), str) and not text.startswith(("=", "+")) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text_node)
