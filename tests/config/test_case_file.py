"""The file of cases: what is written reads back as it was, and what stood there stays."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadsync.config.case_file import append_case
from leadsync.config.document import read_document
from leadsync.errors import ConfigurationError

CASE = {"name": "a", "record": {"id": "1"}, "expect": {"key": "telegram:1"}}

texts = st.text(st.characters(codec="utf-8"), max_size=40)
tricky = st.sampled_from(["12", "+79161234567", "true", "null", "~", "1e5", "= x", "${NAME}", "$${", "a: b", "- a", ""])
keys = st.from_regex("[a-zа-я_]{1,8}", fullmatch=True)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | texts | tricky,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
cases = st.dictionaries(keys, values, min_size=1, max_size=4)


def written(path: Path) -> list[Any]:
    """The cases of a file, as `leadsync test` reads them: no variable is set."""
    data = read_document(path, {}).data
    return list(data["tests"] if isinstance(data, dict) else data)


@given(st.lists(cases, min_size=1, max_size=3))
def test_what_is_written_reads_back_as_it_was(several):
    """Any text, number or nesting: quotes, colons, variables, emoji and control characters change nothing."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "m.tests.yaml")
        for case in several:
            append_case(path, "m.yaml", case)
        assert written(path) == several


@pytest.mark.parametrize(
    "before",
    [
        "",
        "# only a comment",
        "tests:\n",
        "tests:\n- {record: {id: 1}, expect: {key: a}}",
        "tests:\n  - record: {id: 1}\n    expect:\n      note: |\n        a\n",
        "- record: {id: 1}\n  expect: {key: a}  # the last line has no end",
        "# first\n  - record: {id: 1}\n    expect: {key: a}\n\n\n",
    ],
)
def test_what_stood_there_stays(tmp_path, before):
    """Whatever the shape of the list, the file begins as it did, and the new case is the last one."""
    path = tmp_path / "m.tests.yaml"
    path.write_text(before, encoding="utf-8")
    earlier = written(path) if "record" in before else []
    place = append_case(path, "m.yaml", CASE)
    text = path.read_text(encoding="utf-8")
    assert text.startswith(before)
    assert written(path) == [*earlier, CASE]
    assert "name: a" in text.splitlines()[place.line - 1]


@pytest.mark.parametrize(
    "before", ["tests: []\n", "[]\n", "tests: [{a: 1}]\n", "a: 1\n", "text\n", "tests:\n  - a\n b: [\n"]
)
def test_what_has_no_end_to_go_on_from_is_refused(tmp_path, before):
    """A list in brackets, another file, or a broken one: nothing is written, and the remedy is told."""
    path = tmp_path / "m.tests.yaml"
    path.write_text(before, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="nothing was written"):
        append_case(path, "m.yaml", CASE)
    assert path.read_text(encoding="utf-8") == before


def test_a_new_file_says_what_it_is(tmp_path):
    """It begins with a comment that names its mapping, and the case with a reminder to read it."""
    path = tmp_path / "m.tests.yaml"
    append_case(path, "mappings/m.yaml", CASE)
    first, *_ = text = path.read_text(encoding="utf-8").splitlines()
    assert first.startswith("# Cases of mappings/m.yaml, run by `leadsync test`.")
    assert any("Read it before you commit it" in line for line in text)
