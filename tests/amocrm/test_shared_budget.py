"""One budget for all processes: the schedule they share in Redis."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from redis.asyncio import Redis

from leadsync.amocrm import SharedBudget
from leadsync.amocrm.shared_budget import RECOVERY
from leadsync.errors import StateUnavailable
from leadsync.sandbox import Sandbox

from .conftest import PREFIX, Connect
from .pace import go, peak

KEY = f"{PREFIX}budget"
MINUTE = int(RECOVERY) * 1_000_000
HOUR = 3_600_000_000


@pytest.fixture
def budgets(redis: Redis) -> Callable[[float], SharedBudget]:
    """Makes budgets that share a schedule, as processes do; each is one process's."""
    return lambda rate: SharedBudget(redis, PREFIX, rate)


async def slot(redis: Redis) -> int:
    """The slot given out last, in microseconds of Redis's clock."""
    return int(await redis.hget(KEY, "last") or 0)


async def gap(redis: Redis, budget: SharedBudget) -> float:
    """Seconds from the slot that a new process gets to the next."""
    await budget.wait()
    return (int(await redis.hget(KEY, "next") or 0) - await slot(redis)) / 1_000_000


async def earlier(redis: Redis, microseconds: int) -> None:
    """As if the last 429 had been longer ago."""
    await redis.hincrby(KEY, "slowed", -microseconds)


# The schedule


async def test_slots_are_evenly_spaced(redis: Redis, budgets: Callable[[float], SharedBudget]) -> None:
    """While work is waiting the schedule has no holes, whoever asks: its rate is used up, and never more."""
    some = [budgets(100) for _ in range(3)]
    seen: set[int] = set()

    async def ask(budget: SharedBudget) -> None:
        for _ in range(10):
            await budget.wait()
            seen.add(await slot(redis))

    await asyncio.gather(*map(ask, some))
    slots = sorted(seen)
    assert all(after - before >= 10_000 for before, after in pairwise(slots))


async def test_a_slot_is_left_to_the_next(redis: Redis, budgets: Callable[[float], SharedBudget]) -> None:
    """Who is cancelled while waiting for a slot leaves it to whoever waits next in its process: none is wasted."""
    budget = budgets(2)
    await budget.wait()
    before = await slot(redis)
    waiting = asyncio.create_task(budget.wait())
    while await slot(redis) == before:  # noqa: ASYNC110 - Redis tells nobody
        await asyncio.sleep(0)
    reserved = await slot(redis)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await budget.wait()
    assert await slot(redis) == reserved


async def test_a_second_of_many_budgets_holds_at_most_seven(budgets: Callable[[float], SharedBudget]) -> None:
    """At 6.5 per second no window of one second sees more than 7 requests of three processes."""
    some = [budgets(6.5) for _ in range(3)]
    assert peak(await asyncio.gather(*(go(one) for one in some for _ in range(6)))) <= 7


async def test_first_come_first_served(budgets: Callable[[float], SharedBudget]) -> None:
    """A hundred waiting requests of one process let another's only one through after a handful of theirs."""
    busy, modest = budgets(10), budgets(10)
    gone: list[float] = []

    async def one_of_many() -> None:
        gone.append(await go(busy))

    many = [asyncio.create_task(one_of_many()) for _ in range(100)]
    await many[0]
    before = len(gone)
    await go(modest)
    assert len(gone) - before <= 5
    for task in many:
        task.cancel()
    await asyncio.gather(*many, return_exceptions=True)


async def test_who_comes_late_goes_after_the_others(redis: Redis, budgets: Callable[[float], SharedBudget]) -> None:
    """A slot that has passed is not used: the next one lies after those that others have taken meanwhile."""
    late, other = budgets(5), budgets(5)
    turn = await late.wait()
    await other.wait()
    taken = await slot(redis)
    assert not turn.in_time()
    await turn.again()
    assert await slot(redis) >= taken + 200_000


async def test_who_leaves_loses_one_slot(redis: Redis, budgets: Callable[[float], SharedBudget]) -> None:
    """A request that is given up with its slot reserved costs that slot and no more."""
    gone, other = budgets(1), budgets(1)
    await other.wait()
    leaving = asyncio.create_task(gone.wait())
    await asyncio.wait({leaving}, timeout=0.3)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert int(await redis.hget(KEY, "next") or 0) - await slot(redis) == 1_000_000
    await other.wait()


