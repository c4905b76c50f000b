"""The budget of one process: never more than the account allows in any second, on the wire."""

from __future__ import annotations

import asyncio
from time import monotonic

import httpx
import pytest

from leadsync.amocrm.budget import Before, Budget, LocalBudget, NoBudget, nothing
from leadsync.amocrm.wire import Timeouts, WriteGuard, open_http
from leadsync.errors import StateUnavailable
from leadsync.events import Event, RequestFinished, ignore
from leadsync.sandbox import Sandbox

from .conftest import Connect
from .pace import go, peak


class SlowToOpen(httpx.AsyncBaseTransport):
    """httpx's own transport behind a network on which every eighth connection takes long to open."""

    def __init__(self, seconds: float) -> None:
        self._network = httpx.AsyncHTTPTransport()
        self._seconds = seconds
        self._opened = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._opened += 1
        if self._opened % 8 == 1:
            await asyncio.sleep(self._seconds)
        return await self._network.handle_async_request(request)

    async def aclose(self) -> None:
        await self._network.aclose()


async def test_any_second_holds_at_most_seven() -> None:
    """At 6.5 per second no window of one second sees more than 7 requests, however many are waiting."""
    budget = LocalBudget(6.5)
    assert peak(await asyncio.gather(*(go(budget) for _ in range(16)))) <= 7


async def test_a_turn_that_has_passed_is_not_used() -> None:
    """A request that is held up after its turn waits for another, and at once takes the next one of its process."""
    budget = LocalBudget(2)
    turn = await budget.wait()
    assert turn.in_time()
    waiting = [asyncio.create_task(go(budget)) for _ in range(5)]
    await waiting[0]
    assert not turn.in_time()
    await turn.again()
    assert turn.in_time()
    assert not waiting[-1].done()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_connections_that_open_slowly_do_not_bunch_requests(sandbox: Sandbox, connect: Connect) -> None:
    """The seven of a second are counted where they arrive: a handshake delays one request and not those behind it."""
    amocrm = connect(budget=None, transport=SlowToOpen(0.4))
    await asyncio.gather(*(amocrm.account() for _ in range(16)))
    assert peak([entry.tick for entry in sandbox.requests]) <= 7


async def test_waiting_again_is_no_part_of_the_exchange(sandbox: Sandbox, connect: Connect, heard: list[Event]) -> None:
    """Another turn far away does not end a request by its time-out, nor count as the CRM's time to answer."""
    amocrm = connect(budget=LocalBudget(0.8), transport=SlowToOpen(0.5), timeouts=Timeouts(connect=1, total=1.1))
    await amocrm.account()
    (finished,) = [event for event in heard if isinstance(event, RequestFinished)]
    assert finished.status == 200
    assert finished.seconds < 1.1


async def test_writes_are_guarded_right_before_their_first_byte(sandbox: Sandbox) -> None:
    """A write that waits for another turn is asked once more whether it may go."""

    class Hurried(NoBudget):
        def in_time(self) -> bool:
            return len(asked) == 2

        async def wait(self, before: Before = nothing) -> Hurried:
            await before()
            return self

        async def again(self, before: Before = nothing) -> None:
            await before()

    async def check() -> None:
        asked.append(monotonic())
        if len(asked) == 2:
            raise StateUnavailable("another may be at its work")

    asked: list[float] = []
    async with open_http(
        sandbox.url, budget=Hurried(), listener=ignore, timeouts=Timeouts(), guard=WriteGuard(check)
    ) as http:
        with pytest.raises(StateUnavailable):
            await http.post("/api/v4/leads", json=[])
    assert (len(asked), len(sandbox.requests)) == (2, 0)


@pytest.mark.parametrize("budget", [LocalBudget(1000), NoBudget()], ids=["local", "none"])
async def test_a_refusal_for_speed_silences_a_process(budget: Budget) -> None:
    """Nobody goes before Retry-After is over, and a shorter one does not make it end sooner."""
    started = monotonic()
    await budget.put_off(0.3)
    await budget.put_off(0.1)
    await budget.put_off(None)
    assert await go(budget) - started >= 0.3


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_must_be_positive(rate: float) -> None:
    """A rate of nothing would wait for ever."""
    with pytest.raises(ValueError, match="above zero"):
        LocalBudget(rate)


async def test_no_budget_never_waits() -> None:
    """Without a budget ten thousand requests pass at once."""
    budget, started = NoBudget(), monotonic()
    for _ in range(10_000):
        turn = await budget.wait()
        assert turn.in_time()
        await turn.again()
    assert monotonic() - started < 1
