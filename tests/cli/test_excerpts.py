"""What is wrong in a file, within the width of a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from leadsync.cli.excerpts import error_lines, problem_lines
from leadsync.config.file_lines import FileLines
from leadsync.errors import ConfigurationError

WORDS = st.lists(st.text("абв", min_size=1, max_size=12), min_size=1, max_size=30).map(" ".join)


@given(what=WORDS, line=st.text("abcd", max_size=120), column=st.integers(1, 120), columns=st.integers(40, 120))
def test_everything_fits_and_the_caret_points_at_the_mistake(what, line, column, columns):
    """No line is longer than the terminal, no word is lost, and the caret stands under the character it is about."""
    column = min(column, len(line) + 1)
    problem = FileLines("m.yaml", f"first\n{line}\nlast").problem(what, FileLines("", "").at(2, column), what)
    shown = list(problem_lines(problem, columns, indent="      "))
    assert [one for one in shown if len(one) > columns] == []
    assert " ".join(" ".join(shown).split()).count(what) == 2
    caret = next(number for number, one in enumerate(shown) if one.strip() == "^")
    at = shown[caret].index("^")
    assert shown[caret - 1][at : at + 1] == line[column - 1 : column]


def test_what_is_typed_stays_in_one_line():
    """A command between backticks is not broken, so that it can be copied."""
    error = ConfigurationError("something " * 6, do="look at what `leadsync fields` lists")
    assert all(line.count("`") % 2 == 0 for columns in range(30, 80) for line in error_lines(error, columns))
