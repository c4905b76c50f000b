"""Claims: one key, one worker. A claim holds as long as its owner lives, and falls with it.

An owner proves that it lives by a key that expires; on its own machine a process that died is recognised at once, so
that a crashed run can be started again without waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis

from leadsync.errors import StateUnavailable
from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors

LEASE = 15.0
"""Seconds after which an owner that says nothing counts as dead."""

TAKE = """
for index = 3, #ARGV do
  local holder = redis.call('HGET', KEYS[1], ARGV[index])
  if holder and holder ~= ARGV[1] and redis.call('EXISTS', ARGV[2] .. holder) == 1 then return 0 end
end
for index = 3, #ARGV do redis.call('HSET', KEYS[1], ARGV[index], ARGV[1]) end
return 1
"""

RELEASE = """
for index = 2, #ARGV do
  if redis.call('HGET', KEYS[1], ARGV[index]) == ARGV[1] then redis.call('HDEL', KEYS[1], ARGV[index]) end
end
"""


def _machine() -> str:
    """This machine and process namespace, so that a process id means something."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot[:18]}-{os.stat('/proc/self/ns/pid').st_ino}"
    return platform.node()


def _started(pid: int) -> str | None:
    """When a process of this machine started, in clock ticks; None when there is none, "?" where nobody can tell."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else _signalled(pid)
    except OSError:
        return None


def _signalled(pid: int) -> str | None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        return "?"
    return "?"


class Claims:
    """This process's claims among all processes of one account. Use as an async context manager."""

    def __init__(self, redis: Redis, names: Namespace, *, lease: float = LEASE) -> None:
        self._redis = redis
        self._names = names
        self._lease = lease
        self._held: set[str] = set()
        self._beat: asyncio.Task[None] | None = None
        self.owner = f"{_machine()}/{os.getpid()}/{_started(os.getpid())}/{uuid4().hex[:8]}"

    @property
    def _claims(self) -> str:
        return self._names.name("claims")

    def _alive(self, owner: str) -> str:
        return self._names.name("alive", owner)

    async def __aenter__(self) -> Claims:
        await self._bury_dead()
        await self._prove()
        async with state_errors():
            await self._redis.sadd(self._names.name("owners"), self.owner)
        self._beat = asyncio.create_task(self._keep_proving())
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._beat is not None:
            self._beat.cancel()
            await asyncio.gather(self._beat, return_exceptions=True)
        with contextlib.suppress(StateUnavailable):
            await self.release(self._held)
            async with state_errors():
                await self._redis.delete(self._alive(self.owner))
                await self._redis.srem(self._names.name("owners"), self.owner)

    async def take(self, wanted: Sequence[Sequence[str]]) -> list[bool]:
        """Claim groups of names, each whole or not at all. Raises StateUnavailable."""
        if not wanted:
            return []
        async with state_errors(), self._redis.pipeline(transaction=False) as pipe:
            for group in wanted:
                pipe.eval(TAKE, 1, self._claims, self.owner, self._alive(""), *group)
            taken = [bool(one) for one in await pipe.execute()]
        self._held.update(name for group, got in zip(wanted, taken, strict=True) if got for name in group)
        return taken

    async def release(self, names: Iterable[str]) -> None:
        """Give claims back. Raises StateUnavailable."""
        mine = list(names)
        if mine:
            async with state_errors():
                await self._redis.eval(RELEASE, 1, self._claims, self.owner, *mine)
            self._held.difference_update(mine)

    async def living(self, owners: Iterable[str]) -> set[str]:
        """Which of these owners are alive. Raises StateUnavailable."""
        asked = list(set(owners))
        if not asked:
            return set()
        async with state_errors(), self._redis.pipeline(transaction=False) as pipe:
            for owner in asked:
                pipe.exists(self._alive(owner))
            found = await pipe.execute()
        return {owner for owner, there in zip(asked, found, strict=True) if there}

    async def check(self) -> None:
        """Raise StateUnavailable when this process said nothing for so long that others may have taken its work."""
        if self.owner not in await self.living([self.owner]):
            raise StateUnavailable(
                "this process was stopped for longer than its claims hold; another may be at its work",
                do="start it again: what was finished is remembered",
            )

    async def _prove(self) -> None:
        async with state_errors():
            await self._redis.set(self._alive(self.owner), 1, px=int(self._lease * 1000))

    async def _keep_proving(self) -> None:
        while True:
            await asyncio.sleep(self._lease / 5)
            with contextlib.suppress(StateUnavailable):
                async with state_errors():
                    # XX: a proof that has expired is not renewed, so that check() can tell.
                    await self._redis.set(self._alive(self.owner), 1, px=int(self._lease * 1000), xx=True)

    async def _bury_dead(self) -> None:
        """Declare dead the owners of this machine whose process is gone."""
        async with state_errors():
            members: Any = await self._redis.smembers(self._names.name("owners"))
            for owner in (one.decode() for one in members):
                machine, pid, started, _ = owner.split("/")
                if machine == _machine() and _started(int(pid)) != started:
                    await self._redis.delete(self._alive(owner))
                    await self._redis.srem(self._names.name("owners"), owner)
