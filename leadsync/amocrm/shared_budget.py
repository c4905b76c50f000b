"""One budget for all processes of an account: a schedule in Redis in which every request has its own slot.

    {prefix}budget    next    the first free slot           share     part of the rate left by the last 429
                      last    the slot given out last       slowed    when that was
                      quiet   nobody goes before it: what a 429 asked for
                      period  the running stretch of time   given     slots given out in it    before   in the last one

Moments are microseconds of Redis's own clock, so that machines whose clocks differ agree. A process holds one slot at
a time (two, when a request came late and waits again): first come, first served, however many wait in one of them; who
dies loses that slot and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque

from aiolimiter import AsyncLimiter
from redis.asyncio import Redis
from redis.exceptions import RedisError

from leadsync.amocrm.budget import LONGEST_QUIET, Before, Silence, Turn, check_rate, nothing, patience
from leadsync.amocrm.redis_answers import redis_answers
from leadsync.amocrm.redis_clock import RedisClock

logger = logging.getLogger("leadsync.amocrm")

SECOND = 1_000_000

RECOVERY = 60.0
"""Seconds in which the rate climbs back after a 429."""

SLOWEST = 1.0
"""Requests per second below which 429s do not bring the rate."""

AHEAD = 0.01
"""Seconds before its slot in which a process has its answers to what there is to ask: whether somebody has met a 429
meanwhile, and whether its work is still its own. It asks earlier by as long as answers take; those that come after the
slot make it late."""

GRACE = 0.005
"""Seconds that pass at least from a slot until its request has come to the wire."""

PERIOD = 10.0
"""Seconds of a stretch of time in which slots are counted, for people and metrics."""

LONGEST_ROOM = 10.0
"""Seconds of the schedule that one request takes at most, where Redis is far away or the machine overloaded."""

ABSURD = LONGEST_QUIET + LONGEST_ROOM
"""Seconds that nobody has to wait for a slot that was about to come: Redis's clock was set back."""

_READ = f"""
local time = redis.call('TIME')
local now = time[1] * {SECOND} + time[2]
local held = redis.call('HMGET', KEYS[1], 'next', 'quiet', 'share', 'slowed', 'last')
local free, quiet, share = tonumber(held[1]), tonumber(held[2] or 0), 1
if quiet > now + {LONGEST_QUIET * SECOND:.0f} then quiet = 0 end
if held[3] then
  local climbed = math.max(0, now - held[4]) / {RECOVERY * SECOND:.0f}
  share = math.min(1, held[3] + (1 - held[3]) * climbed)
end
local function number(value) return string.format('%.0f', value) end
"""

RESERVE = (
    _READ
    + f"""
local interval, room, mine = ARGV[1] / share, ARGV[2], tonumber(ARGV[3])
if not free then
  free = mine > now - {2 * SECOND} and now + 7 * interval or now
elseif tonumber(held[5]) < mine or free > math.max(now, quiet) + 100 * interval + {2 * LONGEST_ROOM * SECOND:.0f} then
  free = now + 7 * interval
end
local slot = math.ceil(math.max(now, free, quiet))
local period = math.floor(now / {PERIOD * SECOND:.0f})
local counted = redis.call('HMGET', KEYS[1], 'period', 'given')
if tonumber(counted[1]) ~= period then
  local before = tonumber(counted[1]) == period - 1 and counted[2] or '0'
  redis.call('HSET', KEYS[1], 'period', number(period), 'before', before, 'given', '0')
end
redis.call('HINCRBY', KEYS[1], 'given', 1)
redis.call('HSET', KEYS[1], 'next', number(slot + interval + room), 'last', number(slot))
redis.call('PEXPIRE', KEYS[1], number((slot - now + interval + room) / 1000 + {2 * RECOVERY * 1000:.0f}))
return {{slot, now}}
"""
)
"""ARGV: microseconds between slots, extra ones after this slot, this process's last slot (0: it had none).

A schedule that is missing, or ends before a slot this process knows of, was lost with Redis's memory; others may hold
slots that are not over: a second's worth is left out. One that is absurdly far ahead is from before Redis's clock was
set back.
"""

SLOW_DOWN = (
    _READ
    + f"""
if not held[4] or now - held[4] >= {SECOND} or now < tonumber(held[4]) then
  share = math.max(share / 2, math.min(1, ARGV[1] / {SLOWEST * SECOND:.0f}))
  redis.call('HSET', KEYS[1], 'share', share, 'slowed', number(now))
end
redis.call('HSET', KEYS[1], 'quiet', number(math.max(quiet, now + ARGV[2])))
local life = {2 * (RECOVERY + LONGEST_QUIET) * 1000:.0f}
redis.call('PEXPIRE', KEYS[1], number(math.max(life, redis.call('PTTL', KEYS[1]))))
"""
)
"""ARGV: microseconds between slots, microseconds of silence. Refusals of the same second count once."""


