"""The benchmarks can be run: small, without a bar, so that no machine is too slow for them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.benchmarks.crm import REPOSITORY, environment
from tests.benchmarks.figures import Bar, Figure, ratio
from tests.benchmarks.pace import most_in_a_second, rate


def benchmarks(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """The command, run to its end."""
    command = [sys.executable, "-m", "tests.benchmarks", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, env=environment(), capture_output=True, check=False)


def test_a_figure_is_held_to_its_bar() -> None:
    """The median of the samples decides, from above or from below; a figure without a bar is neither met nor not."""
    assert [Figure("", (1, 9, 2), bar=Bar(limit)).met for limit in (1.9, 2)] == [False, True]
    assert [Figure("", (5, 6, 9), bar=Bar(limit, at_least=True)).met for limit in (6, 6.1)] == [True, False]
    assert Figure("", (1,)).met is None


def test_a_ratio_is_taken_round_by_round() -> None:
    """Each sample is one round's quotient, so that a slow moment of the machine slows both."""
    made = ratio("", [2, 30, 4], [1, 10, 2], names="ours / theirs")
    assert (made.samples, made.median, made.spread) == ((2, 3, 2), 2, (2, 3))
    assert (made.of, made.parts) == ("ours / theirs", "4 / 2 s")


def test_the_most_in_any_second_does_not_begin_at_a_full_one() -> None:
    """Any window counts, and its end is not in it."""
    assert most_in_a_second([0.0, 0.9, 1.0, 1.5, 1.89]) == 4
    assert rate([3.0, 1.0, 2.0]) == 1


@pytest.mark.slow
def test_rows_are_measured(tmp_path: Path) -> None:
    """The rows that were named, and no others, come as a table, and as JSON in the file."""
    done = benchmarks("--quick", "--rounds", "1", "--json", str(tmp_path / "figures.json"), "wire", "start-up")
    assert done.returncode == 0, done.stderr.decode()
    rows = orjson.loads((tmp_path / "figures.json").read_bytes())["rows"]
    assert list(rows) == ["wire", "start-up"]
    for figure in rows["wire"]["figures"]:
        assert figure["samples"], figure["what"]
        assert figure["what"] in done.stdout.decode()


def test_an_unknown_row_is_told() -> None:
    """Somebody who mistypes a row learns which there are, before anything is measured."""
    done = benchmarks("no-such-row")
    assert done.returncode == 2
    assert b"wire" in done.stderr
