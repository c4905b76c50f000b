"""Claims among processes that live, die, and are silent for a while."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from leadsync.errors import StateUnavailable
from leadsync.state.claims import Claims
from leadsync.state.namespace import Namespace, claim_version
from leadsync.state.owners import new_owner, surely_dead

NAMES = Namespace("firm.amocrm.ru")


async def claims_of(redis: Redis) -> dict[bytes, bytes]:
    return await redis.hgetall(NAMES.name("claims"))


async def silenced(redis: Redis, claims: Claims) -> None:
    """What happens when a process is silent for longer than its lease: its proof expires."""
    await redis.delete(NAMES.name("alive", claims.owner))


async def test_name_is_held_by_one(redis: Redis) -> None:
    """What one holds nobody else gets, and a group is taken whole or not at all; given back, it is free."""
    async with Claims(redis, NAMES) as one, Claims(redis, NAMES) as two:
        assert await one.take([["a"], ["b"]]) == [True, True]
        assert await two.take([["b", "c"], ["c"]]) == [False, True]
        await one.release(["b"])
        assert await two.take([["a"], ["b"]]) == [False, True]
        assert (one.held, two.held) == ({"a"}, {"b", "c"})


async def test_end_gives_everything_back(redis: Redis) -> None:
    """A process that ends leaves no claim and no trace."""
    async with Claims(redis, NAMES) as claims:
        await claims.take([["a", "b"]])
    assert await redis.keys("*") == []


async def test_claims_of_the_dead_are_free(redis: Redis) -> None:
    """A claim falls with its owner's proof of life; whoever starts next clears up after the dead."""
    async with Claims(redis, NAMES) as one, Claims(redis, NAMES) as two:
        await one.take([["a"], ["b"]])
        await silenced(redis, one)
        assert await two.take([["a"]]) == [True]
        async with Claims(redis, NAMES):
            assert await claims_of(redis) == {b"a": two.owner.encode()}


async def test_silent_process_may_not_go_on_and_starts_anew(redis: Redis) -> None:
    """After a silence longer than its lease a process must not send; it goes on under a new name, without claims."""
    await claim_version(redis, NAMES)
    async with Claims(redis, NAMES) as claims:
        await claims.take([["a"]])
        await claims.check()
        await silenced(redis, claims)
        with pytest.raises(StateUnavailable, match="stopped for longer"):
            await claims.check()
        before = claims.owner
        await claims.revive()
        await claims.check()
        assert claims.owner != before
        assert claims.held == frozenset()
        assert await claims_of(redis) == {}


async def test_who_may_go_on_may_do_so_for_a_whole_lease(redis: Redis) -> None:
    """A proof of life lasts anew from the question on, so that it may be asked ahead; the dead stay dead."""
    async with Claims(redis, NAMES) as one, Claims(redis, NAMES) as two:
        await redis.pexpire(NAMES.name("alive", one.owner), 10_000)
        await silenced(redis, two)
        assert await one.prolong([one.owner, two.owner]) == {one.owner}
        assert await redis.pttl(NAMES.name("alive", one.owner)) > 10_000
        assert not await one.living([two.owner])


async def test_living_process_keeps_its_name(redis: Redis) -> None:
    """Without a silence nothing changes."""
    async with Claims(redis, NAMES) as claims:
        before = claims.owner
        await claims.revive()
        assert claims.owner == before


async def test_forgotten_memory_is_no_silence(redis: Redis) -> None:
    """When Redis lost everything, a process stops: what it knows of the account is gone."""
    await claim_version(redis, NAMES)
    async with Claims(redis, NAMES) as claims:
        await redis.flushall()
        with pytest.raises(StateUnavailable, match="forgotten everything"):
            await claims.revive()


async def test_silence_ends_by_itself_while_it_beats(redis: Redis) -> None:
    """A process that proves in time that it lives is never taken for dead."""
    async with Claims(redis, NAMES, lease=0.3) as claims:
        for _ in range(4):
            await asyncio.sleep(0.15)
            await claims.check()


async def test_what_could_not_be_given_back_is_given_back_later(redis: Redis, start_valkey: Callable[..., Any]) -> None:
    """A claim that Redis did not hear of giving back is given back as soon as Redis answers again."""
    socket = str(start_valkey().socket)
    async with Redis(unix_socket_path=socket) as other, Claims(other, NAMES, lease=0.5) as claims:
        await claims.take([["a"], ["b"]])
        await other.acl_setuser("default", enabled=True, nopass=True, commands=["-eval"])
        with pytest.raises(StateUnavailable):
            await claims.release(["a"])
        assert claims.held == {"b"}
        await other.acl_setuser("default", enabled=True, nopass=True, commands=["+eval"])
        for _ in range(100):
            if await claims_of(other) == {b"b": claims.owner.encode()}:
                return
            await asyncio.sleep(0.02)
        pytest.fail("it was never given back")


async def test_waiting_for_names_ends_when_they_are_free(redis: Redis) -> None:
    """`alone` waits until nobody else holds any of the names, and gives them back."""
    async with Claims(redis, NAMES) as one, Claims(redis, NAMES) as two:
        await one.take([["a"]])

        async def alone() -> None:
            async with two.alone("a", "b"):
                assert two.held == {"a", "b"}

        waiting = asyncio.create_task(alone())
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await one.release(["a"])
        await waiting
        assert await claims_of(redis) == {}


def test_owner_is_dead_once_its_process_ended() -> None:
    """A process of this machine is alive until it ends, also when nobody asked for its end yet (a zombie)."""
    script = "from leadsync.state.owners import new_owner; print(new_owner(), flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", script], stdin=-1, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        owner = process.stdout.readline().strip()
        assert not surely_dead(owner)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert surely_dead(owner)
    assert surely_dead(owner)
    assert not surely_dead(new_owner())
    assert not surely_dead(f"another-machine/{process.pid}/1/00000000")
