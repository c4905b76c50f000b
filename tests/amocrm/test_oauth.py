"""Logging in and renewing: tokens are stored before use, one renewal at a time, and only what must be is forgotten."""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path

import httpx
import pytest
import respx
from pydantic import SecretStr
from redis.asyncio import Redis

from leadsync.amocrm import AmoCRMRateLimitError, AuthorizationRequired, StoredTokens, TokenStore
from leadsync.amocrm.tokens import REFRESH_LIFE
from leadsync.errors import AmoCRMAPIError, AmoCRMUnavailable, ConfigurationError, LeadsyncError
from leadsync.events import Event, TokensStored
from leadsync.sandbox import Sandbox
from leadsync.sandbox.starter import ADMIN_ID

from .conftest import ACCESS, API_CALL, PREFIX, QUICK, REFRESH, Connect, HandClock, Login, integration

HOUR = 3600
TOKEN_ENDPOINT = "POST /oauth2/access_token"


def test_people_log_in_on_the_shared_host(login: Login, http: httpx.AsyncClient) -> None:
    """The login page is on the www host with client_id and state only: everything else is fixed in the card."""
    oauth = integration(login.sandbox, http, login.store, client_id="id 1", www_url="https://www.amocrm.ru/")
    assert oauth.login_url("s/1") == "https://www.amocrm.ru/oauth?client_id=id+1&state=s%2F1"


async def test_a_login_is_stored_with_two_lives(login: Login, heard: list[Event]) -> None:
    """After the exchange the access token lives a day in Redis, the refresh token three months."""
    await login.log_in()
    assert await login.redis.ttl(ACCESS) == pytest.approx(86_400, abs=2)
    assert await login.redis.ttl(REFRESH) == pytest.approx(REFRESH_LIFE, abs=2)
    assert TokensStored("authorization_code") in heard


async def test_the_whole_login_through_the_page(login: Login, http: httpx.AsyncClient) -> None:
    """The code that the consent page hands to the callback becomes tokens."""
    page = await http.get(login.oauth.login_url("abc"))
    callback = httpx.URL(page.headers["location"]).params
    assert callback["state"] == "abc"
    await login.oauth.exchange(callback["code"], referer=callback["referer"])
    assert await login.store.load() is not None


@pytest.mark.parametrize(
    ("changes", "switches", "do"),
    [
        ({"client_id": "other"}, {}, "AMOCRM_CLIENT_ID"),
        ({"client_id": ""}, {}, "AMOCRM_CLIENT_ID"),
        ({"client_secret": SecretStr("other")}, {}, "AMOCRM_CLIENT_SECRET"),
        ({"redirect_uri": "https://other.example"}, {}, "AMOCRM_REDIRECT_URI"),
        ({}, {"invalid_account": True}, "subdomain"),
    ],
)
async def test_wrong_settings_are_named(
    login: Login, http: httpx.AsyncClient, changes: dict[str, object], switches: dict[str, object], do: str
) -> None:
    """A wrong id, secret, redirect or account is a mistake in the settings, and the error names the setting."""
    login.sandbox.switches.update(switches)
    oauth = integration(login.sandbox, http, login.store, **changes)
    with pytest.raises(ConfigurationError) as wrong:
        await oauth.exchange(login.sandbox.oauth.code(ADMIN_ID))
    assert do in str(wrong.value)
    assert login.sandbox.oauth.client_secret not in str(wrong.value)


async def test_a_code_works_once_for_twenty_minutes(login: Login, clock: HandClock) -> None:
    """A used, an old and a broken code each ask for a new login."""
    used, old = login.sandbox.oauth.code(ADMIN_ID), login.sandbox.oauth.code(ADMIN_ID)
    await login.oauth.exchange(used)
    clock.move(1300)
    for code in (used, old, "broken"):
        with pytest.raises(AuthorizationRequired, match="auth login"):
            await login.oauth.exchange(code)


async def test_a_login_to_another_account_is_refused(login: Login, http: httpx.AsyncClient) -> None:
    """A callback that names another account stores nothing, and its code is sent nowhere."""
    oauth = integration(login.sandbox, http, login.store, base_url="https://firm.amocrm.ru")
    with pytest.raises(AuthorizationRequired, match="another account"):
        await oauth.exchange("code", referer="stranger.amocrm.ru")
    assert await login.store.load() is None
    assert login.renewals() == 0


async def test_a_code_whose_request_was_lost_is_sent_again(login: Login) -> None:
    """When the exchange never arrived, the same code is tried once more."""
    login.sandbox.faults.add(f"{TOKEN_ENDPOINT} drop_before nth=1")
    await login.log_in()
    assert login.renewals() == 2


