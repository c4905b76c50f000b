"""The service over HTTP is seen by machines: what it counts, what Redis holds, one call for each change of state."""

from __future__ import annotations

import logging
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from leadsync.sandbox import Sandbox
from leadsync.sandbox.starter import ADMIN_ID
from tests.follow.following import until
from tests.promises.server import KeptValkey
from tests.seeing.receiver import Receiver, receiving, samples_of
from tests.web.serving import LEADS, URL, app_for, bearer, serving, with_key
from tests.world import World


@pytest.fixture
async def receiver(world: World) -> AsyncIterator[Receiver]:
    """A receiver that the world's project calls."""
    async with receiving() as receiver:
        called(world, receiver)
        yield receiver


def called(world: World, receiver: Receiver, **login: str) -> None:
    """Let the project of a world call a receiver, and its service ask for a key."""
    login = login or {"AMOCRM_ACCESS_TOKEN": world.sandbox.long_lived_token()}
    with_key(world, **login, LEADSYNC_WEBHOOK=receiver.url)


async def seen(client: httpx.AsyncClient) -> dict[str, float]:
    """The samples of the metrics."""
    answer = await client.get("/metrics", headers=bearer())
    assert answer.status_code == 200
    return samples_of(answer.text)


async def push(client: httpx.AsyncClient, id_: str, **fields: object) -> int:
    """The status with which a talk is answered."""
    answer = await client.post(LEADS, headers=bearer(), json={"id": id_, "user_name": "Иван"} | fields)
    return answer.status_code


async def test_pushes_are_counted(world: World, receiver: Receiver) -> None:
    """What became of pushes, how long they took, what was asked of amoCRM, and what waits for a person."""
    async with serving(app_for(world)) as client:
        statuses = [
            await push(client, "1"),
            await push(client, "1"),
            await push(client, "2", budget="дорого", phone="+79161234567"),
        ]
        found = await seen(client)
        page = (await client.get("/metrics", headers=bearer())).text
    assert statuses == [200, 200, 400]
    assert found['leadsync_records_total{outcome="create",source="push"}'] == 1
    assert found['leadsync_records_total{outcome="unchanged",source="push"}'] == 1
    assert found['leadsync_records_total{outcome="failed",source="push"}'] == 1
    assert found['leadsync_message_to_lead_seconds_count{source="push"}'] == 1
    assert found['leadsync_amocrm_requests_total{method="POST",route="/leads",status="200"}'] == 1
    assert found["leadsync_refused_records"] == 1
    assert found["leadsync_refused_age_seconds"] > 0
    assert found["leadsync_open_batches"] == 0
    assert found["leadsync_budget_requests_per_second"] == 1000
    assert 0 < found["leadsync_budget_used_ratio"] < 1
    assert found["leadsync_workers"] == 1
    assert found["leadsync_redis_up"] == 1
    assert found['leadsync_state{state="working"}'] == 1
    assert sum(value for name, value in found.items() if name.startswith("leadsync_state{")) == 1
    assert [name for name in found if name.startswith("leadsync_build_info{")] != []
    for private in ("telegram:", "79161234567", "Иван", "дорого", "secret-7f3a"):
        assert private not in page
    assert receiver.tries == 0


async def test_routes_hold_no_id(world: World) -> None:
    """However many leads there are, the labels are the same few."""
    with_key(world)
    async with serving(app_for(world)) as client:
        labels = []
        for number in range(6):
            assert await push(client, str(number)) == 200
            assert await push(client, str(number), messages=[{"role": "user", "text": "ещё"}]) == 200
            answer = await client.get("/metrics", headers=bearer())
            labels.append({name for name in samples_of(answer.text) if name.startswith("leadsync_amocrm_requests")})
    assert labels[1:] == [labels[0]] * 5
    assert not any(str(lead["id"]) in name for lead in world.leads() for name in labels[0])


async def test_the_token_has_an_age(world: World) -> None:
    """Once somebody has logged in the age of the access token is shown; without a login there is none."""
    with_key(world, **world.integration())
    async with serving(app_for(world)) as client:
        assert "leadsync_token_age_seconds" not in await seen(client)
        await world.log_in()
        assert 0 <= (await seen(client))["leadsync_token_age_seconds"] < 3600


async def test_throttled(world: World) -> None:
    """A 429 is counted, and what is left of the rate after it."""
    with_key(world)
    async with serving(app_for(world)) as client:
        assert await push(client, "1") == 200
        world.sandbox.faults.add("POST /api/v4/leads 429 times=1")
        assert await push(client, "2") == 200
        found = await seen(client)
    assert found["leadsync_amocrm_throttled_total"] == 1
    assert found['leadsync_amocrm_retries_total{reason="AmoCRMRateLimitError"}'] == 1
    assert 0.5 <= found["leadsync_budget_share_ratio"] < 1


async def test_amocrm_goes_and_comes_back(world: World, receiver: Receiver) -> None:
    """A push that meets trouble changes the state, and without another one it is found out that it is over."""
    async with serving(app_for(world)) as client:
        assert await push(client, "1") == 200
        world.sandbox.faults.add("* /api/v4/* 500_before")
        assert [await push(client, str(number)) for number in (2, 3)] == [503, 503]
        away = await receiver.called(1)
        found = await seen(client)
        assert found['leadsync_state{state="crm unavailable"}'] == 1
        assert found['leadsync_pushes_held_back_total{state="crm unavailable"}'] >= 2
        assert found["leadsync_held_back_records"] == found["leadsync_refused_records"] == 2
        assert 'leadsync_records_total{outcome="failed",source="push"}' not in found
        world.sandbox.faults.clear()
        back = await receiver.called(2)
        assert (await seen(client))['leadsync_state{state="working"}'] == 1
    assert (away["before"], away["state"]) == ("working", "crm unavailable")
    assert (back["before"], back["state"], back["why"]) == ("crm unavailable", "working", "")
    assert receiver.states == ["crm unavailable", "working"]


