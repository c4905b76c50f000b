"""The gate: what people and CI hold the house to runs with the tests, so that one command says all."""

from __future__ import annotations

import ast
import graphlib
import importlib
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest

import leadsync

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "leadsync").rglob("*.py"))
VAGUE = {"common", "core", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}


def _gate(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(command[-3:])}:\n{done.stdout}{done.stderr}", pytrace=False)


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_lint():
    """ruff finds nothing to complain about, in the package and in its tests."""
    _gate(sys.executable, "-m", "ruff", "check", ".")


def test_format():
    """Everything is formatted as ruff would format it."""
    _gate(sys.executable, "-m", "ruff", "format", "--check", ".")


@pytest.mark.slow
def test_types():
    """mypy in its strict mode proves the package."""
    _gate(sys.executable, "-m", "mypy", "--strict")


def test_layers():
    """A module imports from the layers below its own, and from nowhere else."""
    script = shutil.which("lint-imports", path=Path(sys.executable).parent)
    assert script, "import-linter is part of the dev extra"
    _gate(script, "--no-cache")


def test_no_import_cycles():
    """No module imports itself by way of others, not even inside one layer or for types only."""
    graph = grimp.build_graph("leadsync", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"a cycle of imports: {' → '.join(error.args[1])}", pytrace=False)


def test_every_module_says_what_it_is():
    """Each module begins with a docstring."""
    assert [_name(path) for path in MODULES if not ast.get_docstring(ast.parse(path.read_text("utf-8")))] == []


def test_no_module_is_too_long():
    """Four hundred lines are the end: there is a second concept in there."""
    lengths = {_name(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {name: lines for name, lines in lengths.items() if lines > 400} == {}


def test_no_function_is_too_long():
    """Forty lines of code are the end of a function; its docstring does not count."""
    long = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _body_lines(node) > 40:
                long[f"{_name(path)}:{node.lineno} {node.name}"] = _body_lines(node)
    assert long == {}


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
    return (function.end_lineno or 0) - first.lineno + 1


def test_no_name_says_nothing():
    """A file or folder is named after what it holds."""
    parts = {part for path in MODULES for part in path.relative_to(ROOT).with_suffix("").parts}
    assert parts & VAGUE == set()


def test_public_names_are_sorted_and_there():
    """Every name of `leadsync.__all__` can be imported, and the list is in order."""
    names = leadsync.__all__
    assert names == sorted(set(names))
    assert [name for name in names if getattr(leadsync, name, None) is None] == []


def test_a_name_that_is_not_public_is_an_error():
    """The package has the names it promises and no others."""
    with pytest.raises(AttributeError, match="no_such_name"):
        getattr(leadsync, "no_such_name")  # noqa: B009


def test_the_wheel_brings_types_and_samples():
    """`py.typed` lies in the packaged folder, and every file the wheel takes from elsewhere exists."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["leadsync"]
    assert "exclude" not in wheel
    assert (ROOT / "leadsync/py.typed").is_file()
    assert [path for path in wheel.get("force-include", {}) if not (ROOT / path).exists()] == []


def test_entry_points_lead_somewhere():
    """Every command and plugin that pyproject.toml announces can be imported."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    groups = [project["scripts"], *project["entry-points"].values()]
    for target in (target for group in groups for target in group.values()):
        module, _, attribute = target.partition(":")
        assert getattr(importlib.import_module(module), attribute), target


def test_ci_runs_the_readmes_command():
    """The one command for contributors stands in the README, and the CI script takes it from there."""
    _gate("/bin/sh", ".ci/run", "--show")
