"""`--format json` of a command that refuses: one document on stdout, the prose on stderr as ever."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from leadsync.cli.error_document import asks_for_json
from tests.cli.terminal import run
from tests.world import World, talk


@pytest.mark.parametrize("asked", [("--format", "json"), ("--format=json",)])
async def test_a_refusal_is_a_document(world: World, asked: tuple[str, ...]) -> None:
    """What, where, what to do, the exit code; and the same prose as without JSON."""
    await world.store([talk("1")])
    prose = await run(world.folder, "run", "--record", "telegram:2")
    ended = await run(world.folder, "run", "--record", "telegram:2", *asked)
    assert (ended.code, ended.err) == (78, prose.err)
    assert prose.out == ""
    document = orjson.loads(ended.out)
    do = "keys are made by `key:` of the mapping; `leadsync dry-run` shows those with changes"
    told = {"what": "no record has the key telegram:2", "where": "--record", "do": do, "exit_code": 78, "problems": []}
    assert document == {"format_version": 1, "error": told}


async def test_every_problem_of_the_files_has_its_place(world: World) -> None:
    """Mistakes in the files are listed as `validate` lists them."""
    world.write({"leed": {}})
    error = orjson.loads((await run(world.folder, "run", "--format", "json")).out)["error"]
    checked = orjson.loads((await run(world.folder, "validate", "--offline", "--format", "json")).out)
    assert error["problems"] == checked["checks"][0]["problems"]
    assert (error["problems"][0]["file"], error["problems"][0]["line"]) == ("mapping.yaml", 1)


async def test_a_wrong_option_is_a_document_too(tmp_path: Path) -> None:
    """What click refuses ends with 78, and so says the document."""
    ended = await run(tmp_path, "run", "--format", "json", "--limit", "0")
    assert ended.code == orjson.loads(ended.out)["error"]["exit_code"] == 78


async def test_no_second_document_is_put_behind_a_first(world: World) -> None:
    """Where results were shown before the error, they stay the only document."""
    await world.store([talk("1")])
    ended = await run(world.folder, "dry-run", "--offline", "--record", "telegram:2", "--format", "json")
    assert ended.code == 78
    assert "error" not in orjson.loads(ended.out)


@pytest.mark.parametrize(
    ("line", "asks"),
    [
        ("run --format json", True),
        ("run --format json --format text", False),
        ("run --log-format json", False),
        ("explain -- --format json", False),
        ("run --format", False),
    ],
)
def test_what_asks_for_json(line: str, asks: bool) -> None:
    """The last `--format` holds, and only an option counts."""
    assert asks_for_json(line.split()) is asks
