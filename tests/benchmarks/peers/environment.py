"""Where the peers are installed: a virtual environment of their own, made once and kept in the person's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
import venv
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tests.benchmarks.crm import REPOSITORY


@dataclass(frozen=True, slots=True)
class Peer:
    """A client of others: its name on PyPI, and the script that uses it."""

    name: str
    script: Path


_HERE = Path(__file__).parent
AIOAMOCRM = Peer("aioamocrm", _HERE / "with_aioamocrm.py")
PEERS = (
    AIOAMOCRM,
    Peer("amochka", _HERE / "with_amochka.py"),
    Peer("amocrm-api", _HERE / "with_amocrm_api.py"),
)


def requirements() -> list[str]:
    """The peers with their versions: the extra `bench` of pyproject.toml."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    return list(project["optional-dependencies"]["bench"])


def peers_python() -> str:
    """A Python that has the peers: this one where the extra `bench` is installed, else one that is made for them.

    That one is made at the first use, in `~/.cache/leadsync-benchmarks/`. Raises CalledProcessError when pip cannot
    install them.
    """
    wanted = requirements()
    if all(map(_is_here, wanted)):
        return sys.executable
    mark = hashlib.sha256(" ".join([sys.version, *wanted]).encode()).hexdigest()[:12]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "leadsync-benchmarks", f"peers-{mark}")
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print(f"installing {', '.join(wanted)} in {folder}", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", *wanted], check=True, stdout=sys.stderr)
        (folder / "complete").touch()
    return str(python)


def _is_here(requirement: str) -> bool:
    name, _, version = requirement.partition("==")
    try:
        return metadata.version(name) == version
    except metadata.PackageNotFoundError:
        return False
