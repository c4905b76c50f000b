"""A YAML file becomes plain data with places, whatever stands in it, and nothing in it can do anything."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from leadsync.config.document import Document, read_document, scan_document
from leadsync.config.reading import MAX_BYTES
from leadsync.errors import ConfigurationError, Place, Problem

TALK = """\
# what a lead is made of
key: "{{ id }}"
contact: {name: Anna, "phone": '8 916'}
fields:
  612345: one
  Город: [Москва, {name: Омск}]
empty:
note: |2

    История:
  text
folded: >-
  one
  two
"""


def read(folder: Path, content: str | bytes, **variables: str) -> Document:
    return read_document(written(folder, content), variables)


def written(folder: Path, content: str | bytes) -> Path:
    file = folder / "file.yaml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def problems(folder: Path, content: str | bytes, **variables: str) -> list[Problem]:
    with pytest.raises(ConfigurationError) as caught:
        read(folder, content, **variables)
    return list(caught.value.problems)


def only(folder: Path, content: str | bytes, **variables: str) -> tuple[int, int, str]:
    (problem,) = problems(folder, content, **variables)
    return problem.place.line, problem.place.column, problem.what


@pytest.mark.parametrize(
    ("path", "value", "key", "text"),
    [
        ((), (2, 1), (2, 1), (2, 1)),
        (("key",), (2, 6), (2, 1), (2, 7)),
        (("contact",), (3, 10), (3, 1), (3, 10)),
        (("contact", "name"), (3, 17), (3, 11), (3, 17)),
        (("contact", "phone"), (3, 32), (3, 23), (3, 33)),
        (("fields", 612345), (5, 11), (5, 3), (5, 11)),
        (("fields", "612345"), (5, 11), (5, 3), (5, 11)),
        (("fields", "Город", 0), (6, 11), (6, 11), (6, 11)),
        (("fields", "Город", 1, "name"), (6, 26), (6, 20), (6, 26)),
        (("empty",), (7, 7), (7, 1), (7, 7)),
        (("note",), (8, 7), (8, 1), (9, 3)),
        (("folded",), (12, 9), (12, 1), (13, 3)),
        (("contact", "absent", "deeper"), (3, 10), (3, 1), (3, 10)),
    ],
)
def test_every_value_key_and_text_has_its_place(
    tmp_path: Path, path: tuple[str | int, ...], value: tuple[int, int], key: tuple[int, int], text: tuple[int, int]
) -> None:
    """Lines and columns count from 1, in characters; a path that leads nowhere is placed at what exists of it."""
    document = read(tmp_path, TALK)
    name = str(tmp_path / "file.yaml")
    assert document.place(*path) == Place(name, *value)
    assert document.key_place(*path) == Place(name, *key)
    assert document.text_place(*path) == Place(name, *text)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_text_begins_where_its_characters_are(tmp_path: Path, end: str) -> None:
    """The n-th line of a literal block is the n-th line of the file below its `|`, at the block's indentation."""
    document = read(tmp_path, "a:\n  note: |  # said\n\n    text\n      deeper\n".replace("\n", end))
    place = document.text_place("a", "note")
    assert document.data["a"]["note"].split("\n") == ["", "text", "  deeper", ""]
    assert (place.line, place.column) == (3, 5)
    assert document.lines(Place(place.file, 4, 5))[0] == "    text"


def test_an_empty_block_begins_in_the_line_below(tmp_path: Path) -> None:
    """A `|` without text still has a place for one."""
    assert str(read(tmp_path, "a: |\n").text_place("a")).endswith(":2:1")


@pytest.mark.parametrize(
    ("written_as", "value"),
    [
        ("true", True),
        ("TRUE", True),
        ("False", False),
        ("tRue", "tRue"),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("Off", "Off"),
        ("null", None),
        ("~", None),
        ("", None),
        ("0", 0),
        ("-12", -12),
        ("0123", "0123"),
        ("-0", "-0"),
        ("0x1F", "0x1F"),
        ("0o17", "0o17"),
        ("1_000", "1_000"),
        ("+79161234567", "+79161234567"),
        ("12:30", "12:30"),
        ("6.5", 6.5),
        ("-0.5", -0.5),
        ("1e3", 1000.0),
        ("1.5E-3", 0.0015),
        (".5", ".5"),
        ("5.", "5."),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("1e999", "1e999"),
        ("9" * 5000, "9" * 5000),
        ("2024-01-31", "2024-01-31"),
        ("'5'", "5"),
        ('"true"', "true"),
        ("! 5", "5"),
        ("!!str 5", "5"),
        (r'"\ud83d\ude00"', "😀"),
    ],
)
def test_a_bare_word_is_a_number_or_true_or_false_or_nothing_else_the_text_it_is(
    tmp_path: Path, written_as: str, value: object
) -> None:
    """YAML 1.2's narrow reading: what YAML 1.1 would make of `no`, `12:30`, `0123` or a phone never happens."""
    read_value = read(tmp_path, f"a: {written_as}\n").data["a"]
    assert (type(read_value), read_value) == (type(value), value)


