"""`leadsync run` and `leadsync dry-run` as people and scripts meet them: results, exit codes, interruptions."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import orjson
import pytest

from tests.cli.terminal import on_terminal, run, running
from tests.conftest import Valkey
from tests.processes import process
from tests.world import MAPPING, World, talk

LEADS = "/api/v4/leads"


async def report_of(world: World, *arguments: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the one JSON document of a command."""
    ended = await run(world.folder, *arguments, "--format", "json")
    document: dict[str, Any] = orjson.loads(ended.out)
    return ended.code, document


async def test_a_diff_then_the_counts(world: World) -> None:
    """What dry-run announces is what run counts; after that there is nothing to do, and both say so."""
    await world.store([talk("1", "Привет", phone="8 916 123-45-67", budget=5000), talk("2")])
    before = await run(world.folder, "dry-run")
    assert before.code == 0
    for line in ("telegram:1", "  + contact  (new person)", "      phone: +79161234567", "      price: 5000"):
        assert line in before.out.splitlines()
    assert "      + user: Привет" in before.out.splitlines()
    assert "2 records: 2 to create, 0 to update, 0 unchanged, 0 skipped, 0 refused" in before.out
    assert world.writes() == []
    done = await run(world.folder, "run")
    assert done.code == 0
    assert "created  1 contact, 2 leads, 2 notes" in done.out
    assert "2 records: 2 new, 0 changed, 0 unchanged, 0 skipped, 0 refused" in done.out
    after = await run(world.folder, "dry-run")
    assert "no changes (2 records looked at)" in after.out


async def test_a_change_shows_before_and_after(world: World) -> None:
    """A value that changed shows as before → after."""
    await world.store([talk("1", budget=5000)])
    await run(world.folder, "run")
    await world.store([talk("1", budget=7000)])
    diff = (await run(world.folder, "dry-run")).out.splitlines()
    assert "      price: 5000 → 7000" in diff
    assert any(line.startswith("  ~ lead ") for line in diff)


async def test_the_json_of_a_plan(world: World) -> None:
    """One document with everything the contract names; the payload is the item that is sent."""
    await world.store([talk("1", phone="8 916 123-45-67"), talk("2", phone="123")])
    code, plan = await report_of(world, "dry-run")
    assert code == 3
    assert plan["format_version"] == 1
    assert plan["source"] == "redis-dialogs"
    assert plan["summary"] == {"records": 2, "create": 1, "update": 0, "unchanged": 0, "skipped": 0, "failed": 1}
    assert [one["entity"] for one in plan["changes"]] == ["contact", "lead", "note"]
    for change in plan["changes"]:
        assert {"key", "entity", "action", "id", "reason", "fields", "payload"} <= change.keys()
        assert all(one.keys() >= {"name", "before", "after"} for one in change["fields"])
    assert plan["cost"].keys() == {"requests", "seconds", "reads", "writes", "lookups"}
    assert plan["cost"]["writes"] == 3


async def test_the_json_of_a_run(world: World) -> None:
    """One document with everything the contract names."""
    await world.store([talk("1", phone="8 916 123-45-67"), talk("2")])
    code, report = await report_of(world, "run")
    assert code == 0
    assert report["format_version"] == 1
    assert report["run_id"]
    assert report["summary"] == {"records": 2, "unchanged": 0, "skipped": 0, "failed": 0}
    assert report["created"] == {"contacts": 1, "leads": 2, "notes": 2}
    assert report["updated"] == {"contacts": 0, "leads": 0, "notes": 0}
    requests = report["requests"]
    assert requests["total"] == sum(requests["by_route"].values()) == len(world.requests())
    assert requests["by_route"]["POST /leads"] == 1
    assert requests["throttled"] == 0
    assert report["seconds"] > 0


async def test_limit(world: World) -> None:
    """`--limit` takes so many records; the next run takes the rest."""
    await world.store([talk(str(number)) for number in range(5)])
    _, plan = await report_of(world, "dry-run", "--limit", "2")
    assert plan["summary"]["records"] == 2
    _, report = await report_of(world, "run", "--limit", "3")
    assert report["created"]["leads"] == len(world.leads()) == 3
    await run(world.folder, "run")
    assert len(world.leads()) == 5


async def test_record(world: World) -> None:
    """`--record` takes the one record with that key, or says that there is none."""
    await world.store([talk(str(number)) for number in range(5)])
    _, plan = await report_of(world, "dry-run", "--record", "telegram:3")
    assert {one["key"] for one in plan["changes"]} == {"telegram:3"}
    _, report = await report_of(world, "run", "--record", "telegram:3")
    assert (report["summary"]["records"], len(world.leads())) == (1, 1)
    for name in ("run", "dry-run"):
        ended = await run(world.folder, name, "--record", "telegram:77")
        assert (ended.code, ended.out) == (78, "")
        assert "no record has the key telegram:77" in ended.err


