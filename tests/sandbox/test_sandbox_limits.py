"""The limit of requests, what refuses those above it, and the ban."""

from __future__ import annotations

import httpx
import pytest
from crm import Api, Clock
from hypothesis import given
from hypothesis import strategies as st

from leadsync.sandbox import Sandbox, Switches
from leadsync.sandbox.limits import Limiter
from leadsync.sandbox.starter import ADMIN_ID


async def statuses(api: Api, count: int) -> list[int]:
    return [(await api.get("account")).status_code for _ in range(count)]


async def test_the_eighth_request_of_a_second_is_refused(sandbox: Sandbox, api: Api) -> None:
    """Seven pass, then comes the gateway's HTML page without Retry-After; nothing is written."""
    sandbox.switches.rate = 7
    assert await statuses(api, 7) == [200] * 7
    answer = await api.post("leads", [{"name": "x"}])
    assert answer.status_code == 429
    assert answer.headers["content-type"].startswith("text/html")
    assert "retry-after" not in answer.headers
    assert "<h1>429 Too Many Requests</h1>" in answer.text
    assert len(sandbox.account.leads) == 0
    assert not sandbox.requests[-1].applied


async def test_pauses_can_be_named(sandbox: Sandbox, api: Api) -> None:
    """Retry-After comes with the switch, in Kommo's JSON also as retry_after."""
    sandbox.switches.update({"rate": 1, "retry_after": 3})
    await api.get("account")
    assert (await api.get("account")).headers["retry-after"] == "3"
    sandbox.switches.kommo_429 = True
    answer = await api.get("account")
    assert (answer.headers["retry-after"], answer.json()["retry_after"]) == ("3", 3)


async def test_the_token_endpoint_has_no_limit(sandbox: Sandbox, api: Api) -> None:
    """Only the API is limited."""
    sandbox.switches.rate = 1
    await api.get("account")
    assert (await api.http.post("/oauth2/access_token", json={})).status_code == 401


async def test_too_many_refusals_ban_the_account(sandbox: Sandbox, api: Api) -> None:
    """With ban_after every call answers a 403 page from then on, the token endpoint too."""
    sandbox.switches.update({"rate": 1, "ban_after": 2})
    assert await statuses(api, 5) == [200, 429, 429, 403, 403]
    answer = await api.http.post("/oauth2/access_token", json={})
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (403, "text/html")


async def test_the_limit_is_set_at_the_start() -> None:
    """`rate` is given with the sandbox, and wins over the switches'."""
    async with Sandbox(rate=2, switches=Switches(rate=5)) as sandbox:
        headers = {"Authorization": f"Bearer {sandbox.oauth.long_lived(ADMIN_ID)}"}
        async with httpx.AsyncClient(base_url=sandbox.url, headers=headers) as http:
            assert [(await http.get("/api/v4/account")).status_code for _ in range(3)] == [200, 200, 429]


@given(
    st.integers(1, 10),
    st.lists(st.floats(0, 0.6, allow_subnormal=False), min_size=1, max_size=60),
)
def test_no_sliding_second_lets_more_through(rate: int, pauses: list[float]) -> None:
    """Whatever the moments of the requests, any window of one second holds at most `rate` that passed."""
    clock = Clock()
    clock.now = 1_000.0
    limiter = Limiter(Switches(rate=rate), clock)
    passed = []
    for pause in pauses:
        clock.move(pause)
        if limiter.admit() is None:
            passed.append(clock.now)
    assert all(len([tick for tick in passed if start <= tick < start + 1]) <= rate for start in passed)


@pytest.mark.parametrize(("seconds", "refused"), [(0.999, True), (1.0, False)])
def test_a_second_later_there_is_room_again(seconds: float, refused: bool) -> None:
    """A request stops counting one second after it passed; refused ones never counted."""
    clock = Clock()
    limiter = Limiter(Switches(rate=1), clock)
    clock.now = 64.0
    assert limiter.admit() is None
    assert limiter.admit() is not None
    clock.now = 64.0 + seconds
    assert (limiter.admit() is not None) is refused


def test_what_counts_is_when_a_request_came() -> None:
    """Requests that came a second apart pass, also when they are read in the same moment."""
    limiter = Limiter(Switches(rate=1), Clock())
    assert [limiter.admit(came) is None for came in (64.0, 64.9, 65.0, 65.9, 66.0)] == [True, False, True, False, True]


def test_old_refusals_are_forgotten() -> None:
    """Only refusals of the last minute lead to a ban."""
    clock, switches = Clock(), Switches(rate=1, ban_after=2)
    limiter = Limiter(switches, clock)
    for _ in range(3):
        clock.move(61)
        assert limiter.admit() is None
        assert limiter.admit() is not None
    assert not switches.banned
    limiter.clear()
    assert limiter.admit() is None
