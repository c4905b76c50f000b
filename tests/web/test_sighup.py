"""New files without a restart: `leadsync serve` on SIGHUP, and `Service.reload` in an app of one's own."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from leadsync.errors import AmoCRMUnavailable, ConfigurationError, StateUnavailable
from leadsync.reloading import USED
from leadsync.state.workers import workers_of
from leadsync.web import Service
from tests.cli.terminal import running
from tests.follow.following import until
from tests.seeing.receiver import receiving
from tests.web import served as command
from tests.web.served import posted, refuses, served
from tests.web.serving import PATIENT, bearer, is_problem, with_key
from tests.world import NAMES, World, talk

Moved = Callable[[], Awaitable[bool]]


def edit(world: World, before: str, after: str, name: str = "mapping.yaml") -> None:
    """Change a text of a file."""
    path = world.folder / name
    text = path.read_text("utf-8")
    assert before in text
    path.write_text(text.replace(before, after), "utf-8")


async def hup(service: command.Service, said: str = USED) -> str:
    """Send SIGHUP and wait for the line that says what came of it."""
    service.command.process.send_signal(signal.SIGHUP)
    return await service.command.said(said)


def names(world: World) -> list[str]:
    """The names of the leads, the oldest first."""
    return [lead["name"] for lead in world.leads()]


async def test_a_new_mapping(world: World) -> None:
    """From the line on that says so the new mapping is in force, as often as it changes."""
    with_key(world)
    async with served(world) as service:
        assert (await service.push(id="1")).status_code == 200
        for number, name in ((2, "Новая от"), (3, "Третья от")):
            edit(world, names(world)[-1].removesuffix(" Иван"), name)
            await hup(service)
            assert (await service.push(id=str(number))).status_code == 200
        ended = await service.ended()
    assert ended.code == 0
    assert names(world) == ["Заявка от Иван", "Новая от Иван", "Третья от Иван"]


WRONG = {
    "a key": ("mapping.yaml", "lead:", "laed:"),
    "a name of the account": ("mapping.yaml", "Воронка", "Ворота"),
    "a template": ("mapping.yaml", "{{ budget }}", "{{ budget | mony }}"),
    "the project": ("leadsync.yaml", "requests_per_second", "request_per_second"),
}


@pytest.mark.parametrize("what", WRONG)
async def test_wrong_files(world: World, what: str) -> None:
    """The old files stay in force, and file, line and word of the mistake are named; mended, they are used."""
    with_key(world)
    name, before, after = WRONG[what]
    line = 1 + (world.folder / name).read_text("utf-8").partition(before)[0].count("\n")
    async with served(world) as service:
        edit(world, "Заявка от", "Новая от")
        edit(world, before, after, name)
        await hup(service, "the new files are not used, the old ones stay")
        assert after.split()[-2 if "|" in after else 0].strip("{}:") in await service.command.said(f"{name}:{line}:")
        assert (await service.push(id="1")).status_code == 200
        edit(world, after, before, name)
        await hup(service)
        assert (await service.push(id="2")).status_code == 200
    assert names(world) == ["Заявка от Иван", "Новая от Иван"]


async def test_in_the_log(world: World) -> None:
    """The log says the same, for those who only read that."""
    with_key(world)
    async with served(world, "--log-level", "info", "--log-format", "json") as service:
        await hup(service, '"message":"the files are read again"')
        assert '"level":"info"' in await service.command.said(f'"message":"{USED}"')
        (world.folder / "mapping.yaml").unlink()
        assert '"level":"warning"' in await hup(service, "mapping.yaml")


async def test_a_request_under_way(world: World) -> None:
    """What began with the old files ends well with them, while others begin with the new ones."""
    with_key(world)
    async with served(world) as service:
        world.sandbox.faults.add("POST /api/v4/leads late seconds=3 nth=1")
        first = asyncio.create_task(service.push(id="1"))
        await posted(world, "/api/v4/leads")
        edit(world, "Заявка от", "Новая от")
        await hup(service)
        second = await service.push(id="2")
        answers = [(await first), second]
        ended = await service.ended()
    assert [one.status_code for one in answers] == [200, 200]
    assert [one.json()["lead_id"] for one in answers] == [lead["id"] for lead in world.leads()]
    assert names(world) == ["Заявка от Иван", "Новая от Иван"]
    assert (ended.code, "Traceback" in ended.err) == (0, False)


async def test_before_it_is_open(world: World) -> None:
    """A SIGHUP that comes while it opens does not end it: the files are read again once it is open."""
    with_key(world)
    world.sandbox.faults.add("GET /api/v4/account late seconds=1 nth=1")
    async with running(world.folder, "serve", "--port", "0") as process:
        await world.sandbox.requests.reached(1)
        process.process.send_signal(signal.SIGHUP)
        await process.said(USED)
        assert (await process.ended(signal.SIGTERM)).code == 0


async def test_while_it_drains(world: World) -> None:
    """Who is about to end reads nothing any more, says so, and ends as it would have."""
    with_key(world)
    async with served(world) as service:
        world.sandbox.faults.add("POST /api/v4/leads late seconds=2 nth=1")
        push = asyncio.create_task(service.push())
        await posted(world, "/api/v4/leads")
        service.command.process.send_signal(signal.SIGTERM)
        await refuses(service.client)
        await hup(service, "the service is ending")
        assert (await push).status_code == 200
        assert (await service.ended(signal.SIGCONT)).code == 0


async def test_a_new_key_for_callers(world: World) -> None:
    """LEADSYNC_API_KEY of .env changes with the files: the old one opens nothing any more."""
    with_key(world)
    async with served(world) as service:
        with_key(world, "another-key-7c21")
        await hup(service)
        assert (await service.push()).status_code == 401
        del service.client.headers["Authorization"]
        service.client.headers.update(bearer("another-key-7c21"))
        assert (await service.push()).status_code == 200


async def test_without_a_key_where_others_listen(world: World) -> None:
    """A service that others can reach does not lose its key; one on loopback says what that means."""
    with_key(world)
    async with served(world, "--host", "0.0.0.0") as service:
        world.settings(AMOCRM_ACCESS_TOKEN=world.sandbox.long_lived_token())
        assert "without LEADSYNC_API_KEY" in await hup(service, "the old ones stay")
        assert (await service.push()).status_code == 200
    with_key(world)
    async with served(world) as service:
        world.settings(AMOCRM_ACCESS_TOKEN=world.sandbox.long_lived_token())
        await hup(service)
        await service.command.said("only programs on this machine are answered")
        del service.client.headers["Authorization"]
        assert (await service.push()).status_code == 200


# In an app of one's own: the same without a signal.


@pytest.fixture
async def service(world: World) -> AsyncIterator[Service]:
    """An open service that is not patient."""
    async with Service(world.folder / "leadsync.yaml", **PATIENT) as service:
        yield service


async def owners(world: World) -> int:
    """How many things are done side by side: two for each pipeline that is open."""
    return sum(one.lanes for one in await workers_of(world.redis, NAMES))


def alone(world: World) -> Moved:
    """Whether one pipeline is open, and no other any more."""

    async def is_alone() -> bool:
        return await owners(world) == 2

    return is_alone


async def test_in_an_app_of_ones_own(world: World, service: Service) -> None:
    """`Service.reload` takes the new files, or raises what is wrong with them; what they had opened is closed."""
    assert await service.reload() == []
    edit(world, "Заявка от", "Новая от")
    assert await service.reload() == []
    assert (await service.push(talk("1"))).success
    edit(world, "lead:", "laed:")
    with pytest.raises(ConfigurationError, match="laed"):
        await service.reload()
    assert (await service.push(talk("2"))).success
    assert names(world) == ["Новая от Иван"] * 2
    await until(alone(world))


async def test_many_pushes_and_many_files(world: World, service: Service) -> None:
    """Pushes at any moment of several readings all go in once, by the one or the other mapping."""
    world.sandbox.faults.add("POST /api/v4/leads late seconds=0.2 every=2")
    results = []

    async def push_some(first: int) -> None:
        for number in range(first, first + 8):
            results.append(await service.push(talk(str(number))))

    async def change_some() -> None:
        for number in range(5):
            edit(world, f"Заявка{'!' * number} от", f"Заявка{'!' * (number + 1)} от")
            await service.reload()

    await asyncio.gather(change_some(), *(push_some(first) for first in range(0, 48, 8)))
    assert all(one.success for one in results)
    assert sorted(one.lead_id for one in results) == [lead["id"] for lead in world.leads()]
    assert len(world.notes()) == 48
    assert await world.refused() == []
    assert (await service.push(talk("last"))).success
    assert names(world)[-1] == "Заявка!!!!! от Иван"
    await until(alone(world))


async def test_two_readings_at_once(world: World, service: Service) -> None:
    """Two who ask at once are served one after the other; one pipeline is left."""
    edit(world, "Заявка от", "Новая от")
    assert await asyncio.gather(service.reload(), service.reload()) == [[], []]
    assert (await service.push(talk("1"))).success
    assert names(world) == ["Новая от Иван"]
    await until(alone(world))


async def test_what_waits_meanwhile(world: World, service: Service) -> None:
    """What is just being brought in while the files change goes in once, and so does what still waits."""
    world.sandbox.faults.add("* /api/* drop_before")
    talks = [talk(str(number), phone=f"+7916123450{number}") for number in range(6)]
    assert not any([(await service.push(one)).success for one in talks])
    world.sandbox.faults.clear()
    world.sandbox.faults.add("POST /api/v4/leads late seconds=0.3")
    while not world.requests("POST", "/api/v4/leads"):
        await world.sandbox.requests.reached(world.sandbox.requests.total + 1)
    edit(world, "Заявка от", "Новая от")
    await service.reload()

    async def nothing_waits() -> bool:
        return not await world.refused()

    await until(nothing_waits, 60)
    assert len(world.leads()) == len(world.contacts()) == len(world.notes()) == 6
    await until(alone(world))


async def test_amocrm_is_away(world: World, service: Service) -> None:
    """Files that cannot be tried now leave the old ones in force."""
    (world.folder / "leadsync.yaml").write_text(
        (world.folder / "leadsync.yaml").read_text("utf-8").replace("subdomain: firm", "subdomain: other"), "utf-8"
    )
    world.sandbox.faults.add("* /api/* drop_before")
    with pytest.raises(AmoCRMUnavailable):
        await service.reload()
    world.sandbox.faults.clear()
    assert service.project.file.amocrm.subdomain == "firm"
    (remark,) = await service.reload()
    assert "another Redis or account" in remark
    assert service.project.file.amocrm.subdomain == "other"
    assert (await service.push(talk("1"))).success


async def test_a_wrong_address_of_redis(world: World) -> None:
    """A service that began with a Redis that is not there goes on with the one of the mended files."""
    right, world.redis_url = world.redis_url, "redis://127.0.0.1:9/0"
    world.write()
    async with Service(world.folder / "leadsync.yaml", **PATIENT) as service:
        assert "not kept" in (await service.push(talk("1"))).message
        with pytest.raises(StateUnavailable):
            await service.reload()
        world.redis_url = right
        world.write()
        assert len(await service.reload()) == 1
        assert (await service.push(talk("1"))).success


async def test_while_a_login_is_needed(world: World) -> None:
    """Where the old files never worked the new ones are used though they have to wait as well; then all goes on."""
    world.settings(**world.integration() | {"AMOCRM_CLIENT_ID": "wrong"})
    async with Service(world.folder / "leadsync.yaml", **PATIENT) as service:
        assert not (await service.push(talk("1"))).success
        world.settings(**world.integration())
        edit(world, "Заявка от", "Новая от")
        (remark,) = await service.reload()
        assert "nobody has logged in" in remark
        async with service.connections() as connections:
            assert connections.oauth is not None
            assert world.sandbox.oauth.client_id in connections.oauth.login_url("state")
        await world.log_in()
        service.logged_in()

        async def is_there() -> bool:
            return names(world) == ["Новая от Иван"] and not await world.refused()

        await until(is_there)


async def test_a_mapping_that_never_fitted(world: World) -> None:
    """A mapping that turns out not to fit the account after the login is mended without a restart."""
    with_key(world, **world.integration())
    edit(world, "Воронка", "Ворота")
    async with served(world) as service:
        await world.log_in()
        with_key(world, **world.integration())

        async def does_not_fit() -> bool:
            return "do not fit" in is_problem(await service.push(id="1"))["message"]

        await until(does_not_fit)
        edit(world, "Ворота", "Воронка")
        await hup(service)

        async def goes_in() -> bool:
            return not await world.refused()

        await until(goes_in)
    assert names(world) == ["Заявка от Иван"]


async def test_another_webhook(world: World) -> None:
    """Who is to be told of a change of state is told at the address of the new files."""
    async with receiving() as one, receiving() as other:
        token = world.sandbox.long_lived_token()
        world.settings(AMOCRM_ACCESS_TOKEN=token, LEADSYNC_WEBHOOK=one.url)
        async with Service(world.folder / "leadsync.yaml", **PATIENT) as service:
            world.settings(AMOCRM_ACCESS_TOKEN=token, LEADSYNC_WEBHOOK=other.url)
            await service.reload()
            world.sandbox.faults.add("* /api/* drop_before")
            assert not (await service.push(talk("1"))).success
            assert (await other.called(1))["state"] == "crm unavailable"
            assert one.tries == 0


async def test_the_end_waits_for_no_old_files(world: World) -> None:
    """A service that ends while a request still needs the old files answers it, and leaves nothing behind."""
    async with Service(world.folder / "leadsync.yaml", **PATIENT) as service:
        world.sandbox.faults.add("POST /api/v4/leads late seconds=1 nth=1")
        push = asyncio.create_task(service.push(talk("1")))
        while not world.requests("POST", "/api/v4/leads"):
            await world.sandbox.requests.reached(world.sandbox.requests.total + 1)
        await service.reload()
    assert (await push).success
    assert await owners(world) == 0
