"""The token store: two keys, two lives, and no token where it could be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from leadsync.amocrm import LoginStates, Tokens, TokenStore
from leadsync.amocrm.tokens import STATE_LIFE
from leadsync.errors import StateUnavailable

from .conftest import ACCESS, PREFIX, REFRESH, HandClock


def impatient(socket: Path | str) -> Redis:
    """A client that does not wait for a server to come back."""
    return Redis(unix_socket_path=str(socket), retry=Retry(NoBackoff(), 0))


PAIR = Tokens("secret-access", "secret-refresh", 1_750_000_000.0, 1_750_086_400.0, "firm.amocrm.ru")


async def test_what_is_saved_is_loaded(redis: Redis, clock: HandClock) -> None:
    """A pair comes back as it was, as text and not as bytes."""
    store = TokenStore(redis, PREFIX, clock=clock)
    await store.save(PAIR)
    assert await store.load() == PAIR


async def test_a_client_that_decodes_works_too(redis: Redis, clock: HandClock) -> None:
    """A Redis client with decode_responses gives the same tokens."""
    await TokenStore(redis, PREFIX, clock=clock).save(PAIR)
    path = redis.connection_pool.connection_kwargs["path"]
    async with Redis(unix_socket_path=path, decode_responses=True) as decoding:
        assert await TokenStore(decoding, PREFIX, clock=clock).load() == PAIR


async def test_nothing_stored_is_none(redis: Redis) -> None:
    """Before the first login there is nothing."""
    assert await TokenStore(redis, PREFIX).load() is None


async def test_dropping_the_access_token_keeps_the_refresh_token(redis: Redis, clock: HandClock) -> None:
    """Only the access token goes; its partner keeps its life."""
    store = TokenStore(redis, PREFIX, clock=clock)
    await store.save(PAIR)
    await store.drop_access()
    kept = await store.load()
    assert kept is not None
    assert (kept.access_token, kept.refresh_token, kept.host) == (None, "secret-refresh", "firm.amocrm.ru")


async def test_a_logout_forgets_both(redis: Redis, clock: HandClock) -> None:
    """After a logout nothing is left."""
    store = TokenStore(redis, PREFIX, clock=clock)
    await store.save(PAIR)
    await store.clear()
    assert await store.load() is None


@pytest.mark.parametrize(("access", "refresh", "keys"), [("a", None, [ACCESS]), (None, "r", [REFRESH])])
async def test_half_a_pair_is_stored_as_half(
    redis: Redis, clock: HandClock, access: str | None, refresh: str | None, keys: list[str]
) -> None:
    """What there is not is not stored."""
    half = Tokens(access, refresh, 0.0, clock() + 10, "firm.amocrm.ru")
    await TokenStore(redis, PREFIX, clock=clock).save(half)
    assert [key.decode() for key in await redis.keys("*")] == keys


async def test_a_foreign_value_is_no_token(redis: Redis) -> None:
    """JSON of another shape under our key is nothing."""
    await redis.set(ACCESS, b"[1]")
    assert await TokenStore(redis, PREFIX).load() is None


def test_tokens_do_not_show_themselves() -> None:
    """repr names what is held and never shows it."""
    assert "secret" not in repr(PAIR)
    assert "access_token, refresh_token" in repr(PAIR)
    assert "none" in repr(Tokens(None, None, 0, 0, ""))


async def test_a_state_works_once(redis: Redis) -> None:
    """A state that was issued is good once, and never again."""
    states = LoginStates(redis, PREFIX)
    one, other = await states.issue(), await states.issue()
    assert one != other
    assert await states.consume(one)
    assert not await states.consume(one)
    assert await states.consume(other)


@pytest.mark.parametrize("state", [None, "", "invented"])
async def test_a_state_nobody_issued_is_refused(redis: Redis, state: str | None) -> None:
    """A missing or invented state is no login of ours."""
    assert not await LoginStates(redis, PREFIX).consume(state)


async def test_a_state_lives_ten_minutes(redis: Redis) -> None:
    """A login that was begun must be finished soon."""
    state = await LoginStates(redis, PREFIX).issue()
    assert 0 < await redis.ttl(f"{PREFIX}oauth:state:{state}") <= STATE_LIFE


async def test_a_redis_that_is_gone_is_told() -> None:
    """Every use of a Redis that does not answer says what to do."""
    async with impatient("/nonexistent/valkey.sock") as gone:
        store, states = TokenStore(gone, PREFIX), LoginStates(gone, PREFIX)
        for use in (store.load, store.drop_access, store.clear, states.issue, lambda: store.save(PAIR)):
            with pytest.raises(StateUnavailable, match="REDIS_URL"):
                await use()
        with pytest.raises(StateUnavailable):
            async with store.lock():
                pytest.fail("the lock of a Redis that is gone cannot be held")


async def test_a_redis_that_ends_while_the_lock_is_held_spoils_nothing(start_valkey: Callable[..., Any]) -> None:
    """The release of a lock whose Redis is gone is left to the lease."""
    async with impatient(start_valkey("--save", "").socket) as leaving:
        async with TokenStore(leaving, PREFIX).lock():
            await leaving.shutdown(nosave=True)
        with pytest.raises(RedisError):
            await leaving.ping()
