"""Tokens in Redis and nowhere else: two keys with two lives, a lock over processes, single-use login states.

One life for both tokens would lose the refresh token with the access token, and a weekend without traffic would end in
a login. `{prefix}token:access` lives as long as the access token, `{prefix}token:refresh` three months.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.asyncio.lock import Lock
from redis.exceptions import LockError

from leadsync.amocrm.redis_answers import redis_answers
from leadsync.errors import AmoCRMUnavailable, StateUnavailable
from leadsync.sealing import PLAIN, Seal

ACCESS_LIFE = 86_400
"""Seconds an access token lives when the answer does not say (amoCRM docs: oauth/step-by-step)."""

REFRESH_LIFE = 90 * 86_400
"""Seconds a refresh token lives: three months from its issue, and a new one comes with every renewal (same page)."""

STATE_LIFE = 600
"""Seconds in which a login that was begun can be finished."""

LOCK_LEASE = 60.0
"""Seconds a renewal may hold the lock without a sign of life; more than one request with its time-out takes."""

Clock = Callable[[], float]

HERE = "the token store"


@dataclass(frozen=True, slots=True, repr=False)
class Tokens:
    """What the store holds. `host` is where the tokens are valid; the access token's times are in Unix seconds.

    `access_token` is None once it has ended or was dropped, `refresh_token` when there never was one.
    """

    access_token: str | None
    refresh_token: str | None
    issued_at: float
    expires_at: float
    host: str

    def __repr__(self) -> str:
        held = [name for name in ("access_token", "refresh_token") if getattr(self, name)]
        return f"Tokens({', '.join(held) or 'none'}, expires_at={self.expires_at:.0f}, host={self.host!r})"


class TokenStore:
    """The tokens of one account in a Redis that is handed in; `prefix` is the account's own (`leadsync:{sub}:`).

    They are stored as `seal` closes them. Every method raises StateUnavailable when Redis does not answer.
    """

    def __init__(
        self,
        redis: Redis,
        prefix: str,
        *,
        clock: Clock = time.time,
        lock_lease: float = LOCK_LEASE,
        seal: Seal = PLAIN,
    ) -> None:
        self._redis = redis
        self._seal = seal
        self._access = f"{prefix}token:access"
        self._refresh = f"{prefix}token:refresh"
        self._lock = f"{prefix}token:lock"
        self._lease = lock_lease
        self.clock = clock

    async def load(self) -> Tokens | None:
        """What is stored, or None when nobody has logged in (or three months went by).

        Raises ConfigurationError for tokens that are sealed with a key that is not at hand.
        """
        with redis_answers(HERE):
            access, refresh = map(self._decoded, await self._redis.mget(self._access, self._refresh))
        if not access and not refresh:
            return None
        return Tokens(
            access_token=access.get("token"),
            refresh_token=refresh.get("token"),
            issued_at=float(access.get("issued_at", 0.0)),
            expires_at=float(access.get("expires_at", 0.0)),
            host=str(access.get("host") or refresh.get("host") or ""),
        )

    async def save(self, tokens: Tokens) -> None:
        """Store both tokens in one transaction, each with its own life."""
        left = max(1, round(tokens.expires_at - self.clock()))
        times = {"issued_at": tokens.issued_at, "expires_at": tokens.expires_at}
        access = {"token": tokens.access_token, "host": tokens.host, **times}
        refresh = {"token": tokens.refresh_token, "host": tokens.host}
        with redis_answers(HERE):
            async with self._redis.pipeline(transaction=True) as together:
                if tokens.access_token:
                    together.set(self._access, self._seal.close(orjson.dumps(access)), ex=left)
                if tokens.refresh_token:
                    together.set(self._refresh, self._seal.close(orjson.dumps(refresh)), ex=REFRESH_LIFE)
                await together.execute()

    async def drop_access(self) -> None:
        """Forget the access token only: the refresh token is what the next one comes from."""
        with redis_answers(HERE):
            await self._redis.delete(self._access)

    async def clear(self) -> bool:
        """Forget both tokens (a logout), also those that nobody can read; whether there were any."""
        with redis_answers(HERE):
            return bool(await self._redis.delete(self._access, self._refresh))

    def _decoded(self, stored: Any) -> dict[str, Any]:
        value = orjson.loads(self._seal.open(stored)) if stored else {}
        return value if isinstance(value, dict) else {}

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[Lease]:
        """Hold the renewal lock over all processes that share this Redis. Raises AmoCRMUnavailable when it stays taken.

        The lock ends by itself after its lease, so that a process that died does not block the others.
        """
        lock = Lock(self._redis, self._lock, timeout=self._lease, blocking_timeout=2 * self._lease, thread_local=False)
        with redis_answers(HERE):
            if not await lock.acquire():
                raise AmoCRMUnavailable("another process has been renewing the token for too long", do="try again")
        try:
            yield Lease(lock)
        finally:
            await _released(lock)


class Lease:
    """A held lock that can be held longer."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock

    async def extend(self) -> None:
        """Start the lease anew. Raises AmoCRMUnavailable when it has ended meanwhile: somebody else may be renewing."""
        try:
            with redis_answers(HERE):
                await self._lock.reacquire()
        except LockError:
            raise AmoCRMUnavailable("the renewal of the token took longer than its lock", do="try again") from None


class LoginStates:
    """Single-use `state` values of logins begun and not finished, so that nobody can attach an account of their own."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = f"{prefix}oauth:state:"

    async def issue(self) -> str:
        """A fresh state; it lives ten minutes."""
        state = secrets.token_urlsafe(32)
        with redis_answers(HERE):
            await self._redis.set(self._prefix + state, 1, ex=STATE_LIFE)
        return state

    async def consume(self, state: str | None) -> bool:
        """Whether this state was issued and not used yet; from now on it is used."""
        if not state:
            return False
        with redis_answers(HERE):
            return await self._redis.getdel(self._prefix + state) is not None


async def _released(lock: Lock) -> None:
    try:
        with redis_answers(HERE):
            await lock.release()
    except (LockError, StateUnavailable):
        return  # the lease has ended by itself, or will: the release only makes others wait less
