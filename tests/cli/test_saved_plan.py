"""`dry-run --out` and `run --plan` as people type them: what they say, in 80 columns, and how they end."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from typing import Any

import orjson
import pytest

from tests.cli.terminal import Ended, run
from tests.pipeline.saved_plans import assert_sent
from tests.world import MAPPING, World, talk

LEAD: Any = MAPPING["lead"]
TALKS = [talk("1", "Привет", phone="8 916 123-45-67", budget=5000), talk("2")]
WIDTH = 80


def assert_narrow(ended: Ended) -> None:
    """What was said on stderr needs no wrapping."""
    assert [line for line in ended.err.splitlines() if len(line) > WIDTH] == []


def without_cost(ended: Ended) -> list[str]:
    """The report without its requests: what one command learns of the account, the next need not ask."""
    costs = (" requests (", "people are found by ")
    return [line for line in ended.out.splitlines() if not any(one in line for one in costs)]


async def test_a_plan_is_saved_looked_at_and_sent(world: World) -> None:
    """The report is printed as ever, the file is private, the next command is named, and it does what was shown."""
    await world.store(TALKS)
    plain = await run(world.folder, "dry-run")
    saved = await run(world.folder, "dry-run", "--out", "plan.json")
    assert saved.code == 0
    assert without_cost(saved) == without_cost(plain)
    assert saved.err == "the plan is saved; to send exactly this: leadsync run --plan plan.json\n"
    document = orjson.loads((world.folder / "plan.json").read_bytes())
    done = await run(world.folder, "run", "--plan", "plan.json")
    assert done.code == 0
    assert "created  1 contact, 2 leads, 2 notes" in done.out
    await assert_sent(world, document)
    again = await run(world.folder, "run", "--plan", "plan.json")
    assert again.code == 0
    assert again.out.splitlines()[-1] == "plan.json is already applied: nothing is left to send"


async def test_the_file_holds_what_the_json_says(world: World) -> None:
    """The changes of the file are those of `--format json`, word for word."""
    await world.store(TALKS)
    shown = orjson.loads((await run(world.folder, "dry-run", "--format", "json", "--out", "plan.json")).out)
    document = orjson.loads((world.folder / "plan.json").read_bytes())
    saved = [change for one in document["records"] for change in one["changes"]]
    assert saved == sorted(shown["changes"], key=lambda one: one["key"])


async def test_json_of_an_application(world: World) -> None:
    """`run --plan --format json` is the document of any run; that there was nothing left stands in `remarks`."""
    await world.store(TALKS)
    await run(world.folder, "dry-run", "--out", "plan.json")
    first = orjson.loads((await run(world.folder, "run", "--plan", "plan.json", "--format", "json")).out)
    assert (first["created"]["leads"], first["remarks"]) == (2, [])
    again = orjson.loads((await run(world.folder, "run", "--plan", "plan.json", "--format", "json")).out)
    assert again["created"]["leads"] == 0
    assert again["remarks"] == ["plan.json is already applied: nothing is left to send"]


async def test_a_stale_plan(world: World) -> None:
    """A plan that does not fit any more ends with 4, writes nothing, and says what moved and what to type."""
    await world.store(TALKS)
    await run(world.folder, "dry-run", "--out", "plan.json")
    await world.store([talk("1", "Привет", "Ещё", phone="8 916 123-45-67", budget=5000), talk("77")])
    await world.redis.delete("dialog:2")
    ended = await run(world.folder, "run", "--plan", "plan.json")
    assert (ended.code, ended.out) == (4, "")
    assert ended.err.splitlines() == [
        "leadsync: plan.json does not fit any more, and nothing of it was sent:",
        "    the talk telegram:1 changed",
        "    telegram:2 is gone from the source",
        "    the talk telegram:77 is new",
        "  what to do: make a new plan with",
        "    leadsync dry-run --out plan.json",
        "  look at it, and apply that one",
    ]
    assert world.writes() == []
    assert_narrow(ended)


async def test_an_edited_plan(world: World) -> None:
    """A plan that was edited by hand ends with 4."""
    await world.store(TALKS)
    await run(world.folder, "dry-run", "--out", "plan.json")
    path = world.folder / "plan.json"
    path.write_text(path.read_text("utf-8").replace('"price": 5000', '"price": 5'), "utf-8")
    ended = await run(world.folder, "run", "--plan", "plan.json")
    assert (ended.code, ended.out) == (4, "")
    assert "changed after it was made" in ended.err
    assert world.writes() == []
    assert_narrow(ended)


@pytest.mark.parametrize("option", [("--source", "redis-dialogs"), ("--limit", "3"), ("--record", "telegram:1")])
async def test_a_plan_knows_its_records(world: World, option: tuple[str, str]) -> None:
    """--plan together with a selection is a slip: the plan knows what it was made of."""
    await world.store(TALKS)
    await run(world.folder, "dry-run", "--out", "plan.json")
    ended = await run(world.folder, "run", "--plan", "plan.json", *option)
    assert (ended.code, ended.out) == (78, "")
    assert f"--plan goes without {option[0]}" in ended.err
    assert world.writes() == []


@pytest.mark.parametrize("plan", ["nowhere.json", "leadsync.yaml", "."])
async def test_a_file_that_is_no_plan(world: World, plan: str) -> None:
    """--plan with anything else is bad usage, and says how a plan is made."""
    ended = await run(world.folder, "run", "--plan", plan)
    assert (ended.code, ended.out) == (78, "")
    assert "leadsync dry-run --out plan.json" in ended.err
    assert_narrow(ended)


@pytest.mark.parametrize("out", ["leadsync.yaml", "-", "nowhere/plan.json", "."])
async def test_where_no_plan_is_saved(world: World, out: str) -> None:
    """--out does not overwrite what is no plan, and needs a folder that is there; nothing is printed then."""
    before = (world.folder / "leadsync.yaml").read_bytes()
    ended = await run(world.folder, "dry-run", "--out", out)
    assert (ended.code, ended.out) == (78, "")
    assert (world.folder / "leadsync.yaml").read_bytes() == before
    assert_narrow(ended)


async def test_no_plan_is_saved_for_a_key_that_is_not_there(world: World) -> None:
    """A slip in --record leaves no plan of nothing behind."""
    await world.store(TALKS)
    ended = await run(world.folder, "dry-run", "--record", "telegram:9", "--out", "plan.json")
    assert ended.code == 78
    assert not (world.folder / "plan.json").exists()


async def test_a_refused_record_of_a_plan(world: World) -> None:
    """Saving and applying a plan end with 3 as long as a record of it is refused; the others go on."""
    await world.store([*TALKS, talk("3", phone="123")])
    assert (await run(world.folder, "dry-run", "--out", "plan.json")).code == 3
    assert (await run(world.folder, "run", "--plan", "plan.json")).code == 3
    assert len(world.leads()) == 2


async def test_limits_name_their_key_and_their_flag(world: World) -> None:
    """A run that passes a limit says the count, the line to change and the flag to pass; so does the dry-run."""
    world.write(safety={"max_new_leads": 1})
    await world.store(TALKS)
    ended = await run(world.folder, "run")
    assert (ended.code, ended.out) == (4, "")
    lines = (world.folder / "leadsync.yaml").read_text("utf-8").splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "max_new_leads" in text)
    assert ended.err.splitlines() == [
        "leadsync: this run would make 2 new leads; the limit is 1",
        f"  at leadsync.yaml:{line}:3: safety.max_new_leads",
        "  what to do: look at `leadsync dry-run`; if that is what you want, use",
        "    leadsync run --max-new-leads 2",
        "  or raise max_new_leads; --limit N takes fewer records",
    ]
    assert world.writes() == []
    assert_narrow(ended)
    seen = await run(world.folder, "dry-run")
    assert seen.code == 0
    assert "a run would be refused: it would make 2 new leads; the limit is 1" in seen.out
    assert (await run(world.folder, "run", "--max-new-leads", "2")).code == 0


@pytest.mark.parametrize(
    "arguments", [["--record", "telegram:1"], ["--plan", "a plan.json"], ["--source", "redis-dialogs", "--limit", "1"]]
)
async def test_the_command_that_is_named_does_the_same_run(world: World, arguments: list[str]) -> None:
    """A plan, a source or a record that was refused goes through with the command of the refusal, which names it."""
    world.write(safety={"max_new_leads": 0})
    await world.store(TALKS)
    assert (await run(world.folder, "dry-run", "--out", "a plan.json")).code == 0
    refused = await run(world.folder, "run", *arguments)
    assert refused.code == 4
    (command,) = [line.strip() for line in refused.err.splitlines() if line.startswith("    leadsync ")]
    assert shlex.split(command)[2:-2] == arguments
    assert ("--limit N" in refused.err) == ("--plan" not in arguments)
    assert (await run(world.folder, *shlex.split(command)[1:])).code == 0
    assert len(world.leads()) == (2 if "--plan" in arguments else 1)


async def test_a_changed_share_and_its_flag(world: World) -> None:
    """A mapping that changes most known leads is stopped, and goes through with the flag that is named."""
    await world.store(talk(str(number)) for number in range(100))
    await run(world.folder, "run")
    world.write({**MAPPING, "lead": {**LEAD, "name": "Запрос"}})
    ended = await run(world.folder, "run")
    assert ended.code == 4
    assert "change 100 of 100 known leads (100%); the limit is 50%" in ended.err
    assert "    leadsync run --max-changed-share 1" in ended.err.splitlines()
    assert_narrow(ended)
    assert (await run(world.folder, "run", "--max-changed-share", "1")).code == 0


@pytest.mark.parametrize("option", ["--max-changed-share=1.5", "--max-changed-share=50%", "--max-new-leads=-1"])
async def test_limits_that_are_none(world: World, option: str) -> None:
    """A share is between 0 and 1, a number of leads is none below 0."""
    assert (await run(world.folder, "run", option)).code == 78


async def test_a_reader_who_goes_away_leaves_a_whole_plan(world: World) -> None:
    """Whoever reads the report may stop reading: the plan was saved before it was printed."""
    await world.store(talk(str(number)) for number in range(300))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "leadsync", "dry-run", "--out", "plan.json"),
        cwd=world.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    await process.stdout.readline()
    os.kill(process.pid, 9)
    await process.wait()
    assert (await run(world.folder, "run", "--plan", "plan.json")).code == 0
    assert len(world.leads()) == 300
