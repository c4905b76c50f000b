"""`leadsync status`: what Redis tells of the sync, for people at 80 columns and as JSON."""

from __future__ import annotations

import os
import re
import time
from dataclasses import replace
from typing import Any

import orjson
import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from leadsync.amocrm.pace import Pace, pace_of
from leadsync.amocrm.shared_budget import SharedBudget
from leadsync.amocrm.tokens import Tokens, TokenStore
from leadsync.errors import AmoCRMBanned, AmoCRMUnavailable
from leadsync.sealing import seal_of
from leadsync.state.claims import Claims
from leadsync.state.workers import workers_of
from tests.cli.terminal import on_terminal, run
from tests.world import NAMES, World, talk


async def json_of(world: World, *arguments: str, code: int = 0) -> dict[str, Any]:
    """The status as JSON."""
    ended = await run(world.folder, "status", *arguments, "--format", "json")
    assert ended.code == code
    document: dict[str, Any] = orjson.loads(ended.out)
    return document


async def rows(world: World) -> dict[str, str]:
    """What stands behind each name."""
    ended = await run(world.folder, "status")
    assert ended.code == 0, ended.err
    lines = [line for line in ended.out.splitlines() if line[:1].isalpha()]
    return {line[:10].strip(): line[10:] for line in lines}


async def a_bad_week(world: World) -> None:
    """Runs that went, were refused something, failed, and one that left a batch behind."""
    await world.store([talk("1", phone="+79161234567"), talk("2", phone="123")])
    await world.run()
    world.sandbox.faults.add("GET /api/v4/contacts ban403")
    await world.store([talk("3", phone="+79035550111")])
    with pytest.raises(AmoCRMBanned):
        await world.run()
    world.sandbox.faults.clear()
    world.sandbox.faults.add("POST /api/v4/leads drop_before")
    world.sandbox.faults.add("GET /api/v4/leads 500_before")
    with pytest.raises(AmoCRMUnavailable):
        await world.run()
    world.sandbox.faults.clear()


async def test_an_untouched_project(world: World) -> None:
    """Before the first run there is nothing to tell, nothing wrong, and amoCRM is not asked."""
    found = await rows(world)
    assert found.pop("login").startswith("a long-lived token (AMOCRM_ACCESS_TOKEN)")
    assert found.pop("warning: t").startswith("his Redis keeps nothing on disk")
    assert found == {
        "account": "firm.amocrm.ru",
        "pace": "the whole rate",
        "workers": "none at work",
        "contacts": "searched for one by one; they are listed when that is cheaper",
        "batches": "none under way",
        "refused": "none",
        "redis": f"{world.redis_url.removeprefix('unix://')}, not encrypted",
        "runs": "none yet",
    }
    assert world.requests() == []


async def test_a_run_that_could_not_begin(world: World) -> None:
    """A run without a login, or whose mapping names what the account has not, is among the runs, with what to do."""
    world.settings(**world.integration())
    assert (await run(world.folder, "run")).code == 77
    world.write({"key": "{{ id }}", "lead": {"name": "x", "fields": {"Нет такого": "1"}}})
    assert (await run(world.folder, "run")).code == 78
    newest, oldest = (await json_of(world))["runs"]
    assert (oldest["ended"], oldest["error"]["class"]) == ("failed", "AuthorizationRequired")
    assert "leadsync auth login" in oldest["error"]["do"]
    assert (newest["source"], newest["error"]["class"]) == ("redis-dialogs", "ConfigurationError")


async def test_what_waits_is_told(world: World) -> None:
    """Refused records and batches whose end nobody knows, with number and time; runs as they ended."""
    await a_bad_week(world)
    found = await rows(world)
    assert found["refused"].startswith("1 waiting, the oldest since ")
    assert found["batches"].startswith("1 under way, or left by who died; the oldest since ")
    out = (await run(world.folder, "status")).out
    lines = out.splitlines()[out.splitlines().index("runs      the last ones") + 1 :]
    assert "redis-dialogs  failed: AmoCRMUnavailable  " in lines[0]
    assert "redis-dialogs  failed: AmoCRMBanned  " in lines[2]
    assert lines[3] == "      amoCRM has blocked the account or this address (403 with the gateway's page)"
    assert "redis-dialogs  2 records, 1 new, 1 refused  " in lines[4]
    assert lines[5].startswith("warning: this Redis keeps nothing on disk")