async def test_something_else_than_tokens_is_refused(login: Login) -> None:
    """An answer without tokens, from a wrong address, is no login."""
    with respx.mock(base_url=login.sandbox.url) as forged:
        forged.post("/oauth2/access_token").respond(json={"hello": "world"})
        with pytest.raises(AmoCRMAPIError, match="no pair of tokens"):
            await login.oauth.exchange("code")


async def test_nobody_logged_in_asks_for_a_login(login: Login, connect: Connect) -> None:
    """Without tokens the first call says what to do, and nothing is sent."""
    with pytest.raises(AuthorizationRequired, match="auth login"):
        await connect(StoredTokens(login.oauth)).account()
    assert len(login.sandbox.requests) == 0


async def test_an_access_token_is_renewed_an_hour_before_its_end(
    login: Login, connect: Connect, clock: HandClock, heard: list[Event]
) -> None:
    """Until an hour before the end one token serves; then it is renewed before it can be refused."""
    amocrm = connect(await login.log_in())
    clock.move(86_400 - HOUR - 1)
    await amocrm.account()
    assert login.renewals() == 1
    clock.move(1)
    await amocrm.account()
    await amocrm.account()
    assert login.renewals() == 2
    assert login.calls() == [200, 200, 200]
    assert heard.count(TokensStored("refresh_token")) == 1


async def test_redis_is_not_asked_per_request(login: Login, connect: Connect) -> None:
    """The copy in memory serves while the token is fresh, even when Redis has lost everything."""
    amocrm = connect(await login.log_in())
    await amocrm.account()
    await login.redis.flushall()
    await amocrm.account()
    assert login.calls() == [200, 200]


async def test_a_refused_token_is_renewed_once_and_the_call_repeated(login: Login, connect: Connect) -> None:
    """401: one renewal, the same request once more."""
    auth = await login.log_in()
    amocrm = connect(auth)
    login.sandbox.oauth.expire(await auth.token())
    assert (await amocrm.account())["name"] == "sandbox"
    assert login.calls() == [401, 200]
    assert login.renewals() == 2


async def test_a_refused_write_is_repeated_with_its_body(login: Login, connect: Connect) -> None:
    """The repeat after a renewal carries the same body: one lead, with its name."""
    auth = await login.log_in()
    amocrm = connect(auth)
    login.sandbox.oauth.expire(await auth.token())
    lead = await amocrm.get_lead(await amocrm.create_lead(name="Заявка"))
    assert lead is not None
    assert lead["name"] == "Заявка"
    assert len(login.sandbox.account.leads) == 1


async def test_twenty_refused_calls_make_one_renewal(login: Login, connect: Connect) -> None:
    """Parallel calls that were all refused wait for the same renewal."""
    auth = await login.log_in()
    amocrm = connect(auth)
    login.sandbox.oauth.expire(await auth.token())
    await asyncio.gather(*(amocrm.account() for _ in range(20)))
    assert login.renewals() == 2


async def test_a_token_refused_after_its_renewal_asks_for_a_login(login: Login, connect: Connect) -> None:
    """A second 401 is final: two requests, one renewal, no loop."""
    auth = await login.log_in()
    login.sandbox.oauth.expire(await auth.token())
    login.sandbox.switches.access_token_life = 0
    with pytest.raises(AuthorizationRequired):
        await connect(auth).account()
    assert login.calls() == [401, 401]
    assert login.renewals() == 2


async def test_a_revoked_pair_drops_the_access_token_only(login: Login, connect: Connect) -> None:
    """When the refresh token is refused too, a login is asked for and the refresh token stays."""
    amocrm = connect(await login.log_in())
    login.sandbox.oauth.revoke_all()
    with pytest.raises(AuthorizationRequired, match="Token has been revoked") as required:
        await amocrm.account()
    assert required.value.do == "run `leadsync auth login`"
    assert not await login.redis.exists(ACCESS)
    assert await login.redis.exists(REFRESH)


async def test_a_new_login_is_seen_without_a_restart(login: Login, connect: Connect) -> None:
    """After somebody has logged in again, the running client goes on."""
    amocrm = connect(await login.log_in())
    login.sandbox.oauth.revoke_all()
    with pytest.raises(AuthorizationRequired):
        await amocrm.account()
    await login.log_in()
    assert (await amocrm.account())["name"] == "sandbox"


async def test_a_weekend_without_traffic_needs_no_login(login: Login, connect: Connect, clock: HandClock) -> None:
    """Three days later the access token is gone, and the refresh token brings the next one."""
    await login.log_in()
    clock.move(3 * 86_400)
    assert await login.redis.ttl(ACCESS) < 3 * 86_400 < await login.redis.ttl(REFRESH)
    await login.redis.delete(ACCESS)  # what its life in Redis does by itself
    await connect(StoredTokens(login.oauth)).account()
    assert login.calls() == [200]
    assert login.renewals() == 2


