"""One request: what is sent again and what never is, what waits, what is heard, what is logged."""

from __future__ import annotations

import asyncio
import logging
import re
from time import perf_counter

import httpx
import pytest
import respx

from leadsync.amocrm import (
    AmoCRMAPIError,
    AmoCRMBanned,
    AmoCRMClient,
    AmoCRMForbidden,
    AmoCRMRateLimitError,
    AmoCRMUnavailable,
    AmoCRMUnknownOutcome,
    AmoCRMValidationError,
    AuthorizationRequired,
    LongLivedToken,
    NoBudget,
    RetryPolicy,
    StoredTokens,
    Timeouts,
    Turn,
)
from leadsync.amocrm.budget import Before, nothing
from leadsync.events import Event, RequestFinished, RequestRetried
from leadsync.sandbox import Sandbox

from .conftest import QUICK, Connect, Login

LEADS = "/api/v4/leads"
LOST = ["drop_before", "drop_after", "504_before", "504_after", "500_before", "500_after", "truncated"]
LOST += ["html_404", "system_error_400"]


@pytest.mark.parametrize("fault", LOST)
async def test_a_write_whose_answer_is_lost_is_sent_once(sandbox: Sandbox, amocrm: AmoCRMClient, fault: str) -> None:
    """Whatever happened to it, a write that went out is not repeated: that is how one call makes four leads."""
    sandbox.faults.add(f"POST {LEADS} {fault}")
    with pytest.raises(AmoCRMUnknownOutcome):
        await amocrm.create_lead(name="Заявка")
    assert len(sandbox.requests.of("POST", LEADS)) == 1


@pytest.mark.parametrize("fault", LOST)
async def test_a_read_whose_answer_is_lost_is_sent_again(sandbox: Sandbox, amocrm: AmoCRMClient, fault: str) -> None:
    """A read changes nothing: it is tried until it works."""
    sandbox.faults.add(f"GET /api/v4/account {fault} nth=1 times=3")
    assert (await amocrm.account())["name"] == "sandbox"
    assert len(sandbox.requests) == 4


async def test_a_read_that_never_works_ends(sandbox: Sandbox, amocrm: AmoCRMClient) -> None:
    """After the last try the error is raised, and it says that nothing was changed."""
    sandbox.faults.add("GET /api/v4/account 504_before")
    with pytest.raises(AmoCRMUnavailable):
        await amocrm.account()
    assert len(sandbox.requests) == QUICK.attempts


@pytest.mark.parametrize("kommo", [False, True])
async def test_a_write_that_was_too_fast_is_sent_again(
    sandbox: Sandbox, amocrm: AmoCRMClient, heard: list[Event], kommo: bool
) -> None:
    """429 refuses a request whole: a write is sent again, whether the refusal is a page or JSON, and makes one lead."""
    sandbox.switches.update({"kommo_429": kommo, "retry_after": 1})
    sandbox.faults.add(f"POST {LEADS} 429 nth=1")
    started = perf_counter()
    await amocrm.create_lead(name="Заявка")
    assert perf_counter() - started >= 1, "Retry-After was not kept"
    assert len(sandbox.account.leads) == 1
    (retried,) = [event for event in heard if isinstance(event, RequestRetried)]
    assert (retried.method, retried.route, retried.reason) == ("POST", "/leads", "AmoCRMRateLimitError")
    assert retried.wait >= 1


async def test_a_refusal_for_speed_silences_the_other_requests(sandbox: Sandbox, connect: Connect) -> None:
    """Until Retry-After is over nothing else goes out either: running on is what gets an account blocked."""
    sandbox.switches.retry_after = 1
    sandbox.faults.add(f"GET {LEADS} 429 nth=1")
    answered = asyncio.Event()
    amocrm = connect(listener=lambda event: answered.set())
    refused = asyncio.create_task(amocrm.search("leads", "x"))
    await answered.wait()
    await amocrm.account()
    await refused
    first, second = sandbox.requests.of("GET", LEADS)[0], sandbox.requests.of("GET", "/api/v4/account")[0]
    assert second.tick - first.tick > 0.9


async def test_a_wait_beyond_patience_is_told_at_once(sandbox: Sandbox, amocrm: AmoCRMClient) -> None:
    """A Retry-After longer than the policy allows ends the call, and the error names the seconds."""
    sandbox.switches.update({"kommo_429": True})
    sandbox.faults.add("GET /api/v4/account 429")
    with pytest.raises(AmoCRMRateLimitError) as refused:
        await amocrm.account()
    assert refused.value.retry_after == 300
    assert len(sandbox.requests) == 1