async def test_exit_code_2_means_changes(world: World) -> None:
    """`dry-run --exit-code` ends with 2 when there are changes and with 0 when there are none."""
    await world.store([talk("1")])
    assert (await run(world.folder, "dry-run")).code == 0
    assert (await run(world.folder, "dry-run", "--exit-code")).code == 2
    await run(world.folder, "run")
    assert (await run(world.folder, "dry-run", "--exit-code")).code == 0


async def test_exit_code_4_means_refused_to_start(world: World) -> None:
    """A run that would make more leads than `safety.max_new_leads` writes nothing, and says how to go on."""
    world.write(safety={"max_new_leads": 2})
    await world.store([talk(str(number)) for number in range(3)])
    ended = await run(world.folder, "run")
    assert ended.code == 4
    assert "3 new leads" in ended.err
    assert "max_new_leads" in ended.err
    assert "--limit" in ended.err
    assert world.writes() == []
    assert (await run(world.folder, "run", "--limit", "2")).code == 0
    assert (await run(world.folder, "run")).code == 0  # only one of the three is new by now


async def test_exit_code_77_means_log_in(world: World) -> None:
    """Without a login, and after one that was revoked, the command says to log in and ends with 77."""
    world.settings(**world.integration())
    await world.store([talk("1")])
    for name in ("run", "dry-run"):
        ended = await run(world.folder, name)
        assert (ended.code, ended.out) == (77, "")
        assert "leadsync auth login" in ended.err
    await world.log_in()
    assert (await run(world.folder, "run")).code == 0
    world.sandbox.oauth.revoke_all()
    assert (await run(world.folder, "run")).code == 0  # nothing changed: nobody is asked
    await world.store([talk("1", budget=7000)])
    assert (await run(world.folder, "run")).code == 77


MISTAKES: dict[str, tuple[tuple[str, ...], str]] = {
    "an unknown source": (("--source", "redis-dialog"), "redis-dialogs"),
    "an unknown option": (("--limits", "3"), "--limit"),
    "a limit that is no number": (("--limit", "many"), "many"),
    "a limit of nothing": (("--limit", "0"), "x>=1"),
    "an unknown format": (("--format", "xml"), "json"),
    "a missing file": (("--config", "nowhere.yaml"), "nowhere.yaml"),
}


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.parametrize("command", ["run", "dry-run"])
async def test_exit_code_78_means_a_mistake(world: World, command: str, name: str) -> None:
    """A wrong option or name ends with 78 and says what would be right; nothing is read or written."""
    arguments, hint = MISTAKES[name]
    ended = await run(world.folder, command, *arguments)
    assert (ended.code, ended.out) == (78, "")
    assert hint in ended.err
    assert world.writes() == []


async def test_every_mistake_of_the_files_at_once(world: World) -> None:
    """Mistakes in the mapping's names end with 78 before anything is written, each with its line."""
    world.write(MAPPING | {"lead": {"name": "Заявка", "pipeline": "Воронко", "fields": {"Продукты": "x"}}})
    await world.store([talk("1")])
    ended = await run(world.folder, "run")
    assert ended.code == 78
    for said in ("mapping.yaml:", "Воронко", "Воронка", "Продукты", "Продукт"):
        assert said in ended.err
    assert world.writes() == []


async def test_templates_before_names(world: World) -> None:
    """The mistakes of all templates are told together, and nobody is asked for the names of a file that is broken."""
    lead = {"name": "{{ id | shout }}", "pipeline": "Воронко", "price": "{{ budget | shout }}"}
    world.write(MAPPING | {"lead": lead})
    broken = await run(world.folder, "run")
    assert (broken.code, broken.err.count("| shout")) == (78, 2)
    assert world.requests() == []
    world.write(MAPPING | {"lead": {"name": "{{ id }}", "pipeline": "Воронко"}})
    misnamed = await run(world.folder, "run")
    assert misnamed.code == 78
    assert "did you mean «Воронка»?" in misnamed.err


async def test_exit_code_1_means_failed(world: World) -> None:
    """A CRM that blocks us, and a Redis that is not there, end the run with 1, the reason and what to do."""
    world.sandbox.faults.add(f"GET {LEADS}/pipelines ban403")
    banned = await run(world.folder, "run")
    world.redis_url = f"unix://{world.folder}/nowhere.sock"
    world.write()
    gone = await run(world.folder, "run")
    for ended, reason in ((banned, "blocked"), (gone, "Redis cannot be reached")):
        assert (ended.code, ended.out) == (1, "")
        assert reason in ended.err
        assert "what to do: " in ended.err


