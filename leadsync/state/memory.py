"""Memory mark: whether what Redis remembers of an account is whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors


@dataclass(frozen=True, slots=True)
class MemoryMark:
    """Up to which lead we know every key; true as long as the Redis runs without a restart (`server` is its run).

    `field_ids` are the fields that held the keys when the leads were read; `lead_id` 0 means nothing was read yet.
    `evicted` counts the keys that the server had thrown out by then: when it grows, ours may be among them. `running`
    and `evicting` are the same of the server that answers now.
    """

    field_ids: tuple[int, ...] = ()
    server: str = ""
    lead_id: int = 0
    evicted: str = "0"
    running: str = ""
    evicting: str = "0"

    def of_this_start(self, field_ids: Iterable[int]) -> MemoryMark:
        """The mark as it has to be for a memory that is whole now."""
        return replace(self, field_ids=tuple(field_ids), server=self.running, evicted=self.evicting)

    def up_to(self, lead_id: int) -> MemoryMark:
        """The same up to a lead."""
        return replace(self, lead_id=lead_id)


async def load_memory_mark(redis: Redis, names: Namespace) -> MemoryMark:
    """The mark as it was left, with the run of the server that answers now. Raises StateUnavailable."""
    async with state_errors():
        raw: Any = await redis.hgetall(names.name("memory"))
        running, evicting = await _running(redis)
    if not raw:
        return MemoryMark(running=running, evicting=evicting)
    fields = tuple(int(one) for one in raw[b"fields"].decode().split(",") if one)
    evicted = raw.get(b"evicted", b"0").decode()
    return MemoryMark(fields, raw[b"server"].decode(), int(raw[b"lead"]), evicted, running, evicting)


async def save_memory_mark(redis: Redis, names: Namespace, mark: MemoryMark) -> None:
    """Remember the mark. Raises StateUnavailable."""
    found: dict[Any, Any] = {
        "fields": ",".join(map(str, mark.field_ids)),
        "server": mark.server,
        "lead": str(mark.lead_id),
        "evicted": mark.evicted,
    }
    async with state_errors():
        await redis.hset(names.name("memory"), mapping=found)


async def _running(redis: Redis) -> tuple[str, str]:
    """The identity of the server's present run and what it has evicted; empty where a managed Redis does not tell."""
    try:
        info: Any = await redis.info()
    except ResponseError:
        return "", "0"
    return str(info.get("run_id", "")), str(info.get("evicted_keys", 0))
