"""Standing: how the services of an account are, as they said last; over all processes each change counts once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors

UNKNOWN = -1
"""The number of changes, where a process has not asked for it yet."""

# KEYS: the standing. ARGV: the new state, why, the calm one, and for a process that has told of changes by itself
# while Redis was away the number of changes that it knew before, else an empty text.
# Answers whether this is a change, the state before, and the number of changes.
MOVE = """
local known = redis.call('HMGET', KEYS[1], 'state', 'number')
local before, number, alone = known[1], tonumber(known[2] or 0), ARGV[4]
local is_untold = alone ~= '' and (tonumber(alone) == number or tonumber(alone) < 0)
if before == ARGV[1] and not is_untold then return {0, before, number} end
redis.call('HSET', KEYS[1], 'state', ARGV[1], 'why', ARGV[2], 'since', redis.call('TIME')[1], 'number', number + 1)
local is_first = not before and ARGV[1] == ARGV[3] and not is_untold
return {is_first and 0 or 1, before or '', number + 1}
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """A state in the words of StateChanged, why (empty when all is well), and since when (unix seconds)."""

    state: str
    why: str
    since: float


@dataclass(frozen=True, slots=True)
class Move:
    """Whether a state was news, the one before (None when there was none), and how many changes there were."""

    is_new: bool
    before: str | None
    number: int


async def move(redis: Redis, names: Namespace, state: str, why: str, *, calm: str, alone: int | None = None) -> Move:
    """Say a state; of several processes that say the same one is told that it is new. Raises StateUnavailable.

    To begin with the `calm` state is nothing new. `alone` is for a process that could not say what it met before: the
    number of changes it knew then, or UNKNOWN; what it says is new unless somebody has said something since.
    """
    known = "" if alone is None else str(alone)
    async with state_errors():
        found: Any = await redis.eval(MOVE, 1, names.name("standing"), state, why, calm, known)
    is_new, before, number = found
    return Move(bool(is_new), bytes(before).decode() or None, int(number))


async def standing_of(redis: Redis, names: Namespace) -> Standing | None:
    """What was said last; None when nothing ever was. Raises StateUnavailable."""
    async with state_errors():
        found: Any = await redis.hmget(names.name("standing"), "state", "why", "since")
    state, why, since = found
    return None if state is None else Standing(state.decode(), (why or b"").decode(), float(since or 0))
