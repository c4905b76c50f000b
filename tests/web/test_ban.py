"""A ban (403 with the gateway's page): who goes on asking makes it last, so nobody asks but one, every five minutes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from leadsync.amocrm import AmoCRMClient
from leadsync.amocrm.authorization import LongLivedToken
from leadsync.amocrm.ban import PAUSE, Ban
from leadsync.errors import AmoCRMBanned, AmoCRMUnavailable
from leadsync.web import Service
from tests.follow.following import until
from tests.seeing.receiver import receiving, samples_of
from tests.web.serving import LEADS, PATIENT, app_around, bearer, is_problem, serving, with_key
from tests.world import QUICK, World, talk

BANNED = "* /api/* ban403"
HELD_BACK = 'leadsync_pushes_held_back_total{state="banned"}'


@pytest.fixture
def service(world: World) -> Service:
    """A service that is not open yet."""
    with_key(world)
    return Service(world.folder / "leadsync.yaml", **PATIENT)


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """A bot of that service, which is open."""
    async with serving(app_around(service)) as client:
        client.headers.update(bearer())
        yield client


async def pushed(client: httpx.AsyncClient, first: int, last: int) -> list[int]:
    """Push talks; the statuses of their answers."""
    return [
        (await client.post(LEADS, json=talk(str(number), user_name=f"{number:02}"))).status_code
        for number in range(first, last)
    ]


async def held_back(client: httpx.AsyncClient) -> float:
    """How often something was held back by the ban."""
    return samples_of((await client.get("/metrics")).text).get(HELD_BACK, 0)


async def test_nothing_is_sent(world: World, service: Service, client: httpx.AsyncClient) -> None:
    """After the answer that tells of it pushes are kept and answered with 503, and `/ready` says why, all without a
    request to amoCRM; when it is over they go in, in order."""
    assert await pushed(client, 0, 1) == [200]
    world.sandbox.faults.add(BANNED)
    assert await pushed(client, 1, 2) == [503]
    sent = world.sandbox.requests.total
    assert await pushed(client, 2, 8) == [503] * 6
    answer = await client.post(LEADS, json=talk("8", user_name="08"))
    assert "blocked" in is_problem(answer)["message"]
    assert "kept and goes in by itself" in is_problem(answer)["message"]
    assert "blocked" in (await client.get("/ready")).json()["amocrm"]

    async def has_looked() -> bool:
        return await held_back(client) >= 9  # who brings in what waits has tried, too

    await until(has_looked)
    assert world.sandbox.requests.total == sent
    assert len(await world.refused()) == 8
    world.sandbox.faults.clear()
    service.logged_in()

    async def all_are_in() -> bool:
        return not await world.refused()

    await until(all_are_in)
    assert [lead["name"] for lead in world.leads()] == [f"Заявка от {number:02}" for number in range(9)]


async def test_one_call_for_it(world: World) -> None:
    """Who wants to be told of a change of state is told once that it began and once that it is over."""
    async with receiving() as receiver:
        with_key(world, AMOCRM_ACCESS_TOKEN=world.sandbox.long_lived_token(), LEADSYNC_WEBHOOK=receiver.url)
        async with Service(world.folder / "leadsync.yaml", **PATIENT) as service:
            assert (await service.push(talk("0"))).success
            world.sandbox.faults.add("POST /api/v4/leads ban403 times=1")
            assert [(await service.push(talk(str(number)))).success for number in range(1, 5)] == [False] * 4
            assert (await receiver.called(1))["state"] == "banned"
            await service.reload()  # new files are a reason to look at once
            assert (await receiver.called(2))["state"] == "working"
    assert receiver.states == ["banned", "working"]


async def test_a_service_that_begins_in_a_ban(world: World, service: Service) -> None:
    """It asks once, and then serves without a request, as if it had been open when it began."""
    world.sandbox.faults.add(BANNED)
    async with serving(app_around(service)) as client:
        client.headers.update(bearer())
        sent = world.sandbox.requests.total
        assert await pushed(client, 0, 3) == [503] * 3
        assert (await client.get("/ready")).status_code == 503
        assert (world.sandbox.requests.total, len(await world.refused())) == (sent, 3)


async def test_one_looks_whether_it_is_over(world: World) -> None:
    """Every five minutes one request of all clients goes out; a good answer lets the others go, no answer none."""
    moment = [0.0]
    ban = Ban(clock=lambda: moment[0])
    auth = LongLivedToken(world.sandbox.long_lived_token())
    url = world.sandbox.url
    async with (
        AmoCRMClient(url, auth, retry=QUICK, requests_per_second=1000, ban=ban) as one,
        AmoCRMClient(url, auth, retry=QUICK, requests_per_second=1000, ban=ban) as other,
    ):
        world.sandbox.faults.add(BANNED)
        asked = []
        for moment[0] in (0.0, 1.0, PAUSE - 1, PAUSE, PAUSE + 1, 2 * PAUSE):
            for client in (one, other):
                with pytest.raises(AmoCRMBanned, match="blocked"):
                    await client.account(())
            asked.append(world.sandbox.requests.total)
        assert asked == [1, 1, 1, 2, 2, 3]
        world.sandbox.faults.clear()
        world.sandbox.faults.add("* /api/* drop_before")
        moment[0] = 3 * PAUSE
        with pytest.raises(AmoCRMUnavailable):
            await one.account(())
        with pytest.raises(AmoCRMBanned, match="blocked"):
            await other.account(())
        world.sandbox.faults.clear()
        moment[0] = 4 * PAUSE
        await one.account(())
        await other.account(())
