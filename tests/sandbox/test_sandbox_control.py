"""The control routes, and the log of requests."""

from __future__ import annotations

from typing import Any

import pytest
from crm import Api, Clock

from leadsync.sandbox import Sandbox
from leadsync.sandbox.calls import KEPT, Call, RequestLog
from leadsync.sandbox.gate import Gate
from leadsync.sandbox.routes import application
from leadsync.sandbox.starter import ADMIN_ID

BORIS = 10_450_986


async def test_requests_are_logged_with_their_bodies(sandbox: Sandbox, api: Api) -> None:
    """Method, path, query, status, what was applied, the body; control routes are not in the log."""
    await api.post("leads", [{"name": "x"}])
    await api.http.get("/api/v4/leads?limit=1")
    await api.http.post("/api/v4/leads", content=b"{")
    body = (await api.control("GET", "requests")).json()
    first, second, third = body["requests"]
    assert (first["method"], first["path"], first["status"], first["applied"]) == ("POST", "/api/v4/leads", 200, True)
    assert first["body"] == [{"name": "x"}]
    assert (second["query"], second["body"], second["applied"]) == ("limit=1", None, False)
    assert third["body"] == "{"
    assert body["total"] == 3
    assert body["counts"] == {"POST /api/v4/leads": 2, "GET /api/v4/leads": 1}
    assert len((await api.control("GET", "requests?limit=1")).json()["requests"]) == 1
    assert (await api.control("GET", "requests?limit=0")).json()["requests"] == []
    assert [entry.number for entry in sandbox.requests.of("POST", "/api/v4/leads")] == [1, 3]
    await api.control("DELETE", "requests")
    assert (await api.control("GET", "requests")).json() == {"total": 0, "counts": {}, "requests": []}


async def test_the_log_keeps_the_last_requests_and_counts_all() -> None:
    """Old entries make room for new ones; the totals go on."""
    log = RequestLog()
    for _ in range(KEPT + 5):
        log.open(Call("GET", "/", "http://x", "", {}, b""))
    assert (len(log), log.total, log[0].number) == (KEPT, KEPT + 5, 6)


async def test_switches_are_shown_and_turned(sandbox: Sandbox, api: Api) -> None:
    """PUT turns what is named and answers all of them."""
    assert (await api.control("GET", "switches")).json()["cut_at_emoji"] is False
    answer = await api.control("PUT", "switches", {"cut_at_emoji": True, "rate": 2.5})
    assert answer.json()["cut_at_emoji"] is True
    assert (sandbox.switches.cut_at_emoji, sandbox.switches.rate) == (True, 2.5)


@pytest.mark.parametrize("body", [{"nothing": 1}, {"cut_at_emoji": 1}, {"rate": "7"}, {"retry_after": True}, []])
async def test_bad_switches_turn_nothing(sandbox: Sandbox, api: Api, body: Any) -> None:
    """An unknown switch or a value of the wrong type is refused with a reason."""
    before = sandbox.switches.as_dict()
    answer = await api.control("PUT", "switches", {"relink_fails": True, **body} if body else body)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert sandbox.switches.as_dict() == before


async def test_faults_are_put_in_force_and_taken_out(api: Api) -> None:
    """As one line or by parts; DELETE clears them all; a bad one is refused."""
    await api.control("POST", "faults", {"rule": "GET /api/v4/account 500_before times=1"})
    rules = (await api.control("POST", "faults", {"method": "*", "path": "/x", "kind": "late"})).json()
    assert [rule["kind"] for rule in rules] == ["500_before", "late"]
    assert [(await api.get("account")).status_code for _ in range(2)] == [500, 200]
    assert (await api.control("GET", "faults")).json()[0]["struck"] == 1
    assert (await api.control("DELETE", "faults")).json() == []
    for bad in ({"rule": "x"}, {"method": "*"}, {"method": "*", "path": "/x", "kind": "x"}):
        assert (await api.control("POST", "faults", bad)).status_code == 400


async def test_a_person_edits_an_entity(api: Api, clock: Clock) -> None:
    """An edit by hand is made by that person, now, under the same rules as through the API."""
    (id,) = await api.make("leads", {"name": "Была", "price": 5})
    clock.move(60)
    body = {"entity": "leads", "id": id, "by": BORIS, "name": "Стала"}
    assert (await api.control("POST", "edit", body)).status_code == 200
    lead = (await api.get(f"leads/{id}")).json()
    assert (lead["name"], lead["price"], lead["updated_by"], lead["updated_at"]) == ("Стала", 5, BORIS, int(clock.now))
    await api.control("POST", "edit", {"entity": "leads", "id": id, "price": 6})
    assert (await api.get(f"leads/{id}")).json()["updated_by"] == ADMIN_ID
    assert (await api.control("POST", "edit", {"entity": "leads", "id": id, "price": "6"})).status_code == 400
    assert (await api.control("POST", "edit", {"entity": "leads", "id": 1})).status_code == 404
    assert (await api.control("POST", "edit", {"entity": "people", "id": 1})).status_code == 400