async def test_a_refused_connection_is_tried_again_for_a_write(heard: list[Event]) -> None:
    """What was never sent may be sent again: a server that is gone sees every try, and the error says so."""
    async with AmoCRMClient(
        "http://127.0.0.1:9", LongLivedToken("t"), budget=NoBudget(), retry=QUICK, listener=heard.append
    ) as amocrm:
        with pytest.raises(AmoCRMUnavailable, match="nothing was sent"):
            await amocrm.create_lead(name="Заявка")
    assert [event.status for event in heard if isinstance(event, RequestFinished)] == [None] * QUICK.attempts


async def test_an_answer_that_comes_too_late_is_lost(sandbox: Sandbox, connect: Connect) -> None:
    """The total time-out bounds a request; a write is then unknown, and it may well have been applied."""
    sandbox.faults.add(f"POST {LEADS} late seconds=30")
    with pytest.raises(AmoCRMUnknownOutcome, match="ReadTimeout"):
        await connect(timeouts=Timeouts(connect=1, total=0.2)).create_lead(name="Заявка")
    assert len(sandbox.account.leads) == 1


async def test_a_ban_is_final(sandbox: Sandbox, amocrm: AmoCRMClient) -> None:
    """403 with the gateway's page stops at once."""
    sandbox.switches.banned = True
    with pytest.raises(AmoCRMBanned, match="support"):
        await amocrm.account()
    assert len(sandbox.requests) == 1


async def test_an_unpaid_account_is_asked_again_on_reads_only(sandbox: Sandbox, amocrm: AmoCRMClient) -> None:
    """402 passes by itself at night: a read waits for that, a write does not."""
    sandbox.switches.payment_required = True
    with pytest.raises(AmoCRMAPIError, match="not paid"):
        await amocrm.account()
    assert len(sandbox.requests) == QUICK.attempts
    with pytest.raises(AmoCRMAPIError, match="not paid"):
        await amocrm.create_lead(name="Заявка")
    assert len(sandbox.requests.of("POST", LEADS)) == 1


async def test_a_refused_long_lived_token_is_final(sandbox: Sandbox, connect: Connect) -> None:
    """There is nothing to renew: one request, and where to put a living token."""
    with pytest.raises(AuthorizationRequired, match="AMOCRM_ACCESS_TOKEN"):
        await connect(LongLivedToken("ended")).account()
    assert len(sandbox.requests) == 1


async def test_the_budget_is_kept_on_the_wire(connect: Connect, sandbox: Sandbox) -> None:
    """With its own budget the client passes a server that allows 7 in any second, many calls at once."""
    sandbox.switches.rate = 7
    amocrm = connect(budget=None, requests_per_second=6)  # the way to the server may take a tenth of a second
    await asyncio.gather(*(amocrm.account() for _ in range(15)))
    assert [entry.status for entry in sandbox.requests] == [200] * 15


async def test_renewals_and_repeats_pass_the_budget(login: Login, connect: Connect) -> None:
    """Every request on the wire waits for the budget: refused, renewal and repeat alike."""

    class Counting(NoBudget):
        passed = 0

        async def wait(self, before: Before = nothing) -> Turn:
            self.passed += 1
            return await super().wait(before)

    budget = Counting()
    auth = await login.log_in()
    login.sandbox.oauth.expire(await auth.token())
    await connect(auth, budget=budget).account()
    assert budget.passed == len(login.calls()) == 2


async def test_every_request_is_heard(sandbox: Sandbox, amocrm: AmoCRMClient, heard: list[Event]) -> None:
    """Events name routes without ids and queries."""
    lead_id = await amocrm.create_lead(name="Заявка")
    await amocrm.get_lead(lead_id)
    await amocrm.search("contacts", "+79161234567")
    finished = [event for event in heard if isinstance(event, RequestFinished)]
    assert [(event.method, event.route, event.status) for event in finished] == [
        ("POST", "/leads", 200),
        ("GET", "/leads/{id}", 200),
        ("GET", "/contacts", 204),
    ]
    assert all(0 < event.seconds < 10 for event in finished)


async def test_half_a_character_does_not_sink_a_request(amocrm: AmoCRMClient) -> None:
    """Half a surrogate pair, left behind by a bot that cuts texts, is replaced; the lead is made."""
    lead = await amocrm.get_lead(await amocrm.create_lead(name="cut \ud83d"))
    assert lead is not None
    assert lead["name"] == "cut ?"


async def test_what_cannot_be_sent_is_not_tried_again() -> None:
    """A base address without a scheme is a mistake in the settings, not in the network."""
    async with AmoCRMClient("ftp://firm.amocrm.ru", LongLivedToken("t"), retry=QUICK) as amocrm:
        with pytest.raises(AmoCRMAPIError, match="AMOCRM_BASE_URL"):
            await amocrm.account()


