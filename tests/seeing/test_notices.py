"""Who is told of a change of state: once over all processes, a few tries, and never in anybody's way."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from leadsync.config.loader import load_project
from leadsync.events import RequestFinished, StateChanged
from leadsync.follow.watch import Watch
from leadsync.seeing.webhook import Tries
from leadsync.troubles import State
from tests.cli.terminal import run
from tests.promises.server import KeptValkey
from tests.seeing.receiver import EAGER, Receiver, receiving
from tests.world import NAMES, World

ANSWERED = RequestFinished("GET", "/account", 200, 0.1)


@pytest.fixture
async def receiver(world: World) -> AsyncIterator[Receiver]:
    """A receiver that the world's project calls."""
    async with receiving() as receiver:
        world.settings(AMOCRM_ACCESS_TOKEN=world.sandbox.long_lived_token(), LEADSYNC_WEBHOOK=receiver.url)
        yield receiver


def watch_of(world: World) -> Watch:
    """What watches over one process of the world's project."""
    return Watch(load_project(world.folder / "leadsync.yaml"), EAGER)


def said(watch: Watch, *states: State, why: str = "") -> None:
    """A process goes through states."""
    for state in states:
        watch(StateChanged(state, why))


async def test_what_is_told(world: World, receiver: Receiver) -> None:
    """A call says what is, what was, why, what to do, whose account, when and where."""
    async with watch_of(world) as watch:
        watch(ANSWERED)
        said(watch, State.WORKING)
        said(watch, State.LOGIN, why="nobody has logged in to amoCRM yet")
        first = await receiver.called(1)
        said(watch, State.WORKING)
        second = await receiver.called(2)
    at, host = first.pop("at"), first.pop("host")
    assert at.endswith("+00:00")
    assert host
    assert first == {
        "format_version": 1,
        "state": "login needed",
        "before": "working",
        "why": "nobody has logged in to amoCRM yet",
        "do": "leadsync auth login",
        "account": "firm",
        "text": "leadsync firm: login needed: nobody has logged in to amoCRM yet",
    }
    assert (second["state"], second["before"], second["why"]) == ("working", "login needed", "")
    assert len(receiver.calls) == 2


async def test_one_call_for_three_workers(world: World, receiver: Receiver) -> None:
    """Three workers that meet the same trouble make one call, and one when it is over."""
    async with AsyncExitStack() as stack:
        watches = [await stack.enter_async_context(watch_of(world)) for _ in range(3)]
        for watch in watches:
            watch(ANSWERED)
            said(watch, State.WORKING)
        await settled(watches)
        for watch in watches:
            said(watch, State.LOGIN)
        await settled(watches)
        for watch in watches:
            said(watch, State.WORKING)
        await settled(watches)
    assert receiver.states == ["login needed", "working"]


async def settled(watches: list[Watch]) -> None:
    """Wait until all have told what they had to tell."""
    async with asyncio.timeout(20):
        for watch in watches:
            await watch.told()


async def test_a_beginning_is_no_change(world: World, receiver: Receiver) -> None:
    """A service that begins well, and one that ends, are nothing to tell."""
    async with watch_of(world) as watch:
        said(watch, State.WORKING)
        watch(ANSWERED)
        said(watch, State.DRAINING)
    assert receiver.tries == 0


async def test_a_process_that_begins_knows_nothing(world: World, receiver: Receiver) -> None:
    """A worker that is started in the middle of a trouble does not tell that it is over before amoCRM has answered."""
    async with watch_of(world) as old, watch_of(world) as new:
        said(old, State.CRM)
        await receiver.called(1)
        said(new, State.WORKING)
        await new.told()
        assert receiver.states == ["crm unavailable"]
        new(RequestFinished("GET", "/account", 503, 0.1))
        await new.told()
        assert receiver.states == ["crm unavailable"]
        new(ANSWERED)
        assert (await receiver.called(2))["state"] == "working"


async def test_a_call_is_tried_again(world: World, receiver: Receiver) -> None:
    """5xx and 429 are tried again, and the change is told once."""
    receiver.answers = [503, 429, 500]
    async with watch_of(world) as watch:
        said(watch, State.CRM)
        await receiver.called(1)
    assert (receiver.states, receiver.tries) == (["crm unavailable"], 4)