@pytest.mark.parametrize("columns", [40, 80])
async def test_lines_are_wrapped_between_words(world: World, columns: int) -> None:
    """On a terminal no word is cut in two, and what is wrapped stays to the right of where its line begins."""
    words = [f"слово{number:03}" for number in range(100)]
    await world.store([talk("1", " ".join(words))])
    shown = await on_terminal(world.folder, "dry-run", columns=columns)
    assert all(len(line) <= columns for line in shown)
    begin = next(number for number, line in enumerate(shown) if line.startswith("      + user: слово000"))
    end = next(number for number, line in enumerate(shown) if "слово099" in line)
    assert end - begin >= 900 // columns
    assert all(re.match(" {8}слово", line) for line in shown[begin + 1 : end + 1])
    assert re.findall(r"слово\d+", " ".join(shown[begin : end + 1])) == words
    piped = (await process(world.folder, "dry-run")).out.splitlines()
    assert f"      + user: {' '.join(words)}" in piped


async def test_no_colour_and_no_bar_in_a_pipe(world: World) -> None:
    """Without a terminal there is no escape sequence and no progress bar, and results are on stdout alone."""
    await world.store([talk(str(number)) for number in range(5)])
    for name in ("dry-run", "run"):
        ended = await process(world.folder, name)
        assert "\x1b" not in ended.out + ended.err
        assert "━" not in ended.out + ended.err
        assert ended.err == ""


async def test_a_bar_on_a_terminal(world: World) -> None:
    """On a terminal a progress bar is drawn on stderr and taken away again; the results are coloured on stdout."""
    await world.store([talk(str(number)) for number in range(5)])
    code, results, shown = await on_two_terminals(world, "run")
    assert code == 0
    assert "━" in shown
    assert "run" in shown
    for part in ("reading…", "5 records", " requests"):
        assert part in shown
    assert not re.search(r"\d+/[\d?]", shown)  # a total that nobody knows
    assert shown.rstrip().endswith("\x1b[2K")
    assert "\x1b[32mcreated  0 contacts, 5 leads, 5 notes" in results


async def on_two_terminals(world: World, *arguments: str) -> tuple[int, str, str]:
    """The exit code of a command, and what stdout and stderr, a terminal each, were sent."""
    ours, its = zip(*(os.openpty() for _ in range(2)), strict=True)
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "leadsync", *arguments),
        cwd=world.folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=its[0],
        stderr=its[1],
        env={**os.environ, "COLUMNS": "80", "TERM": "xterm"},
    )
    for terminal in its:
        os.close(terminal)
    shown = await asyncio.gather(*(asyncio.to_thread(_everything, terminal) for terminal in ours))
    return await started.wait(), shown[0], shown[1]


def _everything(terminal: int) -> str:
    parts: list[bytes] = []
    with suppress(OSError):  # EIO: the other end is closed
        while part := os.read(terminal, 65536):
            parts.append(part)
    os.close(terminal)
    return b"".join(parts).decode()


@pytest.mark.parametrize("format_", ["text", "json"])
async def test_a_reader_that_goes_away(world: World, format_: str) -> None:
    """`leadsync dry-run | head -1` ends without a word, with the code of a tool that SIGPIPE ended."""
    await world.store([talk(str(number), "слово " * 50) for number in range(400)])
    async with running(world.folder, "dry-run", "--format", format_) as command:
        assert await command.line()
        command.process.stdout._transport.close()  # type: ignore[union-attr]
        assert command.process.stderr is not None
        said = (await command.process.stderr.read()).decode()
        assert (await command.process.wait(), said) == (141, "")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("path", ["/api/v4/contacts", LEADS, f"{LEADS}/notes"])
async def test_interrupted_and_run_again(world: World, stop: signal.Signals, path: str) -> None:
    """A run that is stopped while a request is on its way loses nothing and doubles nothing in the next one."""
    await world.store([talk(str(number), phone=f"+7916123450{number}") for number in range(5)])
    world.sandbox.faults.add(f"POST {path} late seconds=5 nth=1")
    async with running(world.folder, "run") as command:
        await arrived(world, "POST", path)
        ended = await command.ended(stop)
    world.sandbox.faults.clear()
    if stop is not signal.SIGKILL:
        assert ended.code == (130 if stop is signal.SIGINT else 143)
        assert "interrupted; what was finished is remembered" in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""
    again = await run(world.folder, "run")
    assert again.code == 0, again.err
    assert (len(world.contacts()), len(world.leads()), len(world.notes())) == (5, 5, 5)
    assert all(len(lead["contacts"]) == 1 for lead in world.leads())


async def arrived(world: World, method: str, path: str) -> Sequence[Any]:
    """Wait until such a request has come to the CRM."""
    while not (found := world.requests(method, path)):
        await world.sandbox.requests.reached(world.sandbox.requests.total + 1)
    return found


async def test_a_redis_that_may_forget_is_told(world: World, start_valkey: Callable[..., Valkey]) -> None:
    """A Redis that may evict keys, or keeps nothing on disk, is warned of in the run's report."""
    world.redis_url = start_valkey("--maxmemory-policy", "allkeys-lru", "--save", "", "--appendonly", "no").url
    world.write()
    _, report = await report_of(world, "run")
    assert len(report["warnings"]) == 2
    assert any("allkeys-lru" in one for one in report["warnings"])
    assert "warning: " in (await run(world.folder, "run")).out
