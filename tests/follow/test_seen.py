"""Every trouble is seen by machines: the state in the metrics, and one call of the webhook for each change."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from leadsync.config.loader import load_project
from leadsync.follow.watch import Watch
from leadsync.sandbox import Sandbox
from tests.follow.following import STREAM, Ear, add, following
from tests.promises.server import KeptValkey
from tests.seeing.receiver import EAGER, Receiver, receiving, samples_of
from tests.world import World, talk


@pytest.fixture
async def receiver(world: World) -> AsyncIterator[Receiver]:
    """A receiver that the world's project calls; its source is a stream."""
    async with receiving() as receiver:
        world.write(sources={"talks": STREAM}, amocrm={"batch_size": 10})
        called(world, receiver)
        yield receiver


def called(world: World, receiver: Receiver) -> None:
    """Let the project of a world call a receiver."""
    world.settings(AMOCRM_ACCESS_TOKEN=world.sandbox.long_lived_token(), LEADSYNC_WEBHOOK=receiver.url)


@asynccontextmanager
async def watched(world: World) -> AsyncIterator[tuple[Watch, Ear]]:
    """A service that somebody watches."""
    watch = Watch(load_project(world.folder / "leadsync.yaml"), EAGER)
    async with watch, following(world, watch=watch) as (_, ear):
        yield watch, ear


async def seen(watch: Watch) -> dict[str, float]:
    """The samples of the metrics."""
    page, _ = await watch.metrics.page("")
    return samples_of(page.decode())


async def state_in(watch: Watch) -> list[str]:
    """The state that the metrics show: one."""
    found = await seen(watch)
    return [name[22:-2] for name, value in found.items() if name.startswith("leadsync_state{") and value == 1]


async def test_the_crm_is_away(world: World, receiver: Receiver) -> None:
    """The CRM goes away and comes back: two calls, and the metrics show the state, what waits, and for how long."""
    async with watched(world) as (watch, ear):
        await add(world.redis, talk("1"))
        await ear.finished(1)
        world.sandbox.faults.add("* /api/v4/* drop_before")
        await add(world.redis, talk("2"), talk("3"))
        away = await receiver.called(1)
        assert await state_in(watch) == ["crm unavailable"]
        found = await seen(watch)
        assert found['leadsync_queue_length{source="talks"}'] == 2
        assert found['leadsync_queue_age_seconds{source="talks"}'] > 0
        assert found['leadsync_waiting_age_seconds{source="talks"}'] > 0
        world.sandbox.faults.clear()
        back = await receiver.called(2)
        await ear.finished(3)
        assert await state_in(watch) == ["working"]
        found = await seen(watch)
        assert found['leadsync_records_total{outcome="create",source="talks"}'] == 3
        assert found['leadsync_message_to_lead_seconds_count{source="talks"}'] == 3
        assert found['leadsync_amocrm_requests_total{method="POST",route="/leads",status="200"}'] >= 1
        assert any(name.startswith("leadsync_amocrm_requests_total{") and 'status="none"' in name for name in found)
    assert (away["state"], away["before"], back["state"], back["before"]) == (
        "crm unavailable",
        "working",
        "working",
        "crm unavailable",
    )
    assert receiver.states == ["crm unavailable", "working"]


async def test_a_ban(world: World, receiver: Receiver) -> None:
    """A ban is told, and so is its end."""
    async with watched(world) as (watch, ear):
        await add(world.redis, talk("1"))
        await ear.finished(1)
        world.sandbox.faults.add("POST /api/v4/leads ban403 times=1")
        await add(world.redis, talk("2"))
        assert (await receiver.called(1))["state"] == "banned"
        await ear.finished(2)
        await receiver.called(2)
        assert (await seen(watch))['leadsync_amocrm_requests_total{method="POST",route="/leads",status="403"}'] == 1
    assert receiver.states == ["banned", "working"]


