"""Standing: how the services of an account are, as they said last; over all processes each change counts once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors

UNKNOWN = "unknown"
"""The mark of the last change, where a process has not asked for it yet."""

# KEYS: the standing. ARGV: the new state, why, the calm one, and for a process that has told of a change by itself
# while Redis was away the mark of the change that it knew before, else an empty text. Marks are of Redis's clock, so
# that they differ also when Redis has forgotten everything meanwhile.
# Answers whether this is news, the state before, and the mark of the last change.
MOVE = """
local known = redis.call('HMGET', KEYS[1], 'state', 'mark')
local before, mark, alone = known[1], known[2] or '', ARGV[4]
local is_untold = alone ~= '' and (alone == mark or alone == 'unknown')
if before == ARGV[1] and not is_untold then return {0, before, mark} end
local time = redis.call('TIME')
mark = time[1] .. '.' .. time[2]
redis.call('HSET', KEYS[1], 'state', ARGV[1], 'why', ARGV[2], 'since', time[1], 'mark', mark)
local is_first = not before and ARGV[1] == ARGV[3] and alone == ''
return {is_first and 0 or 1, before or '', mark}
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """A state in the words of StateChanged, why (empty when all is well), and since when (unix seconds)."""

    state: str
    why: str
    since: float


@dataclass(frozen=True, slots=True)
class Move:
    """Whether a state was news, the one before (None when there was none), and the mark of the last change."""

    is_new: bool
    before: str | None
    mark: str


async def move(redis: Redis, names: Namespace, state: str, why: str, *, calm: str, alone: str | None = None) -> Move:
    """Say a state; of several processes that say the same one is told that it is news. Raises StateUnavailable.

    To begin with the `calm` state is no news. `alone` is for a process that could not say what it met before: the mark
    that it knew then, or UNKNOWN; what it says is news unless somebody has said the same since.
    """
    async with state_errors():
        found: Any = await redis.eval(MOVE, 1, names.name("standing"), state, why, calm, alone or "")
    is_new, before, mark = found
    return Move(bool(is_new), bytes(before).decode() or None, bytes(mark).decode())


async def standing_of(redis: Redis, names: Namespace) -> Standing | None:
    """What was said last; None when nothing ever was. Raises StateUnavailable."""
    async with state_errors():
        found: Any = await redis.hmget(names.name("standing"), "state", "why", "since")
    state, why, since = found
    return None if state is None else Standing(state.decode(), (why or b"").decode(), float(since or 0))