async def test_the_tokens_of_another_host_are_not_used(login: Login, http: httpx.AsyncClient) -> None:
    """A changed subdomain does not carry the old account's token to the new address."""
    await login.log_in()
    other = integration(login.sandbox, http, login.store, base_url="https://other.amocrm.ru")
    with pytest.raises(AuthorizationRequired):
        await StoredTokens(other).token()
    assert login.renewals() == 1


async def test_a_lost_answer_of_a_renewal_asks_once_more(login: Login, connect: Connect) -> None:
    """Where the old refresh token still works (Kommo), a lost answer costs nothing."""
    login.sandbox.switches.lenient_refresh = True
    auth = await login.log_in()
    login.sandbox.oauth.expire(await auth.token())
    login.sandbox.faults.add(f"{TOKEN_ENDPOINT} drop_after nth=1")
    await connect(auth).account()
    assert login.renewals() == 3


async def test_a_caller_that_goes_during_a_renewal_loses_no_pair(login: Login, connect: Connect) -> None:
    """A refresh token is spent once it is sent: a cancelled call ends when the new pair is stored and the lock free."""
    auth = await login.log_in()
    login.sandbox.oauth.expire(await auth.token())
    login.sandbox.faults.add(f"{TOKEN_ENDPOINT} late seconds=0.3")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connect(auth).account(), 0.1)
    login.sandbox.faults.clear()
    assert not await login.redis.exists(f"{PREFIX}token:lock")
    await connect(StoredTokens(login.oauth)).account()
    assert login.renewals() == 2


async def test_a_caller_that_goes_during_a_login_loses_no_pair(login: Login) -> None:
    """A code works once, so what it brought is stored, also for a caller that is cancelled twice."""
    login.sandbox.faults.add(f"{TOKEN_ENDPOINT} late seconds=0.3")
    going = asyncio.create_task(login.log_in())
    for _ in range(2):
        await asyncio.wait([going], timeout=0.1)
        going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    stored = await login.store.load()
    assert stored is not None
    assert stored.refresh_token is not None


async def test_a_renewal_that_fails_for_a_caller_that_went_is_not_left_behind(
    login: Login, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """Its error is logged by its name, and asyncio has nothing to say about it."""
    auth = await login.log_in()
    login.sandbox.oauth.expire(await auth.token())
    login.sandbox.oauth.revoke_all()
    login.sandbox.faults.add(f"{TOKEN_ENDPOINT} late seconds=0.3")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connect(auth).account(), 0.1)
    gc.collect()
    assert "OAuth: no tokens for a caller that is gone: AuthorizationRequired" in caplog.messages
    assert not [entry for entry in caplog.records if entry.name == "asyncio"]


async def test_a_lost_answer_where_tokens_are_strict_asks_for_a_login(login: Login, connect: Connect) -> None:
    """Where the spent refresh token is dead (amoCRM), the error says to log in."""
    auth = await login.log_in()
    login.sandbox.oauth.expire(await auth.token())
    login.sandbox.faults.add(f"{TOKEN_ENDPOINT} drop_after nth=1")
    with pytest.raises(AuthorizationRequired, match="auth login"):
        await connect(auth).account()


async def test_a_renewal_without_answers_leaves_no_write_in_doubt(login: Login, connect: Connect) -> None:
    """A lead whose token could not be renewed was not sent: the outcome is known, and it is sent when that works."""
    auth = await login.log_in()
    login.sandbox.oauth.expire(await auth.token())
    login.sandbox.faults.add(f"{TOKEN_ENDPOINT} 504_before")
    with pytest.raises(AmoCRMUnavailable, match="could not be renewed"):
        await connect(auth).create_lead(name="Заявка")
    assert len(login.sandbox.account.leads) == 0
    login.sandbox.faults.clear()
    await connect(auth).create_lead(name="Заявка")
    assert len(login.sandbox.account.leads) == 1


async def test_a_renewal_ahead_of_time_may_wait(login: Login, connect: Connect, clock: HandClock) -> None:
    """While amoCRM does not renew, the old token serves its last hour, with a try a minute."""
    amocrm = connect(await login.log_in())
    await amocrm.account()
    login.sandbox.faults.add(f"{TOKEN_ENDPOINT} 429")
    clock.move(86_400 - HOUR)
    await amocrm.account()
    await amocrm.account()
    assert login.renewals() == 2
    clock.move(61)
    await amocrm.account()
    assert login.renewals() == 3
    assert login.calls() == [200] * 4
    clock.move(HOUR)
    with pytest.raises(AmoCRMRateLimitError):
        await amocrm.account()