def test_an_alias_is_the_value_it_names(tmp_path: Path) -> None:
    """Anchors may be used; a mistake inside is placed where the value is written."""
    document = read(tmp_path, "a: &x [1, 2]\nb: *x\nc: &x 3\nd: *x\n")
    assert document.data == {"a": [1, 2], "b": [1, 2], "c": 3, "d": 3}
    assert document.place("b", 1).line == 1


@pytest.mark.parametrize("content", ["", "# only words\n", "---\n...\n", "\ufeff"])
def test_a_file_without_a_value_is_nothing(tmp_path: Path, content: str) -> None:
    """An empty file reads as None at its beginning."""
    document = read(tmp_path, content)
    assert document.data is None
    assert document.place().line >= 1


def test_a_byte_order_mark_moves_nothing(tmp_path: Path) -> None:
    """Notepad's UTF-8 with BOM reads the same, columns included."""
    document = read(tmp_path, b"\xef\xbb\xbfa: 1\n")
    assert document.data == {"a": 1}
    assert document.place("a").column == 4


@pytest.mark.parametrize(
    ("content", "line", "column", "what"),
    [
        (b"a: 1\nb: \xcf\xf0\xe8\xe2\xe5\xf2\n", 2, 4, "byte 0xCF is not UTF-8"),
        ("a: Привет\n".encode("utf-16"), 1, 1, "the file is in UTF-16"),
        ("a: 1\n".encode("utf-16-le"), 1, 2, "a zero byte stands here"),
        (b"a: 1\n\x7fELF\x01\x02\x00", 2, 1, "a control character (U+007F) stands here"),
        (b"\x89PNG\r\n\x1a\n", 1, 1, "byte 0x89 is not UTF-8"),
        (b"a: 1\n" + b"#" * MAX_BYTES, 0, 0, f"the file has {MAX_BYTES + 5} bytes"),
    ],
)
def test_a_file_that_is_no_text_in_utf8_is_told_about(
    tmp_path: Path, content: bytes, line: int, column: int, what: str
) -> None:
    """Another encoding, a binary file and one over 1 MiB are each one problem, with the place of the first bad byte."""
    told = only(tmp_path, content)
    assert told[:2] == (line, column)
    assert told[2].startswith(what)


def test_what_is_no_file_is_told_about(tmp_path: Path) -> None:
    """A missing file, a folder, a pipe, and a path no system knows."""
    (tmp_path / "folder").mkdir()
    file = tmp_path / "file"
    file.write_text("")
    paths = {
        "absent.yaml": "there is no such file",
        "folder": "this is a folder, not a file",
        "/dev/null": "this is no regular file",
        "file/below": "the file cannot be read: not a directory",
        "a\0b": "the file cannot be read: its path is not valid",
        "x" * 5000: "the file cannot be read: file name too long",
    }
    for path, what in paths.items():
        with pytest.raises(ConfigurationError) as caught:
            read_document(tmp_path / path, {})
        assert [problem.what for problem in caught.value.problems] == [what]
        assert caught.value.problems[0].place.line == 0


def test_everything_wrong_is_told_up_to_what_the_parser_cannot_read(tmp_path: Path) -> None:
    """Twice the same key, an unset variable, a tag and an unknown alias in one reading, and then the broken line."""
    content = "a: 1\na: 2\nb: ${NO}\nc: !!int 5\nd: *x\ne: ['${NO}', '${OR}']\nf: [\n"
    places = [(problem.place.line, problem.place.column) for problem in problems(tmp_path, content)]
    assert places == [(2, 1), (3, 4), (4, 4), (5, 4), (6, 6), (6, 15), (7, 4)]


@pytest.mark.parametrize(
    "content",
    [
        "a: !!python/object/apply:os.mkdir [{path}]\n",
        "!!python/object/apply:os.mkdir [{path}]\n",
        "a: !!python/object/new:os.mkdir {{args: [{path}]}}\n",
        "!!python/name:os.mkdir : 1\n",
        "? !!python/object/apply:os.mkdir [{path}]\n: 1\n",
    ],
)
def test_a_tag_makes_nothing_happen(tmp_path: Path, content: str) -> None:
    """What PyYAML's unsafe loader would run is one problem here, and nothing runs."""
    made = tmp_path / "made"
    assert problems(tmp_path, content.format(path=made))
    assert not made.exists()


def test_an_alias_bomb_is_defused(tmp_path: Path) -> None:
    """Nine lines that stand for a thousand million values are told about at once."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    begin = time.monotonic()
    told = only(tmp_path, "\n".join(lines))
    assert told[0] == 5
    assert told[2].startswith("the values here grow to more than 100000")
    assert time.monotonic() - begin < 1


@pytest.mark.parametrize("content", ["[" * 100_000, "{a: " * 50_000, "- " * 100_000, "? " * 100_000])
def test_depth_is_bounded(tmp_path: Path, content: str) -> None:
    """A tower of brackets or dashes ends in a problem, not in Python's recursion limit."""
    assert only(tmp_path, content)[2] == "this is nested deeper than 64 levels"