async def test_a_login_is_needed_by_three(world: World, receiver: Receiver) -> None:
    """Three workers without a login make one call; after somebody has logged in they make one more."""
    world.settings(**world.integration(), LEADSYNC_WEBHOOK=receiver.url)
    await add(world.redis, talk("1"))
    async with watched(world) as one, watched(world) as two, watched(world) as three:
        everybody = (one, two, three)
        for watch, ear in everybody:
            await ear.state("login needed")
            await watch.told()
        assert [await state_in(watch) for watch, _ in everybody] == [["login needed"]] * 3
        assert receiver.states == ["login needed"]
        await world.log_in()
        for watch, ear in everybody:
            await ear.state("working")
            await watch.told()
        await receiver.called(2)
    assert receiver.states == ["login needed", "working"]
    assert len(world.leads()) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_redis_is_restarted(tmp_path: Path, number: signal.Signals) -> None:
    """Redis goes and comes back: two calls; meanwhile the metrics answer with what the process knows itself."""
    async with KeptValkey(tmp_path / "valkey") as valkey, Sandbox(rate=0) as sandbox, receiving() as receiver:
        world = World(sandbox, valkey.redis, valkey.url, tmp_path)
        world.write(sources={"talks": STREAM})
        called(world, receiver)
        async with watched(world) as (watch, ear):
            await add(world.redis, talk("1"))
            await ear.finished(1)
            assert (await seen(watch))["leadsync_redis_up"] == 1
            await valkey.stop(number)
            away = await receiver.called(1)
            found = await seen(watch)
            assert found["leadsync_redis_up"] == 0
            assert found['leadsync_state{state="redis unavailable"}'] == 1
            assert found['leadsync_records_total{outcome="create",source="talks"}'] == 1
            assert "leadsync_refused_records" not in found
            await valkey.start()
            await receiver.called(2)
            await add(world.redis, talk("2"))
            await ear.finished(2)
            assert (await seen(watch))["leadsync_redis_up"] == 1
    assert (away["state"], away["before"]) == ("redis unavailable", "working")
    assert receiver.states == ["redis unavailable", "working"]


async def test_refused_records_are_seen(world: World, receiver: Receiver) -> None:
    """What waits for a person is counted; a record's own fault is no change of state, and its key is in no label."""
    async with watched(world) as (watch, ear):
        await add(world.redis, talk("1", phone="+79161234567", budget="дорого"), talk("2", "Привет"))
        await ear.finished(2)
        page, _ = await watch.metrics.page("")
    found = samples_of(page.decode())
    assert found["leadsync_refused_records"] == 1
    assert found['leadsync_records_total{outcome="failed",source="talks"}'] == 1
    assert found['leadsync_message_to_lead_seconds_count{source="talks"}'] == 1
    for private in ("telegram:1", "79161234567", "Иван", "Привет", "дорого", receiver.url):
        assert private not in page.decode()
    assert receiver.tries == 0


async def test_a_call_nobody_takes_does_not_hold_the_work(world: World, receiver: Receiver) -> None:
    """While a receiver keeps everybody waiting records go in."""
    receiver.silent = True
    world.sandbox.faults.add("* /api/v4/* 500_before")
    async with watched(world) as (_, ear):
        await ear.state("crm unavailable")
        await receiver.tried(1)
        world.sandbox.faults.clear()
        await add(world.redis, *(talk(str(number)) for number in range(5)))
        await ear.finished(5)
        receiver.hang_up()
    assert len(world.leads()) == 5


async def test_the_end_waits_for_a_call(world: World, receiver: Receiver) -> None:
    """A service that is told to end while it tells of a change tells it first."""
    receiver.answers = [500]
    world.sandbox.faults.add("* /api/v4/* 500_before")
    async with watched(world) as (_, ear):
        await ear.state("crm unavailable")
    async with asyncio.timeout(20):
        assert (await receiver.called(1))["state"] == "crm unavailable"
