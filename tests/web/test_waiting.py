"""What is pushed while it cannot go in waits, and goes in by itself once it can: once, in order, and whole."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest

from leadsync.sandbox import Sandbox
from leadsync.web import Service
from tests.cli.terminal import running
from tests.follow.following import until
from tests.promises.server import KeptValkey
from tests.web.serving import LEADS, PATIENT, URL, app_for, bearer, bot, serving, with_key
from tests.world import World, talk


async def push_all(client: httpx.AsyncClient, talks: Iterable[dict[str, Any]], status: int = 503) -> None:
    """Push one after the other; each gets this status."""
    for one in talks:
        assert (await client.post(LEADS, json=one)).status_code == status


async def nothing_waits(world: World) -> None:
    """Wait until no refused record is kept any more."""

    async def is_empty() -> bool:
        return not await world.refused()

    await until(is_empty, 60)


def named(world: World) -> list[str]:
    """The names of the leads, the oldest first."""
    return [lead["name"] for lead in world.leads()]


TALKS = [talk(str(number), user_name=f"{number:02}", phone=f"+791612345{number:02}") for number in range(12)]
LEAD_NAMES = [f"Заявка от {number:02}" for number in range(12)]


@pytest.fixture
async def stranger(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """A bot of a service that nobody has logged in."""
    with_key(world, **world.integration())
    async with serving(app_for(world)) as client:
        client.headers.update(bearer())
        yield client


async def test_after_the_login_everything_goes_on(world: World, stranger: httpx.AsyncClient) -> None:
    """While a login is needed `/ready` says so and pushes are kept; after it they go in by themselves, in order."""
    await push_all(stranger, TALKS)
    ready = await stranger.get("/ready")
    assert (ready.status_code, "leadsync auth login" in ready.json()["amocrm"]) == (503, True)
    assert [one.remedy for one in await world.refused()] == ["log in"] * len(TALKS)
    address = (await stranger.get(URL)).json()["auth_url"]
    login = {"code": world.sandbox.oauth.code(1), "state": httpx.URL(address).params["state"]}
    assert (await stranger.get("/api/v1/amocrm/callback", params=login)).status_code == 200
    await nothing_waits(world)
    assert named(world) == LEAD_NAMES
    assert (await stranger.get("/ready")).json()["ready"] is True


async def test_a_login_that_somebody_else_makes(world: World, stranger: httpx.AsyncClient) -> None:
    """A login by `leadsync auth login` is noticed though nobody pushes or asks, also when it is needed once more."""
    await push_all(stranger, TALKS[:3])
    await world.log_in()
    await nothing_waits(world)
    world.sandbox.oauth.revoke_all()
    await push_all(stranger, TALKS[3:6])
    await world.log_in()
    await nothing_waits(world)
    assert named(world) == LEAD_NAMES[:6]


TROUBLES = {"down": "* /api/* drop_before", "failing": "* /api/* 504_before", "busy": "* /api/* 429"}


@pytest.mark.parametrize("name", TROUBLES)
async def test_amocrm_comes_back(world: World, name: str) -> None:
    """What was pushed in the trouble goes in when it is over, though nobody pushes any more."""
    async with bot(world) as client:
        world.sandbox.faults.add(TROUBLES[name])
        await push_all(client, TALKS[:4])
        assert len(await world.refused()) == 4
        world.sandbox.faults.clear()
        await nothing_waits(world)
    assert named(world) == LEAD_NAMES[:4]


async def test_a_push_that_goes_through_ends_the_trouble(world: World) -> None:
    """Where a right is missing nobody tries for minutes; a push that went through shows that it is there."""
    async with bot(world) as client:
        world.sandbox.faults.add("* /api/* forbidden")
        await push_all(client, TALKS[:3])
        await world.sandbox.requests.reached(world.sandbox.requests.total + 1)  # one more look, then none for long
        world.sandbox.faults.clear()
        await push_all(client, TALKS[3:4], 200)
        await nothing_waits(world)
    assert named(world) == [LEAD_NAMES[3], *LEAD_NAMES[:3]]


async def test_several_services_and_an_impatient_bot(world: World, seed: int) -> None:
    """Three services that share a Redis bring in what waits while a bot sends it all again: each lead once."""
    with_key(world, **world.integration())
    services = [Service(world.folder / "leadsync.yaml", **PATIENT) for _ in range(3)]
    async with services[0], services[1], services[2]:
        results = await asyncio.gather(*(services[number % 3].push(one) for number, one in enumerate(TALKS)))
        assert not any(one.success for one in results)
        await world.log_in()
        for one in services:
            one.logged_in()
        again = await asyncio.gather(*(services[number % 3].push(one) for number, one in enumerate(TALKS, seed % 3)))
        assert all(one.success for one in again)
        await nothing_waits(world)
    assert sorted(named(world)) == LEAD_NAMES
    assert len(world.contacts()) == len(world.notes()) == len(TALKS)


async def test_each_message_by_itself(world: World) -> None:
    """A bot that pushes every message alone loses none that had to wait: they go in together, in order."""
    parts = [
        {"id": "1", "user_name": "Анна", "messages": [{"role": "user", "text": "раз"}]},
        {"id": "1", "phone": "+79161234567", "messages": [{"role": "user", "text": "два"}]},
        {"id": "1", "messages": [{"role": "user", "text": "три"}]},
    ]
    async with bot(world) as client:
        world.sandbox.faults.add("* /api/* drop_before")
        await push_all(client, parts[:2])
        assert len(await world.refused()) == 1
        world.sandbox.faults.clear()
        await push_all(client, parts[2:], 200)  # takes along what waits
        await nothing_waits(world)
    ((_, text),) = world.notes()
    assert text.splitlines() == ["user: раз", "user: два", "user: три"]
    ((lead,), (contact,)) = world.leads(), world.contacts()
    assert (lead["name"], contact["fields"]) == ("Заявка от Анна", {"PHONE": "+79161234567"})


async def test_messages_at_the_same_moment(world: World, stranger: httpx.AsyncClient) -> None:
    """A bot that pushes several messages of one talk at once, each alone, loses none while a login is needed."""
    texts = ["раз", "два", "три", "четыре"]
    parts = [{"id": "1", "messages": [{"role": "user", "text": text}]} for text in texts]
    answers = await asyncio.gather(*(stranger.post(LEADS, json=one) for one in parts))
    assert {one.status_code for one in answers} == {503}
    await world.log_in()
    await nothing_waits(world)
    ((_, text),) = world.notes()
    assert sorted(text.splitlines()) == sorted(f"user: {one}" for one in texts)


async def test_one_that_is_refused_holds_nobody_up(world: World, stranger: httpx.AsyncClient) -> None:
    """What waited and turns out to be wrong stays among the refused with its reason; all others go in."""
    wrong = talk("wrong", phone="12")
    await push_all(stranger, [TALKS[0], wrong, TALKS[1]])
    await world.log_in()

    async def only_the_wrong_one() -> bool:
        return [(one.key, one.remedy) for one in await world.refused()] == [("telegram:wrong", "fix the record")]

    await until(only_the_wrong_one)
    assert named(world) == LEAD_NAMES[:2]


async def test_a_run_brings_its_talk_in_meanwhile(world: World, stranger: httpx.AsyncClient) -> None:
    """What was pushed and has to wait for a login goes in after it, though a run with a token had its talk before: its
    message is noted, and what the later word of the source says stays."""
    message = {"role": "user", "text": "по телефону"}
    await push_all(stranger, [{"id": "1", "messages": [message], "budget": 100, "phone": "+79161234567"}])
    world.settings(AMOCRM_ACCESS_TOKEN=world.sandbox.long_lived_token())
    await world.store([talk("1", "Здравствуйте", budget=200)])
    assert (await world.run()).created == {"leads": 1, "notes": 1}
    assert len(await world.refused()) == 1
    await world.log_in()
    await nothing_waits(world)
    ((lead,), (contact,)) = world.leads(), world.contacts()
    assert (lead["price"], lead["contacts"]) == (200, [contact["id"]])
    assert [text for _, text in world.notes()] == ["user: Здравствуйте", "user: по телефону"]


async def test_who_comes_next_goes_on(world: World) -> None:
    """What waits outlives its service: the next one brings it in, without a push or a question."""
    async with bot(world) as client:
        world.sandbox.faults.add("* /api/* drop_before")
        await push_all(client, TALKS[:3])
    world.sandbox.faults.clear()
    async with bot(world):
        await nothing_waits(world)
    assert named(world) == LEAD_NAMES[:3]


async def test_in_a_bot_of_ones_own(world: World) -> None:
    """`Pipeline.push` does the same in a bot that lives on; a refused record of a source is left to its source."""
    world.write()
    await world.store([talk("kept", phone="12")])
    await world.run()
    async with world.pipeline() as pipeline:
        world.sandbox.faults.add("* /api/* drop_before")
        results = [await pipeline.push(one) for one in TALKS[:3]]
        assert not any(one.success for one in results)
        world.sandbox.faults.clear()

        async def only_the_sources() -> bool:
            return [one.key for one in await world.refused()] == ["telegram:kept"]

        await until(only_the_sources)
    assert named(world) == LEAD_NAMES[:3]
    assert [one.tries for one in await world.refused()] == [1]


async def test_redis_comes_back(tmp_path: Path) -> None:
    """What waits outlives a Redis that stops and starts, and goes in by itself though its service was cut off."""
    async with KeptValkey(tmp_path / "valkey") as valkey, Sandbox(rate=0) as sandbox:
        world = World(sandbox, valkey.redis, valkey.url, tmp_path)
        world.write()
        async with bot(world) as client:
            sandbox.faults.add("* /api/* drop_before")
            await push_all(client, TALKS[:3])
            await valkey.stop()
            assert (await client.post(LEADS, json=TALKS[3])).status_code == 503  # is not kept, and says so
            await valkey.start()
            sandbox.faults.clear()
            await nothing_waits(world)
        assert named(world) == LEAD_NAMES[:3]


@pytest.mark.slow
async def test_a_service_that_dies_in_the_middle(world: World) -> None:
    """Whoever lives goes on where one died that brought in what waits: nothing is doubled or lost."""
    with_key(world)
    async with bot(world) as client:
        world.sandbox.faults.add("* /api/* drop_before")
        await push_all(client, TALKS)
    world.sandbox.faults.clear()
    world.sandbox.faults.add("POST /api/v4/leads late seconds=30 nth=1")
    async with running(world.folder, "serve", "--port", "0") as service:
        while not world.requests("POST", "/api/v4/leads"):
            await world.sandbox.requests.reached(world.sandbox.requests.total + 1)
        async with bot(world):
            await service.ended(signal.SIGKILL)
            await nothing_waits(world)
    assert sorted(named(world)) == LEAD_NAMES
    assert len(world.contacts()) == len(world.notes()) == len(TALKS)