async def test_a_webhook_that_does_not_work(world: World, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    """It is given up, with a warning and a metric that do not hold the address, and the next change is told."""
    caplog.set_level(logging.DEBUG)
    receiver.answers = [404, 500, 500, 500, 500]
    async with watch_of(world) as watch:
        watch(ANSWERED)
        said(watch, State.CRM, State.LOGIN, State.WORKING)
        await receiver.called(1)
        await watch.told()
        page, _ = await watch.metrics.page("")
    assert (receiver.states, receiver.tries) == (["working"], 6)
    assert b'leadsync_webhook_calls_total{result="failed"} 2.0' in page
    assert b'leadsync_webhook_calls_total{result="delivered"} 1.0' in page
    warnings = [one.getMessage() for one in caplog.records if one.name == "leadsync.seeing"]
    assert warnings == [
        "LEADSYNC_WEBHOOK was not told that the state is crm unavailable: it answered 404",
        "LEADSYNC_WEBHOOK was not told that the state is login needed: it answered 500",
    ]
    assert "secret-7f3a" not in caplog.text


async def test_nobody_there(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """An address where nobody listens is a warning."""
    token = world.sandbox.long_lived_token()
    world.settings(AMOCRM_ACCESS_TOKEN=token, LEADSYNC_WEBHOOK="http://127.0.0.1:1/hook")
    async with watch_of(world) as watch:
        said(watch, State.CRM)
        await watch.told()
    assert "was not told that the state is crm unavailable: ConnectError" in caplog.text


async def test_without_a_webhook_redis_knows(world: World) -> None:
    """Where nobody is to be called the change is in Redis all the same, for `leadsync status`."""
    async with watch_of(world) as watch:
        said(watch, State.BANNED, why="amoCRM has blocked the account")
        await watch.told()
    state, why = await world.redis.hmget(NAMES.name("standing"), "state", "why")
    assert (state, why) == (b"banned", b"amoCRM has blocked the account")
    shown = (await run(world.folder, "status")).out
    assert re.search(
        r"^service   banned since \d\d\.\d\d\.\d{4} \d\d:\d\d: amoCRM has blocked the account$", shown, re.M
    )


@pytest.mark.parametrize("forgets", [False, True])
async def test_redis_is_away(
    world: World, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory, forgets: bool
) -> None:
    """While Redis is away every process tells for itself; that it is back is told once, whatever it still knows."""
    async with KeptValkey(tmp_path_factory.mktemp("kept") / "valkey") as valkey:
        world.redis_url = valkey.url
        world.write()
        world.settings(AMOCRM_ACCESS_TOKEN=world.sandbox.long_lived_token(), LEADSYNC_WEBHOOK=receiver.url)
        async with watch_of(world) as one, watch_of(world) as other:
            watches = [one, other]
            for watch in watches:
                watch(ANSWERED)
                said(watch, State.WORKING)
            await settled(watches)
            await valkey.stop()
            for watch in watches:
                said(watch, State.REDIS)
            await receiver.called(2)
            await settled(watches)
            await valkey.start()
            if forgets:
                await valkey.redis.flushall()
            for watch in watches:
                said(watch, State.WORKING)
            await receiver.called(3)
            await settled(watches)
    assert receiver.states == ["redis unavailable", "redis unavailable", "working"]
    assert [one["before"] for one in receiver.calls] == ["working", "working", "redis unavailable"]


async def test_who_stops_at_once_waits_for_no_webhook(
    world: World, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """A receiver that never answers is not waited for by a service that is stopped."""
    receiver.silent = True
    with pytest.raises(KeyError):
        await stopped(world, receiver)
    assert caplog.text == ""


async def stopped(world: World, receiver: Receiver) -> None:
    """A process that is stopped while a call is under way."""
    async with Watch(load_project(world.folder / "leadsync.yaml"), Tries(timeout=60)) as watch:
        said(watch, State.CRM)
        await receiver.tried(1)
        raise KeyError("it stops")
