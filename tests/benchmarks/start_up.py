"""Start-up: what `leadsync --help` takes, beside the import of the libraries that print it."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.figures import Figure, ratio
from tests.benchmarks.options import Options
from tests.benchmarks.place import run


def start_up(options: Options) -> list[Figure]:
    """The installed command, and the same interpreter with two imports."""
    script = shutil.which("leadsync", path=str(Path(sys.executable).parent))
    command = [script] if script else [sys.executable, "-m", "leadsync"]
    ours: list[float] = []
    imports: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for warming in range(-1, options.times(15).stop):
            one = run([*command, "--help"], Path(folder)).seconds
            other = run([sys.executable, "-c", "import click, rich"], Path(folder)).seconds
            if warming >= 0:  # the first of each may have had to compile its modules
                ours.append(1000 * one)
                imports.append(1000 * other)
    names = "whole processes, after one of each to warm up"
    return [
        ratio(
            'leadsync --help / python -c "import click, rich"',
            ours,
            imports,
            options.at_most(2),
            unit="ms",
            names=names,
        )
    ]
