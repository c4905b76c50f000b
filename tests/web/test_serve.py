"""`leadsync serve` as people run it: a process with an address, signals, and a neighbour."""

from __future__ import annotations

import asyncio
import signal
import socket

from tests.cli.terminal import run
from tests.web.served import posted, refuses, served
from tests.web.serving import URL, is_problem, with_key
from tests.world import World


async def test_it_serves_until_sigterm(world: World) -> None:
    """It prints its address, answers, and SIGTERM ends it with 0; nothing but the address is on stdout."""
    with_key(world)
    async with served(world) as service:
        assert (await service.push()).json()["success"] is True
        assert (await service.client.get("/ready")).json()["ready"] is True
        assert (await service.client.get("/health", headers={"Authorization": ""})).status_code == 200
        await service.command.said(f"serving at {str(service.client.base_url).rstrip('/')}")
        ended = await service.ended()
    assert (ended.code, ended.out, ended.err.strip()) == (0, "", "the service has ended")
    assert len(world.leads()) == 1


async def test_two_services_and_one_id_at_once(world: World) -> None:
    """Twenty requests with one id at once, to two processes, make one lead, and all are told the same."""
    with_key(world)
    async with served(world) as one, served(world) as other:
        answers = await asyncio.gather(*(service.push() for _ in range(10) for service in (one, other)))
    (lead,), (contact,) = world.leads(), world.contacts()
    assert {one.status_code for one in answers} == {200}
    assert {(one.json()["lead_id"], one.json()["contact_id"]) for one in answers} == {(lead["id"], contact["id"])}


async def test_the_first_sigterm_finishes_what_is_under_way(world: World) -> None:
    """A push on its way is answered, nobody new is let in, and the command ends with 0."""
    with_key(world)
    async with served(world) as service:
        world.sandbox.faults.add("POST /api/v4/leads late seconds=1 nth=1")
        push = asyncio.create_task(service.push())
        await posted(world, "/api/v4/leads")
        service.command.process.send_signal(signal.SIGTERM)
        await refuses(service.client)
        assert not push.done()
        answer = await push
        ended = await service.ended(signal.SIGCONT)
    assert (answer.status_code, answer.json()["lead_id"]) == (200, world.leads()[0]["id"])
    assert ended.code == 0


async def test_the_second_sigterm_stops(world: World) -> None:
    """It does not wait for amoCRM any longer, and ends with 143; the push is kept, and the next one finishes it."""
    with_key(world)
    async with served(world) as service:
        world.sandbox.faults.add("POST /api/v4/leads late seconds=20 nth=1")
        push = asyncio.create_task(service.push())
        await posted(world, "/api/v4/leads")
        service.command.process.send_signal(signal.SIGTERM)
        await refuses(service.client)
        ended = await asyncio.wait_for(service.ended(), 8)
        answer = await push
    assert (answer.status_code, ended.code) == (503, 143)
    assert "the service is ending" in is_problem(answer)["message"]
    assert len(await world.refused()) == 1
    assert "what was finished is remembered" in ended.err
    assert "Traceback" not in ended.err
    async with served(world) as service:
        assert (await service.push()).status_code == 200
    assert (len(world.leads()), await world.refused()) == (1, [])


async def test_the_grace_is_an_end(world: World) -> None:
    """No push takes longer than the grace given: it is kept, said so, and the service ends in time."""
    with_key(world)
    async with served(world, "--grace", "2") as service:
        world.sandbox.faults.add("POST /api/v4/leads late seconds=20 nth=1")
        push = asyncio.create_task(service.push())
        await posted(world, "/api/v4/leads")
        ended = await asyncio.wait_for(service.ended(), 8)
        answer = await push
    assert (answer.status_code, ended.code) == (503, 0)
    assert [one.key for one in await world.refused()] == ["telegram:42"]


async def test_78_without_a_key_for_others(world: World) -> None:
    """Without LEADSYNC_API_KEY it does not listen where others could reach it, and says which variable to set."""
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.com"):
        ended = await run(world.folder, "serve", "--host", host)
        assert (ended.code, ended.out) == (78, "")
        assert "LEADSYNC_API_KEY" in ended.err
        assert host in ended.err


async def test_without_a_key_on_loopback(world: World) -> None:
    """Without LEADSYNC_API_KEY it serves this machine, and says that it does no more."""
    async with served(world, "--host", "localhost") as service:
        await service.command.said("LEADSYNC_API_KEY is not set: only programs on this machine are answered")
        del service.client.headers["Authorization"]
        assert (await service.push()).status_code == 200


async def test_a_taken_port(world: World) -> None:
    """A port that somebody else listens on ends it with 1 and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = await run(world.folder, "serve", "--port", str(taken.getsockname()[1]))
    assert (ended.code, ended.out) == (1, "")
    assert "already in use" in ended.err
    assert "--port" in ended.err


async def test_78_for_a_mapping_that_does_not_fit(world: World) -> None:
    """What only a person can mend ends it at once, before it listens."""
    world.write({"key": "{{ id }}", "lead": {"name": "Заявка", "fields": {"Нет такого": "1"}}})
    ended = await run(world.folder, "serve", "--port", "0")
    assert ended.code == 78
    assert "Нет такого" in ended.err


async def test_it_starts_without_a_login(world: World) -> None:
    """While nobody is logged in it serves all the same, and says where a login begins."""
    with_key(world, **world.integration())
    async with served(world) as service:
        said = await service.command.said("not ready")
        assert "nobody has logged in" in said
        assert (await service.client.get(URL)).status_code == 200
        assert (await service.push()).status_code == 503


async def test_a_redirect_that_does_not_lead_here(world: World) -> None:
    """An AMOCRM_REDIRECT_URI with another path is said at the start: logins over HTTP could not end."""
    with_key(world, **world.integration() | {"AMOCRM_REDIRECT_URI": "https://example.com/amo"})
    async with served(world) as service:
        assert "/api/v1/amocrm/callback" in await service.command.said("AMOCRM_REDIRECT_URI")


async def test_logs_hold_no_code(world: World) -> None:
    """At the most talkative level a callback is logged by its route, without its query."""
    with_key(world, **world.integration())
    async with served(world, "--log-level", "debug") as service:
        await service.client.get("/api/v1/amocrm/callback", params={"code": "def502-secret", "state": "secret-state"})
        ended = await service.ended()
    assert "GET /api/v1/amocrm/callback: 400" in ended.err
    assert "secret" not in ended.err
