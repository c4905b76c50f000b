"""Faults: what the client sees, and what happened to the account all the same."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest
from crm import Api, Clock

from leadsync.sandbox import FaultRule, Sandbox
from leadsync.sandbox.faults import KINDS

LEAD = [{"name": "Сделка"}]


@pytest.mark.parametrize(("kind", "applied"), [("drop_before", 0), ("drop_after", 1), ("truncated", 1)])
async def test_a_lost_connection(sandbox: Sandbox, api: Api, kind: str, applied: int) -> None:
    """The client gets no answer, or half of one; whether the lead was made depends on the kind."""
    sandbox.faults.add(f"POST /api/v4/leads {kind} times=1")
    with pytest.raises(httpx.RemoteProtocolError):
        await api.post("leads", LEAD)
    assert len(sandbox.account.leads) == applied
    logged = sandbox.requests[-1]
    assert (logged.fault, logged.applied) == (kind, bool(applied))
    assert logged.status == (200 if kind == "truncated" else None)
    assert (await api.post("leads", LEAD)).status_code == 200


@pytest.mark.parametrize(
    ("kind", "status", "applied", "media"),
    [
        ("504_before", 504, 0, "text/html"),
        ("504_after", 504, 1, "text/html"),
        ("500_before", 500, 0, "application/problem+json"),
        ("500_after", 500, 1, "application/problem+json"),
        ("html_404", 404, 0, "text/html"),
        ("429", 429, 0, "text/html"),
        ("ban403", 403, 0, "text/html"),
        ("system_error_400", 400, 0, "application/problem+json"),
        ("forbidden", 403, 0, "application/problem+json"),
    ],
)
async def test_a_wrong_answer(sandbox: Sandbox, api: Api, kind: str, status: int, applied: int, media: str) -> None:
    """The gateway or the API answers with an error, before or after the lead was made."""
    sandbox.faults.add(f"POST /api/v4/leads {kind}")
    answer = await api.post("leads", LEAD)
    assert (answer.status_code, len(sandbox.account.leads)) == (status, applied)
    assert answer.headers["content-type"].split(";")[0] == media
    if kind == "system_error_400":
        assert answer.json()["detail"] == "Возникла системная ошибка. Пожалуйста, повторите попытку."


async def test_a_refusal_that_names_nobody(sandbox: Sandbox, api: Api) -> None:
    """What is refused anyway is refused without a word about the item at fault; what is right goes through."""
    sandbox.faults.add("POST /api/v4/leads unnamed_400")
    answer = await api.http.post("/api/v4/leads", json=[{"name": "Заявка"}, {"price": "много"}])
    assert (answer.status_code, answer.json().keys() & {"validation-errors"}) == (400, set())
    assert (await api.post("leads", LEAD)).status_code == 200


async def test_a_late_answer_comes_after_the_client_has_gone(sandbox: Sandbox, api: Api) -> None:
    """The lead is made at once, the answer takes longer than the client waits."""
    sandbox.faults.add("POST /api/v4/leads late seconds=30")
    with pytest.raises(httpx.ReadTimeout):
        await api.http.post("/api/v4/leads", json=LEAD, timeout=0.1)
    assert len(sandbox.account.leads) == 1


async def test_a_late_answer_comes_at_last(sandbox: Sandbox, api: Api) -> None:
    """A patient client gets it whole."""
    sandbox.faults.add("GET /api/v4/account late seconds=0.05")
    before = time.monotonic()
    assert (await api.get("account")).status_code == 200
    assert time.monotonic() - before >= 0.05


async def test_stopping_does_not_wait_for_late_answers() -> None:
    """A sandbox that goes down sends what it holds back at once."""
    async with Sandbox(rate=0) as sandbox, httpx.AsyncClient(base_url=sandbox.url) as http:
        sandbox.faults.add("* /oauth late seconds=60")
        asked = asyncio.create_task(http.get("/oauth"))
        await sandbox.requests.reached(1)
        before = time.monotonic()
        await sandbox.stop()
        assert (await asked).status_code == 404
        assert time.monotonic() - before < 5


async def test_what_is_new_is_not_found_at_once(sandbox: Sandbox, api: Api, clock: Clock) -> None:
    """search_lag hides new contacts from searches and filters, not from a plain list by id."""
    (old,) = await api.make("contacts", {"name": "Иван старый"})
    clock.move(10)
    sandbox.faults.add("GET /api/v4/contacts search_lag seconds=10")
    (new,) = await api.make("contacts", {"name": "Иван новый"})
    assert await api.ids("contacts", "query=иван") == [old]
    assert await api.ids("contacts", "filter[updated_at][from]=1") == [old]
    assert await api.ids("contacts", "order[id]=desc") == [new, old]
    clock.move(10)
    assert sorted(await api.ids("contacts", "query=иван")) == [old, new]


async def test_filters_can_be_ignored_while_the_account_says_they_work(sandbox: Sandbox, api: Api) -> None:
    """filters_ignored gives everything back and lies about nothing else."""
    await api.make("leads", {"name": "а"}, {"name": "б"})
    sandbox.faults.add("GET /api/v4/* filters_ignored")
    assert len(await api.ids("leads", "filter[name]=а")) == 2
    (lead, _) = await api.ids("leads")
    note = {"note_type": "common", "params": {"text": "а"}}
    await api.post(f"leads/{lead}/notes", [note])
    assert (await api.http.get("/api/v4/leads/notes?filter[id]=1")).status_code == 200


async def struck(sandbox: Sandbox, api: Api, rule: str, count: int) -> str:
    """Which of so many requests a rule strikes, as a row of x and dots."""
    sandbox.faults.add(f"GET /api/v4/account html_404 {rule}")
    codes = [(await api.get("account")).status_code for _ in range(count)]
    return "".join("x" if code == 404 else "." for code in codes)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("", "xxxxxx"),
        ("times=2", "xx...."),
        ("nth=3", "..x..."),
        ("nth=2 times=3", ".xxx.."),
        ("every=2", ".x.x.x"),
        ("every=2 times=2", ".x.x.."),
        ("p=0", "......"),
        ("p=1", "xxxxxx"),
    ],
)
async def test_when_a_rule_strikes(sandbox: Sandbox, api: Api, rule: str, expected: str) -> None:
    """Always, so many times, from the nth on, every so many, by chance."""
    assert await struck(sandbox, api, rule, 6) == expected


async def test_chance_is_repeatable(sandbox: Sandbox, api: Api) -> None:
    """The same seed strikes the same requests, another seed others."""
    rows = []
    for seed in (1, 1, 2):
        sandbox.faults.clear()
        rows.append(await struck(sandbox, api, f"p=0.5 seed={seed}", 30))
    assert rows[0] == rows[1] != rows[2]
    assert {".", "x"} == set(rows[0])


async def test_only_large_batches_time_out(sandbox: Sandbox, api: Api) -> None:
    """`items` strikes arrays from that size on; halving the batch helps."""
    sandbox.faults.add("POST /api/v4/leads 504_before items=100")
    assert (await api.post("leads", LEAD * 100)).status_code == 504
    assert (await api.post("leads", LEAD * 99)).status_code == 200
    assert (await api.post("leads", {"name": "x"})).status_code == 400
    assert (await api.http.post("/api/v4/leads", content=b"[")).status_code == 400


async def test_rules_name_method_and_path(sandbox: Sandbox, api: Api) -> None:
    """A rule for one method and path leaves the others alone; the first that is due wins."""
    sandbox.faults.add("post /api/v4/leads html_404")
    sandbox.faults.add("* /api/v4/lea* 500_before")
    assert (await api.post("leads", LEAD)).status_code == 404
    assert (await api.get("leads")).status_code == 500
    assert (await api.get("account")).status_code == 200


async def test_a_request_over_the_limit_meets_no_fault(sandbox: Sandbox, api: Api) -> None:
    """429 comes from the gateway in front, and the log says so."""
    sandbox.switches.rate = 1
    await api.get("account")
    sandbox.faults.add("* * drop_before")
    assert (await api.get("account")).status_code == 429
    assert sandbox.requests[-1].fault is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("POST /api/v4/leads", "a fault is"),
        ("POST /api/v4/leads explode", "no fault 'explode'"),
        ("POST /api/v4/leads late after=5", "no fault option 'after'"),
        ("POST /api/v4/leads late seconds=soon", "takes a number"),
    ],
)
def test_a_bad_rule_says_what_is_wrong(text: str, message: str) -> None:
    """A rule that cannot be read raises ValueError with the reason."""
    with pytest.raises(ValueError, match=message):
        FaultRule.parse(text)


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_every_kind_can_be_put_in_force(sandbox: Sandbox, kind: str) -> None:
    """Each kind parses, and is listed with its counts."""
    rule = sandbox.faults.add(f"GET /x {kind} p=0.25 seconds=2")
    assert rule == FaultRule("GET", "/x", kind, probability=0.25, seconds=2.0)
    assert list(sandbox.faults) == [rule]
    assert [(shown["kind"], shown["seen"]) for shown in sandbox.faults.shown()] == [(kind, 0)]