async def test_a_pair_revoked_before_its_end_is_noticed_at_the_renewal(
    login: Login, connect: Connect, clock: HandClock
) -> None:
    """An early renewal that is refused for good asks for a login at once."""
    auth = await login.log_in()
    await connect(auth).account()
    login.sandbox.oauth.revoke_all()
    clock.move(86_400 - HOUR)
    with pytest.raises(AuthorizationRequired):
        await connect(auth).account()
    assert await login.redis.exists(REFRESH)


async def test_a_renewal_by_somebody_else_is_taken(login: Login, clock: HandClock) -> None:
    """The second look after the lock: a store that holds another token ends the renewal without a request."""
    await login.log_in()
    one, other = StoredTokens(login.oauth), StoredTokens(login.oauth)
    assert await one.token() == await other.token()
    clock.move(86_400 - HOUR)
    assert await one.token() == await other.token()
    assert login.renewals() == 2


async def test_two_processes_renew_once(login: Login, valkey_server: object, clock: HandClock) -> None:
    """Two processes whose token was refused at the same moment spend the single-use refresh token once."""
    auth = await login.log_in()
    login.sandbox.oauth.expire(await auth.token())
    arguments = [login.sandbox.url, str(valkey_server.socket), PREFIX, str(clock())]  # type: ignore[attr-defined]
    script = Path(__file__).with_name("renewing_process.py")
    processes = [await asyncio.create_subprocess_exec(sys.executable, str(script), *arguments) for _ in range(2)]
    for _ in processes:
        assert await login.redis.blpop(["ready"], timeout=30)
    await login.redis.rpush("go", *range(len(processes)))
    assert [await process.wait() for process in processes] == [0, 0]
    assert login.renewals() == 2
    assert sorted(login.calls(), key=str) == [200] * 10 + [401] * 10


async def test_a_dead_process_does_not_hold_the_lock(login: Login, http: httpx.AsyncClient, clock: HandClock) -> None:
    """A lock whose holder died ends by its lease, and the next renewal goes on."""
    await login.log_in()
    store = TokenStore(login.redis, PREFIX, clock=clock, lock_lease=0.2)
    await login.redis.set(f"{PREFIX}token:lock", "a process that died", px=200)
    clock.move(86_400 - HOUR)
    assert await StoredTokens(integration(login.sandbox, http, store)).token()
    assert login.renewals() == 2


async def test_a_lock_that_stays_taken_is_told(login: Login, http: httpx.AsyncClient, clock: HandClock) -> None:
    """A lock held too long is an error that can be tried again, not a wait for ever."""
    await login.log_in()
    store = TokenStore(login.redis, PREFIX, clock=clock, lock_lease=0.05)
    await login.redis.set(f"{PREFIX}token:lock", "somebody")
    with pytest.raises(AmoCRMUnavailable, match="another process"):
        await integration(login.sandbox, http, store).renew(None, rejected=True)


async def test_a_lost_lease_stops_a_renewal(redis: Redis, clock: HandClock) -> None:
    """Whoever lost the lock while holding it does not spend the refresh token, and does not release another's lock."""
    store = TokenStore(redis, PREFIX, clock=clock)
    async with store.lock() as lease:
        await redis.set(f"{PREFIX}token:lock", "somebody else")
        with pytest.raises(AmoCRMUnavailable, match="longer than its lock"):
            await lease.extend()
    assert await redis.get(f"{PREFIX}token:lock") == b"somebody else"


async def test_a_temporary_refusal_of_the_exchange_is_waited_out(login: Login) -> None:
    """429 at the token endpoint is tried again."""
    login.sandbox.faults.add(f"{TOKEN_ENDPOINT} 429 nth=1 times=2")
    await login.log_in()
    assert login.renewals() == 3


async def test_an_unreachable_token_endpoint_says_so(redis: Redis, http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """A server that is gone is an error of the network, not of the login."""
    oauth = integration(sandbox, http, TokenStore(redis, PREFIX), base_url="http://127.0.0.1:9", retry=QUICK)
    with pytest.raises(AmoCRMUnavailable, match="cannot be reached"):
        await oauth.exchange("code")


async def test_a_banned_account_cannot_renew(login: Login, connect: Connect) -> None:
    """A ban reaches the token endpoint too; it is told as what it is."""
    auth = await login.log_in()
    login.sandbox.oauth.expire(await auth.token())
    login.sandbox.faults.add(f"{TOKEN_ENDPOINT} ban403")
    with pytest.raises(LeadsyncError, match="blocked"):
        await connect(auth).account()
    assert API_CALL in {entry.path for entry in login.sandbox.requests}
