"""The newcomer's path, without documentation, as a terminal 80 columns wide shows it.

What the commands show stands in golden/, one file a step; read them when you change a word of the product. To write
them anew:

    GOLDEN=write pytest tests/newcomer && git diff tests/newcomer
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.newcomer.screen import COLUMNS, Shown, shown

GOLDEN = Path(__file__).parent / "golden"
MAPPING = "mappings/talks.yaml"

DIFFERS = {r"\d+\.\d s$": "N.N s"}
"""What is never twice the same, and what stands in the golden files for it."""

Edit = Callable[[str], str]


def with_a_slip(text: str) -> str:
    """Take the # of a field away and say what goes in, with a letter missing in the field's name."""
    filled, count = re.subn(r'# "Комментарий": "{{[^"]*}}" ', '"Коментарий": "{{ messages[0].text }}" ', text)
    assert count == 1
    return filled


def corrected(text: str) -> str:
    """Put the letter in."""
    assert text.count('"Коментарий"') == 1
    return text.replace('"Коментарий"', '"Комментарий"')


def another_name(text: str) -> str:
    """Let the name of a lead begin with another word."""
    assert text.count("Заявка от ") == 1
    return text.replace("Заявка от ", "Клиент: ")


@dataclass(frozen=True, slots=True)
class Step:
    """Something a newcomer types, after an edit of the mapping if there is one, and the exit code it ends with."""

    name: str
    typed: str
    code: int = 0
    edit: Edit | None = None


PATH = (
    Step("01-init", "leadsync init --sample-talks"),
    Step("02-validate-with-a-slip", "leadsync validate", 78, with_a_slip),
    Step("03-dry-run-with-a-slip", "leadsync dry-run", 78),
    Step("04-validate", "leadsync validate", edit=corrected),
    Step("05-dry-run", "leadsync dry-run"),
    Step("06-run", "leadsync run"),
    Step("07-dry-run-again", "leadsync dry-run"),
    Step("08-explain", "leadsync explain telegram:1001"),
    Step("09-dry-run-after-an-edit", "leadsync dry-run --record telegram:1001 --verbose", edit=another_name),
)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_newcomers_path(tmp_path: Path) -> None:
    """From an empty folder to leads in the CRM: every step shows what its golden file says, and ends as it should."""
    seen = {step.name: _seen(step, tmp_path) for step in PATH}
    if os.environ.get("GOLDEN") == "write":
        _write(seen)
    different = [line for name, text in seen.items() for line in _difference(name, text)]
    if different:
        pytest.fail("\n".join([*different, "", "if that is better: GOLDEN=write pytest tests/newcomer"]), pytrace=False)
    assert sorted(path.stem for path in GOLDEN.iterdir()) == sorted(seen), "a golden file of no step"


def test_every_line_fits() -> None:
    """No line is left to the terminal to break."""
    lines = [line for path in GOLDEN.iterdir() for line in path.read_text("utf-8").splitlines()]
    assert lines
    assert [line for line in lines if cell_len(line) > COLUMNS] == []


def _seen(step: Step, folder: Path) -> str:
    if step.edit is not None:
        mapping = folder / MAPPING
        mapping.write_text(step.edit(mapping.read_text("utf-8")), "utf-8")
    found = shown(folder, *step.typed.split()[1:])
    assert found.code == step.code, "\n".join(found.lines)
    return _text(step, found)


def _text(step: Step, found: Shown) -> str:
    lines = found.lines
    for pattern, instead in DIFFERS.items():
        lines = [re.sub(pattern, instead, line) for line in lines]
    ended = [f"(ends with {step.code})"] if step.code else []
    return "\n".join([f"$ {step.typed}", *lines, *ended, ""])


def _write(seen: dict[str, str]) -> None:
    for path in GOLDEN.iterdir():
        path.unlink()
    for name, text in seen.items():
        (GOLDEN / f"{name}.txt").write_text(text, "utf-8")


def _difference(name: str, text: str) -> list[str]:
    path = GOLDEN / f"{name}.txt"
    golden = path.read_text("utf-8") if path.exists() else ""
    return list(unified_diff(golden.splitlines(), text.splitlines(), f"golden/{name}.txt", "shown now", lineterm=""))
