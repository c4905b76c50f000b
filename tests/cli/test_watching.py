"""`leadsync run --follow --metrics`: a listener of its own beside the work."""

from __future__ import annotations

import re
import signal
import socket

import httpx
import pytest

from tests.cli.terminal import run, running
from tests.seeing.receiver import samples_of
from tests.world import World, talk

DIALOGS = {"type": "redis-dialogs", "match": "dialog:*", "mapping": "mapping.yaml", "poll": "0.05s"}
KEY = "a-key-of-the-service"


async def test_metrics_of_a_service_that_follows(world: World) -> None:
    """It shows metrics, health and readiness where it is told to, needs the key where there is one, and ends well."""
    token = world.sandbox.long_lived_token()
    world.write(sources={"dialogs": DIALOGS})
    world.settings(AMOCRM_ACCESS_TOKEN=token, LEADSYNC_API_KEY=KEY)
    await world.store([talk("1")])
    async with running(world.folder, "run", "--follow", "--metrics", "0") as command:
        address = re.search(r"http://127\.0\.0\.1:\d+", await command.said("metrics at"))
        assert address is not None
        await command.said("following dialogs")
        await world.sandbox.requests.reached(world.sandbox.requests.total + 1)
        async with httpx.AsyncClient(base_url=address[0], trust_env=False, timeout=30) as client:
            assert (await client.get("/health")).json() == {"status": "ok"}
            assert [(await client.get(path)).status_code for path in ("/metrics", "/ready")] == [401, 401]
            client.headers["Authorization"] = f"Bearer {KEY}"
            ready = await client.get("/ready")
            assert (ready.status_code, ready.json()) == (200, {"ready": True, "state": "working", "why": ""})
            found = samples_of((await client.get("/metrics")).text)
            nothing = await client.get("/docs")
            assert (nothing.status_code, nothing.headers["content-type"]) == (404, "application/problem+json")
        ended = await command.ended(signal.SIGTERM)
    assert ended.code == 0, ended.err
    assert found['leadsync_state{state="working"}'] == 1
    assert found["leadsync_redis_up"] == 1
    assert found["process_resident_memory_bytes"] > 0


async def test_not_ready(world: World) -> None:
    """While a login is needed `/ready` is 503 and says why; without a key this machine is answered."""
    world.write(sources={"dialogs": DIALOGS})
    world.settings(**world.integration())
    async with running(world.folder, "run", "--follow", "--metrics", "localhost:0") as command:
        address = re.search(r"http://\S+(?=/metrics)", await command.said("metrics at"))
        assert address is not None
        await command.said("a login is needed")
        async with httpx.AsyncClient(base_url=address[0], trust_env=False, timeout=30) as client:
            ready = await client.get("/ready")
            metrics = await client.get("/metrics")
        ended = await command.ended(signal.SIGTERM)
    assert ended.code == 0, ended.err
    assert ready.status_code == 503
    assert (ready.json()["ready"], ready.json()["state"]) == (False, "login needed")
    assert "nobody has logged in" in ready.json()["why"]
    assert samples_of(metrics.text)['leadsync_state{state="login needed"}'] == 1


async def test_a_taken_port(world: World) -> None:
    """A port that somebody else has ends it with 1 before anything is done, and with what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        arguments = ("run", "--follow", "--metrics", str(taken.getsockname()[1]))
        async with running(world.folder, *arguments) as command:
            ended = await command.ended()
    assert ended.code == 1
    assert "already in use" in ended.err
    assert "choose another port" in ended.err
    assert world.requests() == []


async def test_78_without_a_key_for_others(world: World) -> None:
    """Without LEADSYNC_API_KEY it does not listen where others could look."""
    for address in ("0.0.0.0:0", "[::]:0", "example.com:9108"):
        ended = await run(world.folder, "run", "--follow", "--metrics", address)
        assert (ended.code, ended.out) == (78, "")
        assert "LEADSYNC_API_KEY" in ended.err


@pytest.mark.parametrize(
    "address", ["metrics", "1:2:3", ":9108", "host:", "127.0.0.1:99999", "a@b:1", "h:1/x", "-1", ""]
)
async def test_no_address(world: World, address: str) -> None:
    """What is no address is said so, with what one looks like."""
    ended = await run(world.folder, "run", "--follow", "--metrics", address)
    assert ended.code == 78
    assert "is no address such as 9108 or 127.0.0.1:9108" in ended.err


async def test_only_with_follow(world: World) -> None:
    """A run that ends has nobody to show metrics to."""
    ended = await run(world.folder, "run", "--metrics", "9108")
    assert ended.code == 78
    assert "--metrics goes with --follow only" in ended.err


async def test_a_wrong_webhook_is_a_mistake(world: World) -> None:
    """A LEADSYNC_WEBHOOK that is no address is told before anything begins, without its value."""
    world.settings(AMOCRM_ACCESS_TOKEN=world.sandbox.long_lived_token(), LEADSYNC_WEBHOOK="hooks.example.com/s3cret")
    ended = await run(world.folder, "run", "--follow")
    assert ended.code == 78
    assert "LEADSYNC_WEBHOOK" in ended.err
    assert "s3cret" not in ended.err