async def test_another_failure_passes_through() -> None:
    """What is no failure of amoCRM is not retried and not renamed."""

    class Broken(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise ZeroDivisionError

    async with AmoCRMClient("http://x", LongLivedToken("t"), transport=Broken()) as amocrm:
        with pytest.raises(ZeroDivisionError):
            await amocrm.account()


async def test_a_body_in_another_encoding_than_it_says_is_lost(connect: Connect, sandbox: Sandbox) -> None:
    """A gateway that spoils the compression loses the answer, no more."""
    with respx.mock(base_url=sandbox.url) as forged:
        spoiled = httpx.Response(200, stream=httpx.ByteStream(b"not gzip"), headers={"Content-Encoding": "gzip"})
        forged.post(LEADS).mock(return_value=spoiled)
        with pytest.raises(AmoCRMUnknownOutcome):
            await connect().create_lead(name="Заявка")


# Logs

SECRETS = re.compile(r"eyJ|def502|secret|9161234567|Иван|ivan@example|Bearer")


async def test_logs_have_their_levels_and_no_secrets(
    login: Login, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """INFO for leads and OAuth, DEBUG for requests and tokens, WARNING for retries, ERROR for refusals; no secrets.

    Looked for in every logger, httpx's own included, which writes each request's address; not in the server's.
    """
    with caplog.at_level(logging.DEBUG):
        auth = await login.log_in()
        amocrm = connect(auth)
        login.sandbox.oauth.expire(await auth.token())
        login.sandbox.faults.add("GET /api/v4/contacts 500_before nth=1")
        contact_id = await amocrm.create_contact(name="Иван", phones=["+79161234567"], emails=["ivan@example.com"])
        await amocrm.create_lead(name="Заявка от Иван", contact_ids=[contact_id])
        await amocrm.search("contacts", "9161234567")
        with pytest.raises(AmoCRMValidationError):
            await amocrm.create("contacts", [{"name": "Иван", "custom_fields_values": [{"field_id": 1, "values": []}]}])
    ours = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "leadsync.amocrm"]

    def said(level: str, text: str) -> bool:
        return any(name == level and text in message for name, message in ours)

    assert said("INFO", "OAuth: logged in")
    assert said("INFO", "OAuth: the access token was renewed")
    assert said("INFO", "was created")
    assert said("DEBUG", "OAuth: stored an access token")
    assert said("DEBUG", "POST /contacts: 200 in")
    assert said("WARNING", "renewing it")
    assert said("WARNING", "GET /contacts: AmoCRMUnavailable, again in")
    assert said("ERROR", "POST /contacts: AmoCRMValidationError")
    everything = [
        f"{record.getMessage()} {record.__dict__}" for record in caplog.records if record.name != "uvicorn.access"
    ]
    assert not [line for line in everything if SECRETS.search(line)]


async def test_a_missing_right_that_is_expected_is_no_error_in_the_log(
    connect: Connect, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Users that only an administrator may see are nothing to worry anybody with."""
    plain = sandbox.oauth.pair(next(one.id for one in sandbox.account.users.values() if not one.is_admin))
    amocrm = connect(LongLivedToken(plain["access_token"]))
    with caplog.at_level(logging.INFO, logger="leadsync.amocrm"):
        assert await amocrm.users() == []
    assert not caplog.records


async def test_an_unexpected_missing_right_is_told(sandbox: Sandbox, connect: Connect) -> None:
    """403 with JSON is a right that somebody can give."""
    with respx.mock(base_url=sandbox.url) as forged:
        forged.get("/api/v4/account").respond(403, json={"title": "Forbidden", "detail": "Invalid scope"})
        with pytest.raises(AmoCRMForbidden, match="Invalid scope"):
            await connect().account()


async def test_an_expired_pair_warns(
    login: Login, connect: Connect, clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    """The end of a token is a WARNING before it is renewed."""
    amocrm = connect(await login.log_in())
    await amocrm.account()
    clock.move(86_000)  # type: ignore[attr-defined]
    with caplog.at_level(logging.WARNING, logger="leadsync.amocrm"):
        await amocrm.account()
    assert ["ends in 400 s" in record.getMessage() for record in caplog.records] == [True]
    assert isinstance(StoredTokens(login.oauth), httpx.Auth)


def test_the_default_patience() -> None:
    """Without settings a call is tried six times, and waits at most five minutes for a Retry-After."""
    policy = RetryPolicy()
    assert policy.wait(1, AmoCRMRateLimitError("x", retry_after=300)) is not None
    assert policy.wait(policy.attempts, AmoCRMRateLimitError("x")) is None