async def test_what_goes_in_by_itself_is_told_apart(world: World) -> None:
    """Pushes that amoCRM held back are among the refused records, and nobody has to do anything about them."""
    async with world.pipeline() as pipeline:
        world.sandbox.faults.add("* /api/* drop_before")
        await pipeline.push(talk("1"))
        await pipeline.push(talk("2"))
        await pipeline.push(talk("3") | {"messages": 7})
    world.sandbox.faults.clear()
    assert (await rows(world))["refused"].startswith("3 waiting, 2 of them until amoCRM takes pushes again, the oldest")
    found = (await json_of(world))["refused"]
    assert (found["count"], found["held_back"]) == (3, 2)


async def test_json_tells_the_same(world: World) -> None:
    """One document with every figure; `--runs` says how many runs."""
    await a_bad_week(world)
    found = await json_of(world, "--runs", "2")
    assert (found["refused"]["count"], found["batches"]["count"]) == (1, 1)
    assert time.time() - 60 < found["refused"]["since"] <= found["batches"]["since"] <= time.time()
    assert [(one["ended"], one["error"]["class"]) for one in found["runs"]] == [
        ("failed", "AmoCRMUnavailable"),
        ("failed", "AmoCRMBanned"),
    ]
    assert {one["kind"] for one in found["redis"]["sizes"]} >= {"link", "people", "refused", "journal", "runs"}
    assert all(one["bytes"] > 0 for one in found["redis"]["sizes"])
    assert (await json_of(world, "--runs", "0"))["runs"] == []


async def test_fits_a_terminal(world: World) -> None:
    """On 80 columns no line is longer, whatever there is to tell."""
    await a_bad_week(world)
    lines = await on_terminal(world.folder, "status")
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("refused   1 waiting") for line in lines)


async def test_the_login_decides_the_exit_code(world: World) -> None:
    """77 when somebody has to log in, and what to do; the age of a token once somebody has."""
    world.settings(**world.integration())
    needed = await run(world.folder, "status")
    assert (needed.code, "somebody has to log in" in needed.out, "leadsync auth login" in needed.err) == (
        77,
        True,
        True,
    )
    await world.log_in()
    tokens = await world.tokens.load()
    assert tokens is not None
    await world.tokens.save(replace(tokens, issued_at=time.time() - 7200))
    found = await rows(world)
    assert found["login"] == "an integration (OAuth), good for 89 days; the token is 2 h 0 min old"
    assert (await json_of(world))["login"]["token_age"] == pytest.approx(7200, abs=60)


async def test_a_sealed_login_is_told_too(world: World) -> None:
    """With the key the figures are there; without it 78 says which variable is missing."""
    key = Fernet.generate_key().decode()
    now = time.time()
    tokens = Tokens("access", "refresh", now - 60, now + 3600, "127.0.0.1")
    await TokenStore(world.redis, NAMES.prefix, seal=seal_of(SecretStr(key))).save(tokens)
    world.settings(**world.integration(), LEADSYNC_SECRET_KEY=key)
    found = await rows(world)
    assert found["redis"].endswith(", encrypted")
    assert "the token is 1 min old" in found["login"]
    world.settings(**world.integration())
    ended = await run(world.folder, "status")
    assert (ended.code, ended.out) == (78, "")
    assert "LEADSYNC_SECRET_KEY is not set" in ended.err


async def test_redis_that_does_not_answer_is_an_error(world: World) -> None:
    """Without Redis there is nothing to tell: 1."""
    world.write(redis={"url": "redis://127.0.0.1:1/0"})
    ended = await run(world.folder, "status")
    assert (ended.code, ended.out) == (1, "")
    assert "Redis cannot be reached" in ended.err