async def test_amocrm_answers_and_takes_nothing(world: World, receiver: Receiver) -> None:
    """Where writes fail while reads work that is a state, once and for as long as it lasts, and `/ready` says why."""
    async with serving(app_for(world)) as client:
        assert await push(client, "1") == 200
        world.sandbox.faults.add("POST /api/v4/leads 500_before")
        assert [await push(client, str(number)) for number in (2, 3, 4)] == [503] * 3
        assert (await receiver.called(1))["why"].startswith("amoCRM failed (500)")
        ready = (await client.get("/ready", headers=bearer())).json()
        assert "it answers, but the last push was held back" in ready["amocrm"]
        assert (await seen(client))['leadsync_state{state="crm unavailable"}'] == 1
        world.sandbox.faults.clear()
        await receiver.called(2)
    assert receiver.states == ["crm unavailable", "working"]


async def test_one_talk_that_is_not_taken(world: World, receiver: Receiver) -> None:
    """A single talk that amoCRM fails on, however often, is no trouble of all: others go in, and nobody is called."""
    async with serving(app_for(world)) as client:
        world.sandbox.faults.add("POST /api/v4/leads 500_before")
        assert [await push(client, "1") for _ in range(3)] == [503] * 3
        assert (await client.get("/ready", headers=bearer())).status_code == 200
        world.sandbox.faults.clear()
        assert await push(client, "2") == 200
        assert (await seen(client))['leadsync_state_changes_total{state="working"}'] == 1
    assert receiver.tries == 0


async def test_a_login_is_needed(world: World, receiver: Receiver) -> None:
    """It is told at the start, once for two services, and so is the login that somebody made."""
    called(world, receiver, **world.integration())
    async with serving(app_for(world)) as one, serving(app_for(world)) as other:
        assert (await receiver.called(1))["do"] == "leadsync auth login"
        assert [await push(client, "1") for client in (one, other)] == [503, 503]
        assert (await seen(other))['leadsync_state{state="login needed"}'] == 1
        answer = (await one.get(URL, headers=bearer())).json()
        state = httpx.URL(answer["auth_url"]).params["state"]
        code = world.sandbox.oauth.code(ADMIN_ID)
        await one.get("/api/v1/amocrm/callback", params={"code": code, "state": state})
        assert (await receiver.called(2))["state"] == "working"
        await until(lambda: is_working(other))
        assert await push(other, "1") == 200
    assert receiver.states == ["login needed", "working"]


async def is_working(client: httpx.AsyncClient) -> bool:
    """Whether the metrics say so."""
    return (await seen(client))['leadsync_state{state="working"}'] == 1


async def test_redis_goes_and_comes_back(tmp_path: Path) -> None:
    """Without Redis the metrics are there, with what the process knows itself; both changes are told."""
    async with KeptValkey(tmp_path / "valkey") as valkey, Sandbox(rate=0) as sandbox, receiving() as receiver:
        world = World(sandbox, valkey.redis, valkey.url, tmp_path)
        world.write()
        called(world, receiver)
        async with serving(app_for(world)) as client:
            assert await push(client, "1") == 200
            await valkey.stop(signal.SIGKILL)
            assert await push(client, "2") == 503
            assert (await receiver.called(1))["state"] == "redis unavailable"
            found = await seen(client)
            assert found["leadsync_redis_up"] == 0
            assert found['leadsync_state{state="redis unavailable"}'] == 1
            assert found['leadsync_records_total{outcome="create",source="push"}'] == 1
            assert "leadsync_refused_records" not in found
            await valkey.start()
            assert (await receiver.called(2))["state"] == "working"
            assert (await seen(client))["leadsync_redis_up"] == 1
    assert receiver.states == ["redis unavailable", "working"]


async def test_a_webhook_that_fails_is_seen(world: World, receiver: Receiver) -> None:
    """A call that nobody took is counted, and pushes are answered as ever."""
    receiver.answers = [404]
    async with serving(app_for(world)) as client:
        world.sandbox.faults.add("* /api/v4/* 500_before")
        assert await push(client, "1") == 503
        await receiver.tried(1)
        world.sandbox.faults.clear()
        await receiver.called(1)
        found = await seen(client)
    assert found['leadsync_webhook_calls_total{result="failed"}'] == 1


async def test_every_name_is_ours(world: World) -> None:
    """Beside what the process needs every metric begins with leadsync_, and has a help text."""
    with_key(world)
    async with serving(app_for(world)) as client:
        await push(client, "1")
        page = (await client.get("/metrics", headers=bearer())).text
    families = list(text_string_to_metric_families(page))
    assert {one.name.partition("_")[0] for one in families} == {"leadsync", "process", "python"}
    assert [one.name for one in families if not one.documentation] == []


async def test_lines_of_pushes_have_keys(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A line about a pushed record has its key, and one of a person's is a digest."""
    caplog.set_level(logging.INFO)
    with_key(world)
    async with serving(app_for(world)) as client:
        assert await push(client, "1") == 200
        assert await push(client, "79161234567", source="whatsapp") == 200
    keys = [vars(one)["key"] for one in caplog.records if one.getMessage().endswith("was created")]
    assert keys[0] == "telegram:1"
    assert keys[1].startswith("#")
