"""What leadsync says about itself: every command it speaks of exists, and every command is spoken of."""

from __future__ import annotations

import os
import re
from importlib import import_module
from pathlib import Path

import click
import pytest

from leadsync.cli import COMMANDS, EXIT_CODES, cli
from leadsync.errors import LeadsyncError
from tests.cli.terminal import run

ROOT = Path(__file__).parent.parent.parent
TEXTS = [ROOT / "README.md", ROOT / "leadsync.yaml", *sorted((ROOT / "leadsync").rglob("*.py"))]
_SPOKEN = re.compile(r"`leadsync ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?")


def words() -> set[tuple[str, ...]]:
    """Every command, and every command below one, as the words a person types."""
    found: set[tuple[str, ...]] = set()
    for name in COMMANDS:
        command = import_module(f"leadsync.cli.{name.replace('-', '_')}").command
        found.add((name,))
        if isinstance(command, click.Group):
            found |= {(name, inner) for inner in command.commands}
    return found


def test_a_command_that_is_spoken_of_exists() -> None:
    """A message or a page that says what to type says something that works."""
    known = words()
    groups = {one[0] for one in known if len(one) == 2}
    spoken = {
        (match[1], match[2]) if match[1] in groups and match[2] else (match[1],)
        for path in TEXTS
        for match in _SPOKEN.finditer(path.read_text(encoding="utf-8"))
    }
    assert spoken
    assert spoken - known == set()


@pytest.mark.parametrize("name", COMMANDS)
async def test_help_of_every_command(name: str, tmp_path: Path) -> None:
    """Each command has help with an example that begins with its own name, and asks nobody for it."""
    ended = await run(tmp_path, name, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert f"leadsync {name}" in ended.out
    assert os.listdir(tmp_path) == []


def test_the_help_lists_commands_and_exit_codes() -> None:
    """`leadsync --help` names every command with a line, and every exit code that an error may end with."""
    shown = cli.get_help(click.Context(cli, info_name="leadsync"))
    assert all(re.search(rf"^  {name} +\S", shown, re.MULTILINE) for name in COMMANDS)
    codes = {int(number) for number in re.findall(r"^ +(\d+) ", EXIT_CODES, re.MULTILINE)}
    assert {kind.exit_code for kind in _errors(LeadsyncError)} <= codes
    assert codes == {0, 1, 2, 3, 4, 77, 78, 130, 141, 143}


def _errors(kind: type[LeadsyncError]) -> list[type[LeadsyncError]]:
    return [kind, *(found for inner in kind.__subclasses__() for found in _errors(inner))]
