"""A stdout that cannot take what is written: a full disk, an alphabet too small, no reader, none at all."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.world import World, talk

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
FORMATS = pytest.mark.parametrize("format_", ["text", "json"])


def shell(folder: Path, line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A line of a shell in a folder; `$leadsync` is the command."""
    command = f"{sys.executable} -m leadsync"
    return subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=folder,
        env={**os.environ, "leadsync": command, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@FORMATS
@pytest.mark.parametrize("name", ["fields", "run", "--help", "auth status"])
async def test_a_full_disk_is_told(world: World, name: str, format_: str) -> None:
    """A result that cannot be written ends with 1 and the reason, in one line."""
    options = "" if name == "--help" else f"--format {format_}"
    ended = await shell_of(world, f"$leadsync {name} {options} > /dev/full")
    assert (ended.returncode, ended.stderr) == (1, "leadsync: No space left on device\n")


async def test_an_alphabet_too_small(world: World) -> None:
    """Where stdout has no Cyrillic, a run ends as ever; what cannot be shown is a question mark."""
    await world.store([talk("1", phone="8 916 123-45-67"), talk("2", phone="123")])
    planned = await shell_of(world, "$leadsync dry-run", **ASCII)
    assert (planned.returncode, planned.stderr) == (3, "")
    assert "name: ?????? ?? ????" in planned.stdout
    done = await shell_of(world, "$leadsync run", **ASCII)
    assert (done.returncode, done.stderr) == (3, "")
    assert "created  1 contact, 1 lead, 1 note" in done.stdout


async def test_json_loses_no_character(world: World) -> None:
    """JSON in an alphabet too small is escaped instead."""
    await world.store([talk("1")])
    ended = await shell_of(world, "$leadsync dry-run --format json", **ASCII)
    assert orjson.loads(ended.stdout)["changes"][0]["payload"]["name"] == "Заявка от Иван"


@FORMATS
async def test_no_reader_and_no_stdout(world: World, format_: str) -> None:
    """A reader that never was, and a closed stdout or stderr, cause no stack trace."""
    await world.store([talk("1")])
    for line, code in (
        ("{ $leadsync dry-run --format %s; echo $? >&3; } 3>&2 | true", "141"),
        ("$leadsync dry-run --format %s >&-; echo $? >&2", "0"),
        ("$leadsync dry-run --format %s 2>&-; echo $? >&2", "0"),
    ):
        ended = await shell_of(world, line % format_)
        assert ended.stderr == f"{code}\n"


async def shell_of(world: World, line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The same without blocking: the look-alike answers in this process."""
    return await asyncio.to_thread(shell, world.folder, line, **environment)
