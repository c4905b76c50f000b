"""What holds for all routes: problems, the OpenAPI document, logs, and other people's apps."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from starlette.requests import Request

from leadsync.web import Service, create_app, make_router
from leadsync.web.problems import Fault
from tests.web.serving import CALLBACK, KEY, LEADS, PATIENT, URL, app_for, bearer, bot, is_problem, serving, with_key
from tests.world import World

PERSON = ("Секретов", "123-45-67", "9161234567", "secret@example.com", "секретный")
IVAN = {
    "user_name": "Иван Секретов",
    "phone": "8 916 123-45-67",
    "email": "ivan.secret@example.com",
    "conversation_history": "секретный текст",
}


async def test_404_and_405_are_problems(world: World) -> None:
    """An unknown address and a wrong method are answered like everything else, with Allow."""
    async with bot(world) as client:
        nothing = await client.get("/api/v1/amocrm/nothing")
        wrong = [await client.request(method, LEADS) for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD")]
        slash = await client.get("/health/")
    assert (nothing.status_code, slash.status_code) == (404, 404)
    assert is_problem(nothing)["type"] == "about:blank"
    assert [(one.status_code, one.headers["allow"]) for one in wrong] == [(405, "POST")] * 6
    assert is_problem(wrong[0])["title"] == "Method Not Allowed"


async def test_the_document_is_behind_the_key(world: World) -> None:
    """`/openapi.json` holds the six routes, and the pages of documentation are not served."""
    async with bot(world) as client:
        document = (await client.get("/openapi.json")).json()
        pages = [(await client.get(path)).status_code for path in ("/docs", "/redoc")]
    assert set(document["paths"]) == {URL, CALLBACK, LEADS, "/health", "/ready", "/metrics"}
    assert pages == [404, 404]


def test_every_route_has_an_example() -> None:
    """Each JSON body in the document has an example, and it fits the schema beside it."""
    document = create_app().openapi()
    bodies = [body for path in document["paths"].values() for one in path.values() for body in _bodies(one)]
    seen = 0
    for body in bodies:
        schema = _resolved(body["schema"], document)
        for example in _examples(schema):
            Draft202012Validator({**schema, "components": document["components"]}).validate(example)
            seen += 1
    assert seen >= len(bodies) > 10


def _bodies(operation: dict[str, Any]) -> list[dict[str, Any]]:
    places = [operation.get("requestBody", {}), *operation["responses"].values()]
    return [body for one in places for kind, body in one.get("content", {}).items() if "json" in kind]


def _resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = document["components"]["schemas"][name] if name else schema
    return found


def _examples(schema: dict[str, Any]) -> list[Any]:
    if "examples" in schema:
        return list(schema["examples"])
    fields = schema["properties"]
    return [{name: fields[name]["examples"][0] for name in schema["required"]}]


def test_only_two_routes_need_no_key() -> None:
    """The document says what the service does: the key is asked for everywhere but at `/health` and the callback."""
    paths = create_app().openapi()["paths"]
    free = {path for path, one in paths.items() for operation in one.values() if "security" not in operation}
    assert free == {"/health", CALLBACK}


@pytest.fixture(scope="module")
def anyhow() -> Service:
    """A service that nobody opens."""
    return Service("nowhere/leadsync.yaml")


async def test_before_it_is_open(anyhow: Service) -> None:
    """A router in an app whose start nobody ran says so, instead of failing without a word."""
    app = FastAPI()
    app.include_router(make_router(anyhow))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.post(LEADS, json={"id": "1"})
    assert answer.status_code == 503
    assert "not open" in is_problem(answer)["detail"]


async def test_no_personal_data_in_logs(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Neither a lead that was made, nor one refused, malformed, held back or without key, tells of a person."""
    caplog.set_level(logging.DEBUG)
    async with bot(world) as client:
        await client.post(LEADS, json={"id": "1", **IVAN})
        await client.post(LEADS, json={"id": "2", **IVAN, "budget": "секретный"})
        await client.post(LEADS, json={"id": "3", **IVAN, "metadata": "секретный"})
        await client.post(LEADS, json=IVAN, headers={"Authorization": "Bearer Секретов".encode()})
        await client.get(CALLBACK, params={"code": "secret@example.com", "state": "9161234567"})
        await client.get("/" + IVAN["phone"])
        world.sandbox.faults.add("* /api/* 429")
        await client.post(LEADS, json={"id": "4", **IVAN})
    ours = [one for one in caplog.records if not one.name.startswith(("httpx", "httpcore"))]  # the test's own client
    text = "\n".join(f"{one.getMessage()} {one.exc_text or ''}" for one in ours)
    assert f"POST {LEADS}: 200" in text
    assert f"POST {LEADS}: 503" in text
    assert [word for word in (*PERSON, KEY, world.sandbox.oauth.client_secret) if word in text] == []


