"""The package as it is installed: from a copy of its source into an empty environment, the source out of the way."""

from __future__ import annotations

import os
import subprocess
import venv
import zipfile
from pathlib import Path
from shutil import copyfile, copytree, ignore_patterns

import pytest

from leadsync.cli.demo import sample_talks

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.slow


def command(*words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command that must work, with nothing of this environment but the way to the package index."""
    ours = {name: value for name, value in os.environ.items() if name.upper().startswith(("PIP_", "HTTP", "NO_PROXY"))}
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8", **ours}
    done = subprocess.run(words, cwd=folder, env=clean, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{words[-1]}:\n{done.stdout}{done.stderr}"
    return done


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is packaged, without anything that a developer's tools left beside it."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("leadsync", "mappings"):
        copytree(ROOT / name, copy / name, ignore=ignore_patterns("__pycache__", ".*"))
    for name in ("pyproject.toml", "README.md", "leadsync.yaml"):
        copyfile(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def environment(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty virtual environment into which `pip install .` was run; the folder of its commands."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    commands = folder / "bin"
    command(commands / "pip", "install", "--quiet", "--disable-pip-version-check", ".", folder=source)
    return commands


@pytest.mark.timeout(600)
def test_two_words_from_nothing_to_leads(environment: Path, tmp_path: Path) -> None:
    """`pip install . && leadsync demo` in an empty folder ends with 0, and the talks are in the CRM."""
    shown = command(environment / "leadsync", "demo", folder=tmp_path).stdout
    assert f"{sum(1 for _ in sample_talks())} leads" in shown
    assert {path.name for path in tmp_path.iterdir()} == {"leadsync-demo"}


@pytest.mark.timeout(600)
def test_it_runs_from_where_it_was_installed(environment: Path, tmp_path: Path) -> None:
    """The installed package brings its types, its samples and its plugins; the source folder is not needed."""
    script = """
from importlib.metadata import entry_points
from pathlib import Path
import leadsync
home = Path(leadsync.__file__).parent
print(home)
for name in ("py.typed", "sample/dialogs.jsonl", "sample/leadsync.yaml", "sample/mappings/telegram.yaml"):
    assert (home / name).is_file(), name
for group in ("leadsync.sources", "leadsync.mappers", "leadsync.filters"):
    for one in entry_points(group=group):
        one.load()
"""
    home = command(environment / "python", "-c", script, folder=tmp_path).stdout.strip()
    assert Path(home).is_relative_to(environment.parent)


@pytest.mark.timeout(600)
def test_the_wheel_holds_the_package_alone(environment: Path, source: Path, tmp_path: Path) -> None:
    """The wheel has `py.typed`, every module, and the samples; no test and nothing of a developer's folder."""
    command(
        *(environment / "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "-w", tmp_path, "."),
        folder=source,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    packaged = {str(path.relative_to(source)) for path in (source / "leadsync").rglob("*") if path.is_file()}
    samples = {f"leadsync/sample/mappings/{path.name}" for path in (source / "mappings").iterdir()}
    assert {name for name in names if ".dist-info" not in name} == packaged | samples | {
        "leadsync/sample/leadsync.yaml"
    }
    assert {"leadsync/py.typed", "leadsync/sample/dialogs.jsonl"} <= packaged
