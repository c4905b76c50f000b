"""A service ends well: it finishes what is under way, says what is left, and can be told twice."""

from __future__ import annotations

import json
import signal

import pytest

from leadsync.events import Warned
from leadsync.state.runs import last_runs
from leadsync.state.workers import workers_of
from tests.cli.terminal import run, running
from tests.follow.following import STREAM, add, following, pending
from tests.processes import process
from tests.world import NAMES, World, talk

DIALOGS = {"type": "redis-dialogs", "match": "dialog:*", "mapping": "mapping.yaml", "poll": "0.05s"}


async def test_what_is_under_way_is_finished(world: World) -> None:
    """The first SIGTERM ends reading and finishes the batch that is on its way; the command ends with 0."""
    world.write(sources={"talks": STREAM})
    async with running(world.folder, "run", "--follow", "--format", "json") as command:
        await command.said("following talks")
        world.sandbox.faults.add("POST /api/v4/leads late seconds=0.5")
        sent = len(world.requests("POST", "/api/v4/leads"))
        await add(world.redis, talk("1"))
        while len(world.requests("POST", "/api/v4/leads")) == sent:
            await world.sandbox.requests.reached(world.sandbox.requests.total + 1)
        ended = await command.ended(signal.SIGTERM)
    assert ended.code == 0
    assert "finishing what is under way" in ended.err
    assert "nothing is left" in ended.err
    report = json.loads(ended.out)
    assert report["created"] == {"contacts": 0, "leads": 1, "notes": 1}
    (kept,) = await last_runs(world.redis, NAMES)
    assert (kept["run_id"], kept["requests"]["total"]) == (report["run_id"], report["requests"]["total"])
    assert await pending(world.redis) == 0
    assert len(world.notes()) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
async def test_the_second_signal_stops_at_once(world: World, number: signal.Signals, code: int) -> None:
    """Who does not want to wait says so again; what was begun is finished by whoever comes next."""
    world.write(sources={"talks": STREAM})
    async with running(world.folder, "run", "--follow") as command:
        await command.said("following talks")
        world.sandbox.faults.add("POST /api/v4/leads late seconds=30")
        await add(world.redis, talk("1"))
        while not world.requests("POST", "/api/v4/leads"):
            await world.sandbox.requests.reached(world.sandbox.requests.total + 1)
        command.process.send_signal(number)
        await command.said("finishing what is under way")
        ended = await command.ended(number)
    assert ended.code == code
    assert "interrupted" in ended.err
    world.sandbox.faults.clear()
    async with following(world) as (_, ear):
        await ear.finished(1)
    assert len(world.leads()) == 1
    assert len(world.notes()) == 1


async def test_there_is_a_deadline(world: World) -> None:
    """What does not finish in time is broken off, and said to be."""
    world.write(sources={"talks": STREAM})
    async with running(world.folder, "run", "--follow", "--drain", "0.3s") as command:
        await command.said("following talks")
        world.sandbox.faults.add("POST /api/v4/leads late seconds=30")
        await add(world.redis, talk("1"))
        while not world.requests("POST", "/api/v4/leads"):
            await world.sandbox.requests.reached(world.sandbox.requests.total + 1)
        ended = await command.ended(signal.SIGTERM)
    assert ended.code == 143
    assert "did not finish in time" in ended.err
    assert "left: 1 waiting, found again at the next start" in ended.err


async def test_told_while_it_waits_for_the_crm(world: World) -> None:
    """A service that has not even begun ends at once when it is told to."""
    world.sandbox.faults.add("* /api/v4/* 500_before")
    async with following(world) as (service, ear):
        await ear.state("crm unavailable")
    assert service.report.records == 0


async def test_new_files(world: World) -> None:
    """SIGHUP: the new mapping counts from then on, and nothing is read twice into the CRM."""
    world.write(sources={"dialogs": DIALOGS})
    await world.store([talk("1")])
    async with following(world) as (service, ear):
        await ear.finished(1)
        text = (world.folder / "mapping.yaml").read_text()
        (world.folder / "mapping.yaml").write_text(text.replace("Заявка от", "Новая от"))
        service.reload()
        await ear.hears(Warned, lambda one: one.what == "the new files are used from now on")
        await ear.finished(2)
        await world.store([talk("2", user_name="Анна")])
        await ear.finished(3)
    assert {one["name"] for one in world.leads()} == {"Новая от Иван", "Новая от Анна"}
    assert len(world.notes()) == 2


