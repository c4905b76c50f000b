"""Claims: one key, one worker. A claim holds as long as its owner lives, and falls with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from weakref import WeakValueDictionary

from redis.asyncio import Redis

from leadsync.errors import StateUnavailable
from leadsync.state.namespace import Namespace
from leadsync.state.owners import new_owner, surely_dead
from leadsync.state.redis import state_errors
from leadsync.tasks import end_tasks

LEASE = 15.0
"""Seconds after which an owner that says nothing counts as dead."""

AT_ONCE = 1000
"""Groups of names that are claimed at a time, so that others get their word in."""

TURN = 0.05
"""Seconds between two looks whether another owner has given a claim back."""

# KEYS: the claims. ARGV: the owner, what the names of living owners begin with, then groups: how many names, and these.
# Answers 1 or 0 for each group.
TAKE = """
local taken, at = {}, 3
local function is_free(name)
  local holder = redis.call('HGET', KEYS[1], name)
  return not holder or holder == ARGV[1] or redis.call('EXISTS', ARGV[2] .. holder) == 0
end
while at <= #ARGV do
  local last, free = at + tonumber(ARGV[at]), 1
  for index = at + 1, last do
    if not is_free(ARGV[index]) then free = 0 break end
  end
  if free == 1 then
    for index = at + 1, last do redis.call('HSET', KEYS[1], ARGV[index], ARGV[1]) end
  end
  taken[#taken + 1] = free
  at = last + 1
end
return taken
"""

RELEASE = """
for index = 2, #ARGV do
  if redis.call('HGET', KEYS[1], ARGV[index]) == ARGV[1] then redis.call('HDEL', KEYS[1], ARGV[index]) end
end
"""

BURY = """
redis.call('DEL', KEYS[2])
redis.call('SREM', KEYS[3], ARGV[1])
local claims = redis.call('HGETALL', KEYS[1])
for index = 2, #claims, 2 do
  if claims[index] == ARGV[1] then redis.call('HDEL', KEYS[1], claims[index - 1]) end
end
"""


class Claims:
    """This process's claims among all processes of one account. Use as an async context manager.

    `pause` is how waiting is done, in seconds.
    """

    def __init__(
        self,
        redis: Redis,
        names: Namespace,
        *,
        lease: float = LEASE,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._redis = redis
        self._names = names
        self._lease = lease
        self._pause = pause
        self._held: set[str] = set()
        self._owed: set[str] = set()  # given back without knowing whether Redis heard it
        self._order = asyncio.Lock()  # what is owed is not given back while it is being claimed again
        self._inside: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # for the tasks of this process
        self._beat: asyncio.Task[None] | None = None
        self.owner = new_owner()

    @property
    def held(self) -> frozenset[str]:
        """What this process has claimed."""
        return frozenset(self._held)

    @property
    def _claims(self) -> str:
        return self._names.name("claims")

    @property
    def _owners(self) -> str:
        return self._names.name("owners")

    def _alive(self, owner: str) -> str:
        return self._names.name("alive", owner)

    async def __aenter__(self) -> Claims:
        await self._bury_dead()
        await self._appear()
        self._beat = asyncio.create_task(self._keep_proving())
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._beat is not None:
            await end_tasks([self._beat])
        with contextlib.suppress(StateUnavailable):
            await self._bury(self.owner)

    async def revive(self) -> None:
        """Go on under a new name when this process was silent for so long that others took it for dead.

        To be called while nothing is claimed. Raises StateUnavailable, also when Redis has forgotten everything.
        """
        if self.owner in await self.living([self.owner]):
            return
        async with state_errors():
            remembers = await self._redis.exists(self._names.name("version"))
        if not remembers:
            raise StateUnavailable(
                "Redis has forgotten everything it held for this account",
                do="start again: with `key_field` the account gives back what was forgotten, else see its persistence",
            )
        await self._bury(self.owner)
        self.owner = new_owner()
        self._held.clear()
        self._owed.clear()
        await self._appear()

    async def take(self, wanted: Sequence[Sequence[str]]) -> list[bool]:
        """Claim groups of names, each whole or not at all. Raises StateUnavailable."""
        if not wanted:
            return []
        async with self._order:
            asked = {name for group in wanted for name in group} - self._held
            self._owed |= asked
            taken = list[bool]()
            for start in range(0, len(wanted), AT_ONCE):
                some = wanted[start : start + AT_ONCE]
                groups = [part for group in some for part in (str(len(group)), *group)]
                async with state_errors():
                    answer: Any = await self._redis.eval(TAKE, 1, self._claims, self.owner, self._alive(""), *groups)
                taken += [bool(one) for one in answer]
            self._owed -= asked
            self._held.update(name for group, got in zip(wanted, taken, strict=True) if got for name in group)
        return taken

    async def release(self, names: Iterable[str]) -> None:
        """Give claims back. Raises StateUnavailable: then they are given back as soon as Redis answers again."""
        mine = set(names)
        async with self._order:
            self._held -= mine
            self._owed |= mine
            await self._pay()

    async def _pay(self) -> None:
        owed = list(self._owed)
        if owed:
            async with state_errors():
                await self._redis.eval(RELEASE, 1, self._claims, self.owner, *owed)
            self._owed.difference_update(owed)

    async def wait_for(self, names: Sequence[str]) -> None:
        """Claim all these names at once, as soon as nobody else holds any of them. Raises StateUnavailable."""
        while names and not (await self.take([names]))[0]:
            await self._pause(TURN)

    @asynccontextmanager
    async def alone(self, *names: str) -> AsyncIterator[None]:
        """Hold all these names inside the block, after waiting until nobody else does, no other task of this process
        either. Raises StateUnavailable."""
        async with AsyncExitStack() as stack:
            for name in sorted(names):
                await stack.enter_async_context(self._inside.setdefault(name, asyncio.Lock()))
            await self.wait_for(names)
            try:
                yield
            finally:
                await self.release(names)

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

    async def prolong(self, owners: Iterable[str]) -> set[str]:
        """Which of these owners of this process are alive, from now for a whole lease. Raises StateUnavailable."""
        asked = list(owners)
        async with state_errors(), self._redis.pipeline(transaction=False) as pipe:
            for owner in asked:
                pipe.pexpire(self._alive(owner), int(self._lease * 1000))  # does not bring back what has expired
            found = await pipe.execute()
        return {owner for owner, there in zip(asked, found, strict=True) if there}

    async def holders(self, names: Iterable[str]) -> dict[str, str]:
        """Who has claimed these names, those that are claimed; the holder may be dead. Raises StateUnavailable."""
        asked = list(names)
        if not asked:
            return {}
        async with state_errors():
            found: Any = await self._redis.hmget(self._claims, asked)
        return {name: owner.decode() for name, owner in zip(asked, found, strict=True) if owner}

    async def check(self) -> None:
        """Raise StateUnavailable when this process said nothing for so long that others may have taken its work."""
        if self.owner not in await self.living([self.owner]):
            raise StateUnavailable(
                "this process was stopped for longer than its claims hold; another may be at its work",
                do="start it again: what was finished is remembered",
            )

    async def _appear(self) -> None:
        async with state_errors():
            await self._redis.set(self._alive(self.owner), 1, px=int(self._lease * 1000))
            await self._redis.sadd(self._owners, self.owner)

    async def _keep_proving(self) -> None:
        while True:
            await asyncio.sleep(self._lease / 5)
            with contextlib.suppress(StateUnavailable):
                async with state_errors():
                    # XX: a proof that has expired is not renewed, so that check() can tell.
                    await self._redis.set(self._alive(self.owner), 1, px=int(self._lease * 1000), xx=True)
                async with self._order:
                    await self._pay()

    async def _bury_dead(self) -> None:
        """Take away what owners left who are dead: those that say nothing, and processes of this machine that ended."""
        async with state_errors():
            members: Any = await self._redis.smembers(self._owners)
        owners = {one.decode() for one in members}
        living = await self.living(owners)
        for owner in owners:
            if owner not in living or surely_dead(owner):
                await self._bury(owner)

    async def _bury(self, owner: str) -> None:
        async with state_errors():
            await self._redis.eval(BURY, 3, self._claims, self._alive(owner), self._owners, owner)