@pytest.mark.parametrize("rate", [0.25, 6.5, 333, 5000])
async def test_any_rate(redis: Redis, budgets: Callable[[float], SharedBudget], rate: float) -> None:
    """Less than one a second and thousands alike: the next slot is one interval after the last."""
    assert await gap(redis, budgets(rate)) == pytest.approx(1 / rate, abs=2e-6)


async def test_a_thousand_a_second_is_no_wait(budgets: Callable[[float], SharedBudget]) -> None:
    """A server of one's own, and every test, is not slowed by the schedule's own cost."""
    budget = budgets(1000)
    started = monotonic()
    await asyncio.gather(*(go(budget) for _ in range(500)))
    assert monotonic() - started < 10


async def test_what_is_not_used_is_forgotten(redis: Redis, budgets: Callable[[float], SharedBudget]) -> None:
    """The schedule lives no longer than it means something."""
    await budgets(6.5).wait()
    assert 100 < await redis.ttl(KEY) <= 121


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_must_be_positive(budgets: Callable[[float], SharedBudget], rate: float) -> None:
    """A rate of nothing would wait for ever."""
    with pytest.raises(ValueError, match="above zero"):
        budgets(rate)


# 429


async def test_a_refusal_for_speed_halves_everybodys_rate(
    redis: Redis, budgets: Callable[[float], SharedBudget]
) -> None:
    """After a 429 of one process all go on at half the rate, climb back within a minute, and are then as before."""
    await budgets(20).put_off(None)
    assert await gap(redis, budgets(20)) == pytest.approx(0.1, rel=0.1)
    await earlier(redis, MINUTE // 2)
    assert await gap(redis, budgets(20)) == pytest.approx(0.05 / 0.75, rel=0.1)
    await earlier(redis, MINUTE)
    assert await gap(redis, budgets(20)) == pytest.approx(0.05, abs=2e-6)


async def test_refusals_of_one_moment_count_once(redis: Redis, budgets: Callable[[float], SharedBudget]) -> None:
    """What was on its way when the first 429 came says nothing new."""
    await asyncio.gather(*(budgets(20).put_off(None) for _ in range(10)))
    assert float(await redis.hget(KEY, "share") or 1) == 0.5


async def test_refusals_do_not_bring_the_rate_below_one_a_second(
    redis: Redis, budgets: Callable[[float], SharedBudget]
) -> None:
    """However long another integration uses the account up, something goes on."""
    for _ in range(8):
        await budgets(6.5).put_off(None)
        await earlier(redis, 1_000_000)
    assert 0.9 < await gap(redis, budgets(6.5)) <= 1.01


async def test_retry_after_silences_everybody(budgets: Callable[[float], SharedBudget]) -> None:
    """Nobody goes before the CRM allows it, not even who had a slot before it said so; then they go one by one."""
    one, other = budgets(2), budgets(2)
    await one.wait()
    waiting = [asyncio.create_task(go(other)) for _ in range(2)]
    await asyncio.wait(waiting, timeout=0.15)
    started = monotonic()
    await one.put_off(0.8)
    moments = [await go(one), *await asyncio.gather(*waiting)]
    assert min(moments) - started >= 0.8
    assert max(moments) - min(moments) > 0.8


async def test_the_client_tells_of_a_refusal(sandbox: Sandbox, connect: Connect, redis: Redis) -> None:
    """A 429 on the wire reaches the schedule; the request is sent again and done."""
    sandbox.faults.add("GET /api/v4/account 429 nth=1")
    await connect(budget=SharedBudget(redis, PREFIX, 100)).account()
    assert [entry.status for entry in sandbox.requests] == [429, 200]
    assert float(await redis.hget(KEY, "share") or 1) == 0.5


# A Redis that is not as it was


async def test_a_lost_schedule_begins_with_a_pause(redis: Redis, budgets: Callable[[float], SharedBudget]) -> None:
    """Who knows a slot that Redis has forgotten leaves out the time in which others may still use theirs."""
    one, fresh = budgets(20), budgets(0.1)
    await one.wait()
    before = await slot(redis)
    await redis.flushall()
    await one.wait()
    assert await slot(redis) - before >= 7 * 50_000
    await redis.flushall()
    async with asyncio.timeout(30):
        await fresh.wait()  # nothing is known to be lost, so the first request ever does not wait seventy seconds


async def test_a_schedule_that_went_back_begins_with_a_pause(
    redis: Redis, budgets: Callable[[float], SharedBudget]
) -> None:
    """A replica that took over without the last slots is noticed by who had one."""
    one = budgets(20)
    await one.wait()
    before = await redis.hgetall(KEY)
    await one.wait()
    await one.wait()
    last = await slot(redis)
    await redis.hset(KEY, mapping=before)
    await one.wait()
    assert await slot(redis) - last >= 6 * 50_000


@pytest.mark.parametrize("rate", [6.5, 100])
async def test_a_redis_clock_that_was_set_back_stops_nobody(
    redis: Redis, budgets: Callable[[float], SharedBudget], rate: float
) -> None:
    """Slots and silences an hour ahead are from another time, for who takes a slot and for who waits for his."""
    one = budgets(rate)
    await one.wait()
    for name in ("next", "last"):
        await redis.hincrby(KEY, name, HOUR)
    await redis.hset(KEY, "quiet", await slot(redis))
    async with asyncio.timeout(10):
        await one.wait()
        await one.wait()


class SetBack(Redis):
    """A Redis whose clock is set back by an hour after its first slot."""

    ahead = HOUR

    async def eval(self, *arguments: Any) -> Any:
        slot, now = await super().eval(*arguments)
        ahead, self.ahead = self.ahead, 0
        return [slot + ahead, now + ahead]


async def test_who_waits_when_the_clock_is_set_back_waits_no_hour(
    valkey_server: Any, budgets: Callable[[float], SharedBudget]
) -> None:
    """A slot that was about to come and is an hour away of a sudden is given up for another."""
    async with SetBack(unix_socket_path=str(valkey_server.socket)) as redis, asyncio.timeout(30):
        await budgets(2).wait()
        await go(SharedBudget(redis, PREFIX, 2))


async def test_without_redis_nothing_goes() -> None:
    """A Redis that is gone is told, and without its password; a 429 silences the process all the same."""
    async with Redis.from_url("redis://:topsecret@127.0.0.1:9/0") as gone:
        budget = SharedBudget(gone, PREFIX, 100)
        with pytest.raises(StateUnavailable, match="REDIS_URL") as failure:
            await budget.wait()
        assert "topsecret" not in f"{failure.value!r}{failure.value}{failure.value.__cause__}"
        started = monotonic()
        await budget.put_off(0.2)
        with pytest.raises(StateUnavailable):
            await budget.wait()
        assert monotonic() - started >= 0.2


async def test_a_redis_that_comes_back_goes_on(start_valkey: Callable[..., Any]) -> None:
    """A wrong answer of Redis ends one wait, not the budget."""
    async with Redis(unix_socket_path=str(start_valkey("--save", "").socket)) as redis:
        budget = SharedBudget(redis, PREFIX, 1)
        await redis.set(KEY, "no schedule")
        with pytest.raises(StateUnavailable, match="as it should"):
            await budget.wait()
        await redis.delete(KEY)
        assert (await budget.wait()).in_time()


@asynccontextmanager
async def far_away(socket: Path, seconds: float) -> AsyncIterator[Redis]:
    """A client of that Redis for which every word takes so long, there and back."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(65536):
            await asyncio.sleep(seconds)
            writer.write(part)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_unix_connection(str(socket))
        await asyncio.gather(pump(reader, there_writer), pump(there_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, Redis(port=server.sockets[0].getsockname()[1]) as redis:
        yield redis
        await redis.aclose()
        server.close()


async def test_a_redis_far_away_costs_rate_and_no_promise(redis: Redis, valkey_server: Any) -> None:
    """Who cannot know Redis's time well enough takes more of the schedule: it goes on, and nobody goes too early."""
    async with far_away(valkey_server.socket, 0.05) as distant:
        far, near = SharedBudget(distant, PREFIX, 6.5), SharedBudget(redis, PREFIX, 6.5)
        moments = await asyncio.gather(*(go(far) for _ in range(4)), *(go(near) for _ in range(10)))
    assert peak(moments) <= 7


async def test_a_redis_some_way_off_costs_no_slots(redis: Redis, valkey_server: Any) -> None:
    """Who asks before his slot begins as early as answers need to come: he is in time, and takes no extra room."""
    async with far_away(valkey_server.socket, 0.03) as distant:
        budget = SharedBudget(distant, PREFIX, 2)

        async def before() -> None:
            await distant.exists("alive")
            await asyncio.sleep(0.2)  # as if it asked a few times more

        in_time = 0
        for _ in range(8):
            turn = await budget.wait(before)
            in_time += turn.in_time()
            while not turn.in_time():
                await turn.again(before)
    assert in_time >= 4
    assert int(await redis.hget(KEY, "next") or 0) - await slot(redis) < 700_000


async def test_who_comes_late_again_and_again_gets_room(redis: Redis, budgets: Callable[[float], SharedBudget]) -> None:
    """Two requests in a row that come late to the wire tell how much room the next one of the process needs."""
    budget = budgets(5)
    for _ in range(2):
        turn = await budget.wait()
        await asyncio.sleep(0.4)
        assert not turn.in_time()
    assert await gap(redis, budget) >= 0.2 + 0.3


# What is asked before a slot


class Refused(Exception):
    """What a guard raises."""


async def refuse() -> None:
    raise Refused


async def test_a_refusal_leaves_its_slot_to_the_next(redis: Redis, budgets: Callable[[float], SharedBudget]) -> None:
    """Who is refused ahead of his slot leaves it to whoever waits next in his process."""
    budget = budgets(0.5)

    async def slowly() -> None:
        await asyncio.sleep(1)

    for _ in range(2):
        await budget.wait(slowly)  # so that it is asked a second ahead
    with pytest.raises(Refused):
        await budget.wait(refuse)
    refused = await slot(redis)
    await budget.wait()
    assert await slot(redis) == refused


async def test_a_later_turn_is_asked_for_as_the_first(budgets: Callable[[float], SharedBudget]) -> None:
    """What keeps a request back is asked before every turn, and goes to who waits for it."""
    turn = await budgets(20).wait()
    with pytest.raises(Refused):
        await turn.again(refuse)


async def test_a_silence_that_begins_after_all_answers_is_kept(budgets: Callable[[float], SharedBudget]) -> None:
    """A process that meets a 429 between its questions and its slot does not use the slot."""
    budget = budgets(2)
    began: list[float] = []

    async def meet_one() -> None:
        if not began:
            await asyncio.sleep(0.1)
            began.append(monotonic())
            await budget.put_off(0.8)

    await budget.wait()
    await budget.wait(meet_one)
    assert monotonic() - began[0] >= 0.8


# Real processes


@asynccontextmanager
async def asking(
    count: int, calls: int, sandbox: Sandbox, redis: Redis, socket: Path
) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """So many processes that ask at once, each for so many calls; none is left behind."""
    script = Path(__file__).with_name("asking_process.py")
    arguments = [sandbox.url, sandbox.long_lived_token(), str(socket), PREFIX, str(calls)]
    running = [await asyncio.create_subprocess_exec(sys.executable, str(script), *arguments) for _ in range(count)]
    try:
        for _ in running:
            assert await redis.blpop(["ready"], timeout=30)
        await redis.rpush("go", *range(count))
        yield running
    finally:
        for process in running:
            if process.returncode is None:
                process.kill()
            await process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 4])
async def test_processes_together_keep_to_seven(sandbox: Sandbox, redis: Redis, valkey_server: Any, count: int) -> None:
    """One, two or four processes: at most 7 requests arrive in any second, while the CRM takes its time to answer."""
    sandbox.faults.add("GET /api/v4/* late seconds=0.3")
    async with asking(count, 40 // count, sandbox, redis, valkey_server.socket) as processes:
        assert [await one.wait() for one in processes] == [0] * count
    assert len(sandbox.requests) == 40
    assert peak([entry.tick for entry in sandbox.requests]) <= 7


@pytest.mark.slow
async def test_a_process_that_dies_frees_its_share(sandbox: Sandbox, redis: Redis, valkey_server: Any) -> None:
    """A process is killed in the middle of its requests: the other makes all of its own, within the same limit."""
    async with asking(2, 15, sandbox, redis, valkey_server.socket) as (dying, other):
        await sandbox.requests.reached(8)
        dying.send_signal(signal.SIGKILL)
        assert await other.wait() == 0
    assert 15 <= len(sandbox.requests) < 30
    assert peak([entry.tick for entry in sandbox.requests]) <= 7
