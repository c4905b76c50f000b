"""Workers: who is at work on an account, on whichever machine."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from leadsync.state.namespace import Namespace
from leadsync.state.owners import process_of, surely_dead
from leadsync.state.redis import state_errors


@dataclass(frozen=True, slots=True, order=True)
class Worker:
    """A living process. `here`: on this machine; `lanes` is how many things it does side by side."""

    here: bool
    machine: str
    pid: int
    lanes: int


async def workers_of(redis: Redis, names: Namespace) -> list[Worker]:
    """Every process that proves that it lives, those of this machine first. Raises StateUnavailable."""
    async with state_errors():
        members: Any = await redis.smembers(names.name("owners"))
        owners = sorted(one.decode() for one in members)
        async with redis.pipeline(transaction=False) as pipe:
            for one in owners:
                pipe.exists(names.name("alive", one))
            alive = await pipe.execute()
    living = [one for one, there in zip(owners, alive, strict=True) if there and not surely_dead(one)]
    lanes = Counter(process_of(one) for one in living)
    found = [Worker(here, machine, pid, count) for (here, machine, pid), count in lanes.items()]
    return sorted(found, key=lambda one: (not one.here, one.machine, one.pid))