@pytest.mark.parametrize(
    "content",
    [
        "".join(f"key{n}: {{value: '{{{{ x }}}}', list: [a, 5, true]}}\n" for n in range(21_000)),
        "[" + "1," * 500_000 + "]",
        "note: |\n" + "  text\n" * 140_000,
        "#\n" * 500_000,
        "a: '" + "x " * 500_000 + "'",
        "a: ${X} " + "${" * 500_000,
        "a: $" + "{" * 1_000_000,
    ],
    ids=["keys", "numbers", "block", "comments", "quoted", "open references", "braces"],
)
def test_a_file_of_one_mebibyte_is_read_in_seconds(tmp_path: Path, content: str) -> None:
    """Whatever fills the largest file allowed, the answer comes soon."""
    assert len(content) < MAX_BYTES
    begin = time.monotonic()
    scan_document(written(tmp_path, content), {"X": "1"})
    assert time.monotonic() - begin < 20


def test_two_lines_of_the_file_are_shown_with_a_caret(tmp_path: Path) -> None:
    """The line and the one above it; for the first line the one below; tabs keep the caret in its column."""
    document = read(tmp_path, 'one: 1\ntwo: "\t2"\nthree: 3\n')
    name = str(tmp_path / "file.yaml")
    assert document.lines(Place(name, 1, 6)) == ("one: 1", "     ^", 'two: "\t2"')
    assert document.lines(Place(name, 2, 8)) == ("one: 1", 'two: "\t2"', "      \t^")
    assert document.lines(Place(name)) == ()
    assert read(tmp_path, "one: 1").lines(Place(name, 1, 6)) == ("one: 1", "     ^")


def test_a_long_line_is_cut_around_the_problem(tmp_path: Path) -> None:
    """A line of a thousand characters shows the part that matters, its caret under the right character."""
    document = read(tmp_path, "a: [" + "x, " * 300 + "here, " + "y, " * 300 + "]\n")
    line, caret = document.lines(document.place("a", 300))
    assert len(line) == 120
    assert line[caret.index("^") :].startswith("here")


def test_nothing_a_terminal_obeys_is_shown(tmp_path: Path) -> None:
    """An escape or an invisible character in the file or in a key arrives as a mark."""
    told = problems(tmp_path, '"\\e[2J": 1\n"\\e[2J": 2\nb: \u202e${NO}\n')
    assert "\x1b" not in "".join(map(str, told))
    assert "\u202e" not in "".join(map(str, told))


names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12).filter(
    lambda name: "${" not in name
)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=30)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names | st.integers(0, 99), inner, max_size=4),
    max_leaves=20,
)


class _Quoting(yaml.SafeDumper):
    """Writes every text in quotes, as somebody would who wants it kept."""


_Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


def _escaped(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _escaped(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_escaped(value) for value in data]
    return data.replace("${", "$${") if isinstance(data, str) else data


def _distinct(data: Any) -> bool:
    """Whether no mapping holds 1 and "1", which are one key in these files."""
    inner = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return (not isinstance(data, dict) or len(set(map(str, data))) == len(data)) and all(map(_distinct, inner))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.dictionaries(names | st.integers(0, 99), values, max_size=5).filter(_distinct), unicode=st.booleans())
def test_plain_data_reads_back_as_it_was_dumped(tmp_path: Path, data: dict[str | int, Any], unicode: bool) -> None:
    """Whatever yaml.safe_dump writes (texts quoted, `${` escaped) is read as the same values of the same types."""
    dumped = yaml.dump(_escaped(data), Dumper=_Quoting, allow_unicode=unicode, sort_keys=False)
    assert repr(read(tmp_path, dumped).data) == repr(data)


MARKS = """a :_ \n __ -_ [ ] { } , ' " &a_ *a !!x_ | > % \t # << ---\n ... ? 1 true ~ @ \r"""
BITS = MARKS + r" ${A} ${ $${ :- \u \UFFFFFFFF {{_x_}} \x24"
yaml_bits = st.sampled_from([bit.replace("_", " ") for bit in BITS.split(" ")])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400)
@given(content=st.binary(max_size=60) | st.lists(yaml_bits, max_size=25).map(lambda bits: "".join(bits).encode()))
@example(content=b'"\\UFFFFFFFF"')
@example(content=b"%YAML 1." + b"9" * 5000 + b"\n--- a")
def test_any_bytes_are_a_document_or_a_configuration_error(tmp_path: Path, content: bytes) -> None:
    """No file whatever ends in another exception, and every problem stands somewhere in the file."""
    reading = scan_document(written(tmp_path, content), {"A": "1"})
    lines = content.count(b"\n") + content.count(b"\r") + content.count(b"\xc2\x85") + content.count(b"\xe2\x80") + 1
    assert reading.document is not None or reading.problems
    assert all(0 < problem.place.line <= lines and problem.place.column for problem in reading.problems)
    if reading.problems:
        with pytest.raises(ConfigurationError):
            read(tmp_path, content, A="1")
