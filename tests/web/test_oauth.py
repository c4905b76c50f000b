"""The login over HTTP: a person's browser follows the address, and what Redis holds then."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from leadsync.amocrm.tokens import STATE_LIFE, LoginStates, Tokens
from leadsync.sandbox.starter import ADMIN_ID
from tests.web.serving import CALLBACK, KEY, URL, app_for, bearer, bot, is_problem, serving, with_key
from tests.world import NAMES, World

DONE = "Готово, можно закрыть окно"
FAILED = "Войти не получилось"
JSON = {"Accept": "application/json"}


@dataclass(frozen=True, slots=True)
class Login:
    """A service whose callback the account knows as its redirect URI."""

    world: World
    client: httpx.AsyncClient

    async def begin(self) -> str:
        """The address of a new login."""
        return str((await self.client.get(URL, headers=bearer())).json()["auth_url"])

    async def state(self) -> str:
        """A fresh state."""
        return httpx.URL(await self.begin()).params["state"]

    def code(self) -> str:
        """A code, as the page of amoCRM gives it to a browser."""
        return self.world.sandbox.oauth.code(ADMIN_ID)

    async def come_back(self, headers: dict[str, str] | None = None, **query: str) -> httpx.Response:
        """What a browser does that amoCRM sends back."""
        return await self.client.get(CALLBACK, params=query, headers=headers)

    async def tokens(self) -> Tokens | None:
        """What is stored."""
        return await self.world.tokens.load()


@asynccontextmanager
async def logging_in(world: World, patience: float = 20.0, **variables: str) -> AsyncIterator[Login]:
    listening = socket.create_server(("127.0.0.1", 0))
    world.sandbox.oauth.redirect_uri = f"http://127.0.0.1:{listening.getsockname()[1]}{CALLBACK}"
    with_key(world, **world.integration() | variables)
    async with serving(app_for(world, patience=patience), listening) as client:
        yield Login(world, client)


async def test_a_person_follows_the_address(world: World) -> None:
    """The page of amoCRM sends the browser to the callback, which shows a page; both tokens are stored."""
    async with logging_in(world) as login:
        page = await login.client.get(await login.begin(), follow_redirects=True)
        tokens = await login.tokens()
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert (page.headers["cache-control"], page.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert DONE in page.text
    assert tokens is not None
    assert tokens.access_token
    assert tokens.refresh_token
    assert tokens.access_token not in page.text


async def test_the_address_has_a_state_of_its_own(world: World) -> None:
    """Each call gives amoCRM's page with a new state that lives ten minutes, says what to do, and is not cached."""
    async with logging_in(world) as login:
        answers = [await login.client.get(URL, headers=bearer()) for _ in range(2)]
    addresses = [httpx.URL(one.json()["auth_url"]) for one in answers]
    states = {one.params["state"] for one in addresses}
    lives = [await world.redis.ttl(NAMES.name("oauth", "state", one)) for one in states]
    assert len(states) == 2
    assert all(STATE_LIFE - 30 < life <= STATE_LIFE == 600 for life in lives)
    assert {(one.host, one.path, one.params["client_id"]) for one in addresses} == {
        ("127.0.0.1", "/oauth", world.sandbox.oauth.client_id)
    }
    assert all("firm.amocrm.ru" in one.json()["instructions"] for one in answers)
    assert all(set(one.json()) == {"auth_url", "instructions"} for one in answers)
    assert all(one.headers["cache-control"] == "no-store" for one in answers)


async def test_people_log_in_on_the_shared_host(world: World) -> None:
    """Without an AMOCRM_BASE_URL the address is on the www host of the account's domain."""
    values = {"AMOCRM_BASE_URL": "", "LEADSYNC_API_KEY": KEY, **world.integration()}
    world.settings(**values)
    async with serving(app_for(world, patience=0.5)) as client:
        address = (await client.get(URL, headers=bearer())).json()["auth_url"]
    assert address.startswith("https://www.amocrm.ru/oauth?client_id=")


async def test_instructions_for_a_redirect_to_elsewhere(world: World) -> None:
    """When amoCRM sends the browser somewhere else, the instructions say how to finish by hand."""
    with_key(world, **world.integration() | {"AMOCRM_REDIRECT_URI": "https://example.com/amo"})
    async with serving(app_for(world)) as client:
        said = (await client.get(URL, headers=bearer())).json()["instructions"]
    assert "https://example.com/amo" in said
    assert "leadsync auth exchange" in said


@pytest.mark.parametrize("fault", ["missing", "empty", "wrong", "used", "ended", "of another account"])
async def test_400_without_our_state(world: World, fault: str) -> None:
    """Whatever is wrong with the state, nothing is stored, the code is not spent, and the right one still works."""
    async with logging_in(world) as login:
        good, code = await login.state(), login.code()
        answer = await login.come_back(JSON, code=code, **await _broken(fault, login))
        stored = await login.tokens()
        assert (await login.come_back(code=code, state=good)).status_code == 200
    assert answer.status_code == 400
    assert "state" in is_problem(answer)["detail"]
    assert stored is None


async def _broken(fault: str, login: Login) -> dict[str, str]:
    state = await login.state()
    if fault == "used":
        await LoginStates(login.world.redis, NAMES.prefix).consume(state)
    if fault == "ended":
        await login.world.redis.pexpire(NAMES.name("oauth", "state", state), 0)
    if fault == "of another account":
        state = await LoginStates(login.world.redis, "leadsync:{other.amocrm.ru}:").issue()
    return {"missing": {}, "empty": {"state": ""}, "wrong": {"state": state[:-1]}}.get(fault, {"state": state})


