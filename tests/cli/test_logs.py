"""Logs: every line of a run says which run, and a line about a record says which record, without a person in it."""

from __future__ import annotations

import signal

import orjson

from tests.cli.terminal import run, running
from tests.follow.following import STREAM, add
from tests.world import MAPPING, World, talk


def lines_of(text: str) -> list[dict[str, str]]:
    """The lines of a log."""
    return [orjson.loads(line) for line in text.splitlines() if line.startswith("{")]


async def test_a_run_has_an_id(world: World) -> None:
    """The report's run id stands in every line of the run; a record's line has its key."""
    await world.store([talk("1", phone="+79161234567"), talk("2", budget="дорого")])
    ended = await run(world.folder, "run", "--format", "json", "--log-level", "debug", "--log-format", "json")
    assert ended.code == 3
    run_id, lines = orjson.loads(ended.out)["run_id"], lines_of(ended.err)
    created = next(one for one in lines if one["message"].endswith("was created"))
    refused = next(one for one in lines if one["message"].startswith("a record was refused"))
    posted = next(one for one in lines if one["message"].startswith("POST /leads:"))
    assert (created["run_id"], created["key"]) == (run_id, "telegram:1")
    assert (refused["run_id"], refused["key"]) == (run_id, "telegram:2")
    assert posted["run_id"] == run_id
    assert "key" not in posted
    assert {"at", "level", "logger"} <= posted.keys()


async def test_a_key_that_is_a_phone(world: World) -> None:
    """A key made of a phone or a name is a digest, in both formats."""
    world.write({**MAPPING, "key": "{{ phone }}:{{ user_name }}"})
    await world.store([talk("1", phone="+79161234567"), talk("2", phone="+79161234568", budget="дорого")])
    for format_ in ("json", "text"):
        ended = await run(world.folder, "run", "--log-level", "debug", "--log-format", format_)
        assert ended.code == 3
        for private in ("9161234", "Иван", "дорого"):
            assert private not in ended.err
        if format_ == "json":
            assert {one["key"][0] for one in lines_of(ended.err) if "key" in one} == {"#"}
        else:
            assert "key=#" in ended.err
            assert "[run_id=" in ended.err


async def test_a_service_has_an_id(world: World) -> None:
    """Lines of `run --follow` have the id that its report has."""
    world.write(sources={"talks": STREAM})
    await add(world.redis, talk("1"))
    options = ("--follow", "--format", "json", "--log-level", "info", "--log-format", "json")
    async with running(world.folder, "run", *options) as command:
        line = orjson.loads(await command.said("was created"))
        ended = await command.ended(signal.SIGTERM)
    assert line["key"] == "telegram:1"
    assert line["run_id"] == orjson.loads(ended.out)["run_id"]