async def test_a_person_deletes_an_entity(sandbox: Sandbox, api: Api) -> None:
    """The entity, its notes and its links are gone; changing it answers that it was not found."""
    (contact,) = await api.make("contacts", {})
    (lead,) = await api.make("leads", {"_embedded": {"contacts": [{"id": contact}]}})
    (note,) = await api.make(f"leads/{lead}/notes", {"note_type": "common", "params": {"text": "x"}})
    await api.ids("leads")
    assert (await api.control("POST", "delete", {"entity": "leads", "id": lead})).status_code == 200
    for path in ("leads", f"leads/{lead}", f"leads/notes/{note}"):
        assert (await api.get(path)).status_code == 204
    assert sandbox.account.links.of(("contacts", contact)) == []
    assert (await api.patch("leads", [{"id": lead}])).json() == {"errors": {str(lead): "Lead not found"}}
    assert (await api.control("POST", "delete", {"entity": "leads", "id": lead})).status_code == 404
    (again,) = await api.make("leads", {})
    assert again > lead


async def test_people_are_made_up_repeatably(api: Api) -> None:
    """The same seed makes the same people, with phones in the ways people write them."""

    async def people(seed: int) -> list[Any]:
        await api.control("POST", "reset")
        made = (await api.control("POST", "seed", {"contacts": 40, "leads": 5, "seed": seed})).json()
        assert (len(made["contacts"]), len(made["leads"])) == (40, 5)
        contacts = (await api.control("GET", "dump")).json()["contacts"]
        return [[field["values"][0]["value"] for field in contact["custom_fields_values"]] for contact in contacts]

    first = await people(1)
    assert first == await people(1) != await people(2)
    assert {phone[0] for phone, _ in first} == {"+", "7", "8"}
    assert (await api.control("POST", "seed", {"leads": 1})).json()["contacts"] == []


async def test_reset_goes_back_to_the_start(sandbox: Sandbox, api: Api) -> None:
    """Content, switches, faults and log are as at the start; the token still works, ids start again."""
    (before,) = await api.make("leads", {"tags_to_add": [{"name": "x"}]})
    sandbox.switches.relink_fails = True
    sandbox.faults.add("* /x late")
    await api.post("leads/custom_fields", [{"name": "Новое", "type": "text"}])
    assert (await api.control("POST", "reset")).status_code == 200
    assert not sandbox.switches.relink_fails
    assert len(sandbox.faults) == len(sandbox.requests) == 0
    sandbox.switches.rate = 0
    assert await api.ids("leads") == []
    assert (await api.get("leads/tags")).status_code == 204
    with pytest.raises(KeyError):
        sandbox.account.fields["leads"].named("Новое")
    assert await api.make("leads", {}) == [before]


async def test_tokens_are_given_out_and_ended(sandbox: Sandbox, api: Api) -> None:
    """A pair, a long-lived token or a code; any of them can be expired or revoked."""

    async def works(token: str) -> bool:
        return (await api.http.get("/api/v4/account", headers={"Authorization": f"Bearer {token}"})).status_code == 200

    pair = (await api.control("POST", "token", {})).json()
    assert await works(pair["access_token"])
    await api.control("POST", "token", {"expire": pair["access_token"]})
    assert not await works(pair["access_token"])
    token = (await api.control("POST", "token", {"issue": "long_lived", "user_id": BORIS})).json()["token"]
    assert await works(token)
    await api.control("POST", "token", {"revoke": token})
    assert not await works(token)
    short = (await api.control("POST", "token", {"issue": "long_lived", "life": 0})).json()["token"]
    assert not await works(short)
    assert (await api.control("POST", "token", {"issue": "code"})).json()["code"].startswith("def502")
    assert (await api.control("POST", "token", {"issue": "key"})).status_code == 400
    assert (await api.control("POST", "token", {"expire": "x"})).status_code == 404
    assert (await api.control("POST", "token", {"revoke": "x"})).status_code == 404
    await api.control("POST", "token", {"revoke_all": True})
    assert (await api.get("account")).status_code == 401


async def test_a_client_is_registered(sandbox: Sandbox, api: Api) -> None:
    """The redirect and the credentials can be other ones than the default."""
    answer = await api.control("PUT", "client", {"redirect_uri": "http://127.0.0.1:1/callback"})
    assert answer.json()["client_id"] == sandbox.oauth.client_id
    location = (await api.http.get("/oauth", params={"client_id": sandbox.oauth.client_id})).headers["location"]
    assert location.startswith("http://127.0.0.1:1/callback?code=")


async def test_the_dump_holds_everything(api: Api) -> None:
    """Entities as they read with tag names, notes, links."""
    (contact,) = await api.make("contacts", {"name": "Иван"})
    linked = {"contacts": [{"id": contact}], "tags": [{"name": "бот"}]}
    (lead,) = await api.make("leads", {"name": "Сделка", "_embedded": linked})
    await api.make(f"leads/{lead}/notes", {"note_type": "common", "params": {"text": "x"}})
    dump = (await api.control("GET", "dump")).json()
    assert (dump["leads"][0]["name"], dump["leads"][0]["tags"]) == ("Сделка", ["бот"])
    assert dump["notes"]["leads"][0]["params"] == {"text": "x"}
    assert dump["links"] == [{"one": ["leads", lead], "other": ["contacts", contact], "is_main": True}]


@pytest.mark.parametrize("client", [("203.0.113.5", 1), None])
async def test_control_is_for_this_machine_only(sandbox: Sandbox, client: Any) -> None:
    """A request from anywhere else, or from nowhere, is refused."""
    gate, sent = Gate(application(sandbox.replica), sandbox.replica), []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/_sandbox/reset", "scheme": "http", "query_string": b""}
    await gate({**scope, "headers": [], "client": client}, receive, send)
    assert sent[0]["status"] == 403
