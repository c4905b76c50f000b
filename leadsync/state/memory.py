"""Memory mark: whether what Redis remembers of an account is whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors

ALONE = 7 * 86_400
"""Seconds for which no key of another's may have come up, so that ours can be taken for the only memory there is."""


@dataclass(frozen=True, slots=True)
class MemoryMark:
    """Up to which lead we know every key; true as long as the Redis runs without a restart (`server` is its run).

    `field_ids` are the fields that held the keys when the leads were read; `lead_id` 0 means nothing was read yet.
    `evicted` counts the keys that the server had thrown out by then: when it grows, ours may be among them. `running`
    and `evicting` are the same of the server that answers now, whose time is `now` (unix seconds).

    `stranger` is when the account last held a key that we did not know: then there is, or was, another memory.
    """

    field_ids: tuple[int, ...] = ()
    server: str = ""
    lead_id: int = 0
    evicted: str = "0"
    running: str = ""
    evicting: str = "0"
    stranger: float = 0.0
    now: float = 0.0

    @property
    def is_alone(self) -> bool:
        """Whether it is whole, and nothing in the account says that anybody has another."""
        is_whole = (self.server, self.evicted) == (self.running, self.evicting)
        return bool(self.running and self.lead_id and is_whole and self.now - self.stranger > ALONE)

    def of_this_start(self, field_ids: Iterable[int]) -> MemoryMark:
        """The mark as it has to be for a memory that is whole now."""
        return replace(self, field_ids=tuple(field_ids), server=self.running, evicted=self.evicting)

    def up_to(self, lead_id: int) -> MemoryMark:
        """The same up to a lead."""
        return replace(self, lead_id=lead_id)


async def load_memory_mark(redis: Redis, names: Namespace) -> MemoryMark:
    """The mark as it was left, with the run of the server that answers now. Raises StateUnavailable."""
    async with state_errors(), redis.pipeline(transaction=False) as pipe:
        pipe.hgetall(names.name("memory"))
        pipe.time()
        pipe.info("server")
        pipe.info("stats")
        raw, (seconds, _), *told = await pipe.execute(raise_on_error=False)
        if isinstance(raw, RedisError):
            raise raw
    running, evicting = _running(told)
    stranger = float(raw.get(b"stranger", 0))
    if b"fields" not in raw:
        return MemoryMark(running=running, evicting=evicting, stranger=stranger, now=seconds)
    fields = tuple(int(one) for one in raw[b"fields"].decode().split(",") if one)
    server, evicted = raw[b"server"].decode(), raw.get(b"evicted", b"0").decode()
    return MemoryMark(fields, server, int(raw[b"lead"]), evicted, running, evicting, stranger, seconds)


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


async def keep_stranger(redis: Redis, names: Namespace, at: float) -> None:
    """Remember that the account held a key which we did not know. Raises StateUnavailable."""
    async with state_errors():
        await redis.hset(names.name("memory"), "stranger", repr(at))


def _running(told: Sequence[Any]) -> tuple[str, str]:
    """The identity of the server's present run and what it has evicted; empty where a managed Redis does not tell."""
    info = {name: value for part in told if isinstance(part, dict) for name, value in part.items()}
    return str(info.get("run_id", "")), str(info.get("evicted_keys", 0))