async def test_a_state_works_once_at_the_same_moment(world: World) -> None:
    """Of ten callbacks with one state at once, one is let in."""
    async with logging_in(world) as login:
        state = await login.state()
        answers = await asyncio.gather(*(login.come_back(code=login.code(), state=state) for _ in range(10)))
    assert sorted(one.status_code for one in answers) == [200, *[400] * 9]


STRANGERS = [
    "evil.amocrm.ru",
    "https://evil.amocrm.ru",
    "firm.amocrm.ru.evil.com",
    "evil.com/firm.amocrm.ru",
    "firm.amocrm.ru@evil.com",
    "http://[firm.amocrm.ru",
    "",
    "amocrm.ru",
]


async def test_the_referer_is_our_account(world: World) -> None:
    """A callback that names another account is 400 and stores nothing; the account's own host is taken, in any case."""
    async with logging_in(world) as login:
        for stranger in STRANGERS:
            answer = await login.come_back(JSON, code=login.code(), state=await login.state(), referer=stranger)
            assert answer.status_code == 400, stranger
            assert "firm.amocrm.ru" in is_problem(answer)["detail"]
            assert await login.tokens() is None
        for ours in ("firm.amocrm.ru", "https://FIRM.amocrm.ru/", "127.0.0.1:8080"):
            answer = await login.come_back(code=login.code(), state=await login.state(), referer=ours)
            assert answer.status_code == 200, ours


async def test_400_when_it_was_not_allowed(world: World) -> None:
    """Whoever does not allow the access on the page of amoCRM is told so, and nothing is stored."""
    world.sandbox.switches.deny_login = True
    async with logging_in(world) as login:
        page = await login.client.get(await login.begin(), follow_redirects=True)
        stored = await login.tokens()
    assert (page.status_code, stored) == (400, None)
    assert FAILED in page.text
    assert "not allowed" in page.text


async def test_400_for_a_code_that_does_not_work(world: World) -> None:
    """A broken, missing or spent code is the browser's fault, and nothing new is stored."""
    async with logging_in(world) as login:
        for query in ({"code": "def502-broken"}, {}, {"code": ""}):
            answer = await login.come_back(JSON, state=await login.state(), **query)
            assert answer.status_code == 400
            assert is_problem(answer)["type"] == "urn:leadsync:problem:login-failed"
        assert await login.tokens() is None


@pytest.mark.parametrize("name", ["amocrm is down", "the secret is wrong"])
async def test_503_when_it_is_not_the_browsers_fault(world: World, name: str) -> None:
    """While amoCRM is away, or the integration's settings are wrong, the answer is 503 and says what to do."""
    variables = {"AMOCRM_CLIENT_SECRET": "wrong-secret"} if name == "the secret is wrong" else {}
    async with logging_in(world, patience=1.0, **variables) as login:
        if not variables:
            world.sandbox.faults.add("POST /oauth2/access_token 429")
        answer = await login.come_back(JSON, code=login.code(), state=await login.state())
        stored = await login.tokens()
    assert (answer.status_code, stored) == (503, None)
    assert "wrong-secret" not in answer.text
    assert not variables or "AMOCRM_CLIENT_SECRET" in is_problem(answer)["detail"]


async def test_the_page_repeats_nothing(world: World) -> None:
    """Markup in the address does not become markup of the page."""
    markup = "<script>alert(1)</script>"
    async with logging_in(world) as login:
        queries: list[dict[str, Any]] = [
            {"state": markup},
            {"state": await login.state(), "error": markup},
            {"state": await login.state(), "code": markup},
            {"state": await login.state(), "code": "1", "referer": markup},
        ]
        for query in queries:
            page = await login.come_back(**query)
            assert page.status_code == 400
            assert "<script" not in page.text
            assert FAILED in page.text


async def test_json_for_a_program(world: World) -> None:
    """Who asks for JSON gets it; a browser, which takes anything besides pages, gets a page."""
    browsers = "text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8"
    async with logging_in(world) as login:
        for accept, kind in (("application/json", "application/json"), (browsers, "text/html"), ("*/*", "text/html")):
            answer = await login.come_back({"Accept": accept}, code=login.code(), state=await login.state())
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith(kind)
            assert kind != "application/json" or answer.json()["success"] is True


async def test_no_login_where_none_is_needed(world: World) -> None:
    """With a long-lived token a login begins with 409, and a callback is 400: no state can be right."""
    async with bot(world) as client:
        begun, ended = (
            await client.get(URL),
            await client.get(CALLBACK, params={"code": "1", "state": "1"}, headers=JSON),
        )
    assert (begun.status_code, ended.status_code) == (409, 400)
    assert "AMOCRM_ACCESS_TOKEN" in is_problem(begun)["detail"]


async def test_a_second_login_goes_on(world: World) -> None:
    """After the tokens were revoked, the service says that a login is needed, and after it, it is ready again."""
    async with logging_in(world) as login:
        await login.come_back(code=login.code(), state=await login.state())
        login.client.headers.update(bearer())
        assert (await login.client.get("/ready")).status_code == 200
        world.sandbox.oauth.revoke_all()
        await world.tokens.clear()
        answer = await login.client.post("/api/v1/amocrm/leads", json={"id": "1"})
        assert answer.status_code == 503
        await login.come_back(code=login.code(), state=await login.state())
        assert (await login.client.get("/ready")).status_code == 200
        assert (await login.client.post("/api/v1/amocrm/leads", json={"id": "1"})).status_code == 200
    assert (len(world.leads()), await world.refused()) == (1, [])