class SharedBudget:
    """At most `rate` requests per second from all processes that share `redis` and `prefix`, evenly spaced.

    After a 429 all of them go on at half the rate and climb back within a minute; its Retry-After silences them all.
    A turn costs one round trip to Redis at any rate, and one more where it was waited for. Without Redis nothing goes:
    `wait` raises StateUnavailable. Within this process the rate is kept whatever Redis says.
    """

    def __init__(self, redis: Redis, prefix: str, rate: float) -> None:
        """`rate` is in requests per second, above zero; `prefix` is the account's own (`leadsync:{sub}:`)."""
        self._redis = redis
        self._key = f"{prefix}budget"
        self._interval = SECOND / check_rate(rate)
        self._patience = patience(rate)
        # A little quicker than the schedule, or each timer's delay would add up; still seven a second at most.
        self._limiter = AsyncLimiter(1, 0.95 / rate)
        self._clock = RedisClock()
        self._silence = Silence()
        self._line, self._late = asyncio.Lock(), asyncio.Lock()
        self._last = 0
        self._spare: tuple[int, float] | None = None
        self._delays, self._answers = _Lately(), _Lately()

    async def wait(self, before: Before = nothing) -> Turn:
        """Return when one more request may go. Raises StateUnavailable."""
        async with self._line:
            return _SharedTurn(self, *await self._slot(before))

    async def put_off(self, retry_after: float | None) -> None:
        """The CRM said 429: all processes slow down, and are silent for so many seconds."""
        quiet = min(retry_after or 0.0, LONGEST_QUIET)
        self._silence.begin(quiet)
        # Without Redis this process is silent all the same, and its next wait says what is wrong.
        with contextlib.suppress(RedisError):
            await self._redis.eval(SLOW_DOWN, 1, self._key, f"{self._interval:.3f}", f"{quiet * SECOND:.0f}")
        logger.info("429: all processes go on at half the rate, after %.0f s", quiet)

    def since(self, slot: int) -> float:
        """Seconds since this slot, at most."""
        return self._clock.since(slot / SECOND)

    def came(self, late: float) -> None:
        """A request came to the wire so many seconds after its slot, at most: those to come may need room for that."""
        self._delays.add(late - self._clock.blur)

    async def another(self, before: Before) -> tuple[int, float]:
        """A slot after one that has passed."""
        async with self._late:
            return await self._slot(before)

    async def _slot(self, before: Before) -> tuple[int, float]:
        """Return when a slot has come: the slot, and seconds by which it may be missed."""
        await self._silence.over()
        spare = self._left_over()
        slot, room = spare or await self._next_slot()
        fresh = spare is None
        try:
            while not await self._comes(slot, before, fresh):
                await self._silence.over()
                slot, fresh = await self._reserved(room), True
        except BaseException:
            self._spare = slot, room
            raise
        return slot, room

    async def _comes(self, slot: int, before: Before, fresh: bool) -> bool:
        """Return when the slot has come: whether it may be used. A fresh one has heard of every 429 so far."""
        if fresh and self._until(slot) <= self._ahead:
            await before()
        else:
            left = self._ahead
            while left >= self._ahead:  # more than once only when Redis's clock was set back
                await asyncio.sleep(self._until(slot) - self._ahead)
                quiet = await self._ask(before)
                left = self._until(slot)
                if quiet > slot or left > ABSURD:
                    return False
        await asyncio.sleep(max(0.0, self._until(slot)))
        return not self._silence.lasts

    def _until(self, slot: int) -> float:
        return self._clock.until(slot / SECOND)

    @property
    def _ahead(self) -> float:
        """Seconds before a slot at which to ask."""
        return AHEAD + max(self._clock.blur, self._answers.least)

    async def _ask(self, before: Before) -> int:
        """Ask what there is to ask before a slot; until when nobody goes."""
        asked = self._clock.ticks()
        quiet, refused = await asyncio.gather(self._quiet_until(), before(), return_exceptions=True)
        self._answers.add(self._clock.ticks() - asked)
        if isinstance(refused, BaseException):
            raise refused
        if isinstance(quiet, BaseException):
            raise quiet
        return quiet

    def _left_over(self) -> tuple[int, float] | None:
        """The slot of somebody who was cancelled or refused while waiting for it, if it is still to come."""
        spare, self._spare = self._spare, None
        return spare if spare is not None and 0 < self._until(spare[0]) <= ABSURD else None

    async def _next_slot(self) -> tuple[int, float]:
        await self._limiter.acquire()
        # Who can be less than sure of Redis's time than patience allows (it is far away), or comes late again and
        # again (the machine is overloaded), takes more of the schedule.
        needed = self._clock.blur + max(GRACE, 1.5 * self._delays.least)
        room = max(self._patience, min(LONGEST_ROOM, needed))
        return await self._reserved(room), room

    async def _reserved(self, room: float) -> int:
        interval, extra = f"{self._interval:.3f}", f"{(room - self._patience) * SECOND:.0f}"
        asked = self._clock.ticks()
        with redis_answers("the request budget"):
            slot, now = await self._redis.eval(RESERVE, 1, self._key, interval, extra, self._last)
        self._clock.observe(asked, now / SECOND)
        self._last = int(slot)
        return self._last

    async def _quiet_until(self) -> int:
        asked = self._clock.ticks()
        with redis_answers("the request budget"):
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.hget(self._key, "quiet")
                pipe.time()
                quiet, (seconds, micros) = await pipe.execute()
        self._clock.observe(asked, seconds + micros / SECOND)
        until = int(quiet or 0)
        return until if until <= (seconds + LONGEST_QUIET) * SECOND + micros else 0  # else from before a clock was set


class _Lately:
    """Seconds that something took the last two times; what was once only may have been an accident."""

    def __init__(self) -> None:
        self._last = deque([0.0, 0.0], maxlen=2)

    def add(self, seconds: float) -> None:
        self._last.append(seconds)

    @property
    def least(self) -> float:
        return min(self._last)


class _SharedTurn:
    __slots__ = ("_budget", "_came", "_room", "_slot")

    def __init__(self, budget: SharedBudget, slot: int, room: float) -> None:
        self._budget = budget
        self._slot = slot
        self._room = room
        self._came = False

    def in_time(self) -> bool:
        late = self._budget.since(self._slot)
        if not self._came:
            self._came = True
            self._budget.came(late)
        return late <= self._room

    async def again(self, before: Before = nothing) -> None:
        self._slot, self._room = await self._budget.another(before)
        self._came = False