async def test_workers_are_counted(world: World) -> None:
    """Whoever proves that it lives is told, by process here, by machine elsewhere; the dead are not."""
    elsewhere = ["one/17/1/a", "one/17/1/b", "one/18/1/c", "two/17/1/d"]
    await world.redis.sadd(NAMES.name("owners"), "silent/17/1/e", *elsewhere)
    for owner in elsewhere:
        await world.redis.set(NAMES.name("alive", owner), 1)
    async with world.pipeline(), Claims(world.redis, NAMES):
        ours, *others = await workers_of(world.redis, NAMES)
        found = await rows(world)
    assert (ours.here, ours.pid, ours.lanes) == (True, os.getpid(), 2)
    assert [(one.machine, one.pid, one.lanes) for one in others] == [("one", 17, 2), ("one", 18, 1), ("two", 17, 1)]
    assert found["workers"] == f"1 here (process {os.getpid()}), 3 on 2 other machines"


async def test_the_pace_after_a_429(world: World) -> None:
    """Half the rate right after it, silence as long as amoCRM asked, and the whole rate once a minute is over."""
    assert await pace_of(world.redis, NAMES.prefix) == Pace()
    budget = SharedBudget(world.redis, NAMES.prefix, 7)
    await budget.put_off(30)
    assert (await pace_of(world.redis, NAMES.prefix)).share == pytest.approx(0.5, abs=0.02)
    assert "nothing is sent for 29 s more, as amoCRM asked" in (await rows(world))["pace"]
    now = int(time.time() * 1_000_000)
    await world.redis.hset(NAMES.name("budget"), mapping={"slowed": now - 30_000_000, "quiet": now})
    assert re.fullmatch(r"7\d% of the rate: amoCRM put us off 3\d s ago", (await rows(world))["pace"])
    await world.redis.hset(NAMES.name("budget"), "slowed", now - 100_000_000)
    assert await pace_of(world.redis, NAMES.prefix) == Pace()


async def test_the_index_is_told(world: World) -> None:
    """Once the account's contacts are listed, how many phones and e-mails that are and how old the list is."""
    await world.store([talk(str(number), phone=f"+7903555{number:04}") for number in range(20)])
    await world.run()
    await world.store([talk("x", phone="+79161234567")])
    found = await rows(world)
    assert found["contacts"].startswith("0 phones and e-mails listed, up to date ")


async def test_what_is_spent_of_the_rate(world: World) -> None:
    """The requests of the last seconds are counted over all processes, and told as a part of the rate."""
    one, other = (SharedBudget(world.redis, NAMES.prefix, 1000) for _ in range(2))
    for _ in range(100):
        await one.wait()
        await other.wait()
    counted = await world.redis.hmget(NAMES.name("budget"), "given", "before")
    assert sum(map(int, counted)) == 200
    assert 0 < (await pace_of(world.redis, NAMES.prefix)).spent <= 20
    assert 0 < (await json_of(world))["pace"]["used"] <= 0.02
    assert re.fullmatch(r"the whole rate, [12]% of it used", (await rows(world))["pace"])
    await world.redis.hincrby(NAMES.name("budget"), "period", -2)
    assert (await pace_of(world.redis, NAMES.prefix)).spent == 0


async def test_a_queue_is_told(world: World) -> None:
    """What waits in a stream is counted with its time, given to somebody or not; a source that is away is said so."""
    away = {"type": "redis-stream", "stream": "t", "mapping": "mapping.yaml", "url": "redis://127.0.0.1:1/0"}
    world.write(sources={"talks": {"type": "redis-stream", "stream": "talks", "mapping": "mapping.yaml"}, "far": away})
    assert (await rows(world))["queue"] in ("talks: nothing waits", "far does not answer")
    first = await world.redis.xadd("talks", {"record": "{}"}, id="1700000000500-1")
    await world.redis.xadd("talks", {"record": "{}"}, id="1700000000500-12")
    await world.redis.xadd("talks", {"record": "{}"})
    assert (await json_of(world))["queues"] == {"talks": {"count": 3, "since": 1700000000.5}, "far": None}
    await world.redis.xgroup_create("talks", "leadsync", id="0")
    await world.redis.xreadgroup("leadsync", "somebody", {"talks": ">"}, count=2)
    assert (await json_of(world))["queues"]["talks"] == {"count": 3, "since": 1700000000.5}
    await world.redis.xack("talks", "leadsync", first)
    assert (await json_of(world))["queues"]["talks"] == {"count": 2, "since": 1700000000.5}
    out = (await run(world.folder, "status")).out
    assert "queue     talks: 2 waiting, the oldest since 15.11.2023 01:13" in out
    assert "queue     far does not answer" in out