async def test_new_files_twice(world: World) -> None:
    """SIGHUP once more while a batch still goes out by the old files: the last ones count, and nothing is left open."""
    world.write(sources={"talks": STREAM})
    text = (world.folder / "mapping.yaml").read_text()
    async with following(world) as (service, ear):
        await ear.state("working")
        world.sandbox.faults.add("POST /api/v4/leads late seconds=1 nth=1")
        await add(world.redis, talk("1"))
        while not world.requests("POST", "/api/v4/leads"):
            await world.sandbox.requests.reached(world.sandbox.requests.total + 1)
        for count, name in enumerate(("Вторая от", "Третья от"), 1):
            (world.folder / "mapping.yaml").write_text(text.replace("Заявка от", name))
            service.reload()
            await ear.hears(Warned, count=count)
        await ear.finished(1)
        await add(world.redis, talk("2"))
        await ear.finished(2)
    assert [one["name"] for one in world.leads()] == ["Заявка от Иван", "Третья от Иван"]
    assert await workers_of(world.redis, NAMES) == []


async def test_new_files_before_it_could_begin(world: World) -> None:
    """SIGHUP: a service that is in trouble from the beginning, for its files are wrong, goes on with the new ones."""
    right, world.redis_url = world.redis_url, "redis://127.0.0.1:9/0"
    world.write(sources={"dialogs": DIALOGS})
    await world.store([talk("1")])
    async with following(world) as (service, ear):
        await ear.state("redis unavailable")
        world.redis_url = right
        world.write(sources={"dialogs": DIALOGS})
        service.reload()
        await ear.finished(1)
    assert ear.warnings[0] == "the new files are used from now on"
    assert len(world.leads()) == 1


@pytest.mark.parametrize(
    "spoiled",
    [
        ("mapping.yaml", "lead:", "laed:"),
        ("mapping.yaml", "Воронка", "Ворота"),
        ("leadsync.yaml", "redis-dialogs", "redis-dialog"),
    ],
)
async def test_wrong_files(world: World, spoiled: tuple[str, str, str]) -> None:
    """When the new files are wrong, for themselves or for the account, that is said and the old ones stay."""
    world.write(sources={"dialogs": DIALOGS})
    name, before, after = spoiled
    async with following(world) as (service, ear):
        await ear.state("working")
        path = world.folder / name
        path.write_text(path.read_text().replace(before, after))
        service.reload()
        await ear.hears(Warned)
        await world.store([talk("1")])
        await ear.finished(1)
    (said,) = ear.warnings
    assert "the old ones stay" in said
    assert name in said
    assert len(world.leads()) == 1


async def test_what_is_wrong_at_the_beginning(world: World) -> None:
    """A service that cannot begin says why and ends with the usual codes."""
    ended = await process(world.folder, "run", "--follow", "--source", "nobody")
    assert ended.code == 78
    assert "nobody" in ended.err
    await world.store([talk(str(number)) for number in range(3)])
    ended = await process(world.folder, "run", "--follow", "--max-new-leads", "2")
    assert ended.code == 4
    assert "make 3 new leads" in ended.err
    (world.folder / "mapping.yaml").write_text("key: 1\n")
    ended = await run(world.folder, "run", "--follow")
    assert ended.code == 78
    assert world.leads() == []


@pytest.mark.parametrize("option", ["--limit=1", "--record=a", "--plan=plan.json"])
async def test_what_does_not_go_together(world: World, option: str) -> None:
    """A service brings everything in: what chooses records is refused, and `--drain` needs a service."""
    ended = await run(world.folder, "run", "--follow", option)
    assert ended.code == 78
    assert option.partition("=")[0] in ended.err
    ended = await run(world.folder, "run", "--drain", "30s")
    assert ended.code == 78
    ended = await run(world.folder, "run", "--follow", "--drain", "soon")
    assert ended.code == 78
    assert "30s" in ended.err
