"""Health, readiness and metrics: what a probe sees, and what it costs."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from leadsync.events import RequestFinished
from leadsync.opened import AGAIN, Opened
from leadsync.web import Service
from leadsync.web.answering import FRESH, Answering
from tests.follow.following import until
from tests.web.serving import LEADS, PATIENT, app_around, app_for, bearer, bot, serving, with_key
from tests.world import World


async def test_alive_without_anything(world: World) -> None:
    """`/health` needs no key, no login, and neither Redis nor amoCRM."""
    world.redis_url = "redis://127.0.0.1:9/0"
    world.write()
    with_key(world, **world.integration())
    async with serving(app_for(world)) as client:
        answer = await client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_probes_cost_no_budget(world: World) -> None:
    """Fifty probes, one after the other and at once, are at most one request to amoCRM; a push is worth a probe."""
    async with bot(world) as client:
        before = len(world.requests("GET", "/api/v4/account"))
        for _ in range(25):
            assert (await client.get("/ready")).json() == {"ready": True, "redis": "ok", "amocrm": "ok"}
        answers = await asyncio.gather(*(client.get("/ready") for _ in range(25)))
        assert {one.status_code for one in answers} == {200}
        assert len(world.requests("GET", "/api/v4/account")) - before <= 1


TROUBLES = {
    "* /api/* drop_before": "cannot be reached",
    "* /api/* 504_before": "504",
    "* /api/* 429": "too many requests",
    "* /api/* ban403": "blocked",
}


@pytest.mark.parametrize("rule", TROUBLES)
async def test_not_ready_while_amocrm_is_in_trouble(world: World, rule: str) -> None:
    """`/ready` is 503, says that it is amoCRM and what to do, and a probe asks once."""
    with_key(world)
    app = app_for(world)
    async with bot(world) as first:
        await first.post(LEADS, json={"id": "1"})  # now the account's names are kept
    world.sandbox.faults.add(rule)
    async with serving(app) as client:
        before = world.sandbox.requests.total
        answers = [await client.get("/ready", headers=bearer()) for _ in range(5)]
    assert [one.status_code for one in answers] == [503] * 5
    found = answers[0].json()
    assert (found["ready"], found["redis"]) == (False, "ok")
    assert found["amocrm"] != "ok"
    assert world.sandbox.requests.total - before <= 1


async def test_not_ready_without_a_login(world: World) -> None:
    """While nobody is logged in `/ready` says so, and how to."""
    with_key(world, **world.integration())
    async with serving(app_for(world)) as client:
        answer = await client.get("/ready", headers=bearer())
    assert answer.status_code == 503
    assert "nobody has logged in" in answer.json()["amocrm"]
    assert "leadsync auth login" in answer.json()["amocrm"]


async def test_not_ready_while_pushes_are_held_back(world: World) -> None:
    """Where amoCRM answers questions and takes no lead `/ready` says why, until a push goes through."""
    with_key(world)
    service = Service(world.folder / "leadsync.yaml", **PATIENT)
    async with serving(app_around(service)) as client:
        client.headers.update(bearer())
        world.sandbox.faults.add("POST /api/v4/leads ban403 times=1")
        assert (await client.post(LEADS, json={"id": "1"})).status_code == 503
        answer = await client.get("/ready")
        assert (answer.status_code, answer.json()["redis"]) == (503, "ok")
        assert "held back" in answer.json()["amocrm"]
        assert "blocked" in answer.json()["amocrm"]
        service.logged_in()
        assert (await client.post(LEADS, json={"id": "2"})).status_code == 200
        assert (await client.get("/ready")).json()["ready"] is True


async def test_not_ready_where_the_files_do_not_fit(world: World) -> None:
    """When a login shows that the mappings do not fit the account, `/ready` says what shows the mistakes."""
    mapping = world.folder / "mapping.yaml"
    mapping.write_text(mapping.read_text().replace("Воронка", "Ворота"))
    with_key(world, **world.integration())
    async with serving(app_for(world)) as client:
        await world.log_in()
        with_key(world, **world.integration())
        found: list[str] = []

        async def is_told() -> bool:
            found.append((await client.get("/ready", headers=bearer())).json()["amocrm"])
            return "leadsync validate" in found[-1]

        await until(is_told)
    assert "do not fit the account" in found[-1]


async def test_an_answer_stands_for_a_while() -> None:
    """Any good answer of amoCRM makes a probe spare; after some seconds the next one asks again."""
    moment, asked = [0.0], []

    class Nothing:
        @asynccontextmanager
        async def connections(self):
            asked.append(moment[0])
            raise TimeoutError
            yield

        async def opened(self):
            return None

    answering = Answering(Nothing(), lambda: moment[0])
    answering(RequestFinished("GET", "/api/v4/leads", 200, 0.1))
    for moment[0], expected in ((0.0, "ok"), (FRESH - 0.1, "ok"), (FRESH, "did not answer"), (FRESH + 1, "did not")):
        assert expected in await answering.amocrm()
    assert asked == [FRESH]
    answering(RequestFinished("GET", "/api/v4/leads", 503, 0.1))
    assert "did not" in await answering.amocrm()
    answering(RequestFinished("GET", "/api/v4/leads", 204, 0.1))
    assert await answering.amocrm() == "ok"


class Door:
    """Something that opens from the n-th try on."""

    def __init__(self, works_at: int) -> None:
        self.works_at = works_at
        self.tries = 0
        self.is_open = False

    async def __aenter__(self) -> Door:
        self.tries += 1
        await asyncio.sleep(0)
        if self.tries < self.works_at:
            raise ConnectionError(self.tries)
        self.is_open = True
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.is_open = False


async def test_what_cannot_be_opened_is_tried_again_later() -> None:
    """Everybody who asks shares one try; a failure stands for some seconds, or until it is said to be over."""
    door, moment = Door(works_at=3), [0.0]
    opened = Opened(lambda: door, lambda: moment[0])
    failed = await asyncio.gather(*(opened.get() for _ in range(5)), return_exceptions=True)
    assert [type(one) for one in failed] == [ConnectionError] * 5
    moment[0] = AGAIN - 0.1
    with pytest.raises(ConnectionError):
        await opened.get()
    assert door.tries == 1
    moment[0] = AGAIN
    with pytest.raises(ConnectionError):
        await opened.get()
    opened.try_again()
    assert {await opened.get() for _ in range(3)} == {door}
    opened.try_again()
    assert (await opened.get(), door.tries, door.is_open) == (door, 3, True)
    await opened.aclose()
    assert not door.is_open


async def test_a_caller_without_patience_leaves_the_opening_to_others() -> None:
    """Whoever is cancelled while it opens takes nobody with it."""
    door = Door(works_at=1)
    opened = Opened(lambda: door)
    impatient, patient = asyncio.create_task(opened.get()), asyncio.create_task(opened.get())
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient is door
    await opened.aclose()


async def test_metrics_of_the_process(world: World) -> None:
    """Without a registry of ours `/metrics` tells what the process needs, in the format of Prometheus."""
    async with bot(world) as client:
        answer = await client.get("/metrics")
    names = {one.name for one in text_string_to_metric_families(answer.text)}
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "process_resident_memory_bytes" in names


async def test_metrics_of_a_registry(world: World) -> None:
    """A registry that is handed in is what `/metrics` shows, also as OpenMetrics."""
    registry = CollectorRegistry()
    Counter("talks", "Talks of a test", registry=registry).inc(3)
    async with bot(world, metrics=registry) as client:
        plain = await client.get("/metrics")
        open_ = await client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert "talks_total 3.0" in plain.text
    assert "process_" not in plain.text
    assert open_.headers["content-type"].startswith("application/openmetrics-text")
    assert open_.text.endswith("# EOF\n")