async def test_in_an_app_of_ones_own(world: World) -> None:
    """Included in somebody's app, the routes live below its prefix, open with it, and behave as they do alone."""
    with_key(world)
    began: list[str] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        began.append("theirs")
        yield

    app = FastAPI(lifespan=lifespan)
    app.include_router(make_router(world.folder / "leadsync.yaml", **PATIENT), prefix="/crm")
    app.add_api_route("/health", lambda: {"theirs": True}, methods=["GET"])
    async with serving(app) as client:
        theirs = await client.get("/health")
        refused = await client.post(f"/crm{LEADS}", json={"id": "1"})
        malformed = await client.post(f"/crm{LEADS}", json=[], headers=bearer())
        good = await client.post(f"/crm{LEADS}", json={"id": "1"}, headers=bearer())
    assert (theirs.json(), began) == ({"theirs": True}, ["theirs"])
    assert is_problem(refused)["status"] == 401
    assert is_problem(malformed)["status"] == 422
    assert good.json()["lead_id"] == world.leads()[0]["id"]


async def test_one_service_in_two_apps_is_told(world: World) -> None:
    """A service cannot be open twice; after its end it can be opened again."""
    with_key(world)
    service = Service(world.folder / "leadsync.yaml", **PATIENT)
    for _ in range(2):
        async with service:
            with pytest.raises(RuntimeError, match="make_router"):
                await service.__aenter__()
            assert (await service.push({"id": "1", "source": "telegram"})).success
    assert len(world.leads()) == 1


async def test_without_a_key_only_this_machine(world: World) -> None:
    """Without LEADSYNC_API_KEY a program here is answered, but no proxy, and no page of another name in a browser."""
    async with serving(app_for(world)) as client:
        port = client.base_url.port
        assert (await client.post(LEADS, json={"id": "1"})).status_code == 200
        assert (await client.get("/ready", headers={"Host": f"localhost:{port}"})).status_code == 200
        assert (await client.get("/ready", headers={"Origin": "http://localhost:3000"})).status_code == 200
        pages = [{"Origin": one} for one in ("https://evil.example", "null", "http://[")]
        proxies = [{"X-Forwarded-For": "127.0.0.1"}, {"Forwarded": "for=1.2.3.4"}]
        for strange in [{"Host": "evil.example"}, *pages, *proxies]:
            answer = await client.get("/ready", headers=strange)
            assert answer.status_code == 401
            assert "LEADSYNC_API_KEY" in is_problem(answer)["detail"]


async def test_without_a_key_others_are_not_answered(world: World) -> None:
    """A caller from another address is refused while there is no key, whatever app the router is in."""
    service = Service(world.folder / "leadsync.yaml", **PATIENT)
    app = FastAPI()
    app.include_router(make_router(service))
    transport = httpx.ASGITransport(app, client=("192.0.2.7", 4711))
    async with service, httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/ready")).status_code == 401
        assert (await client.get("/health")).status_code == 200


HEADERS = st.binary(max_size=60).filter(lambda raw: not {0, 10, 13} & set(raw))


async def test_no_other_key_opens(world: World) -> None:
    """Whatever bytes stand in the header, only the key lets anybody in."""
    with_key(world)
    async with Service(world.folder / "leadsync.yaml", **PATIENT) as service:

        @given(HEADERS)
        @settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
        def check(raw: bytes) -> None:
            with pytest.raises(Fault, match="Authorization: Bearer"):
                service.check_key(_request(b"Bearer " + raw))

        check()
        service.check_key(_request(bearer()["Authorization"]))


def _request(authorization: bytes) -> Any:
    return Request({"type": "http", "headers": [(b"authorization", authorization)], "client": ("127.0.0.1", 1)})


def test_other_commands_do_not_load_it() -> None:
    """FastAPI costs a third of a second: only `leadsync serve` and those who mount the router pay for it."""
    loaded = (
        "import sys, leadsync, leadsync.pipeline, leadsync.cli.run, leadsync.cli.auth; print('fastapi' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
