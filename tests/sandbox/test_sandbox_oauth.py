"""OAuth: the consent page, both grants, every refusal, and what ends a token."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import orjson
import pytest
from crm import Api, Clock

from leadsync.sandbox import Sandbox
from leadsync.sandbox.starter import ACCOUNT_ID, ADMIN_ID

DAY = 86_400


@pytest.fixture
def form(sandbox: Sandbox) -> dict[str, Any]:
    """What every request to the token endpoint carries."""
    oauth = sandbox.oauth
    return {"client_id": oauth.client_id, "client_secret": oauth.client_secret, "redirect_uri": oauth.redirect_uri}


class Login:
    """The token endpoint for one client."""

    def __init__(self, http: httpx.AsyncClient, form: dict[str, Any]) -> None:
        self.http = http
        self.form = form

    async def ask(self, **more: Any) -> httpx.Response:
        return await self.http.post("/oauth2/access_token", json={**self.form, **more})

    async def by_code(self, code: str) -> httpx.Response:
        return await self.ask(grant_type="authorization_code", code=code)

    async def by_refresh(self, token: str) -> httpx.Response:
        return await self.ask(grant_type="refresh_token", refresh_token=token)

    async def works(self, access_token: str) -> bool:
        answer = await self.http.get("/api/v4/account", headers={"Authorization": f"Bearer {access_token}"})
        return answer.status_code == 200


@pytest.fixture
def login(api: Api, form: dict[str, Any]) -> Login:
    """A client that can log in."""
    return Login(api.http, form)


async def consent(api: Api, **query: str) -> dict[str, list[str]]:
    answer = await api.http.get("/oauth", params={"client_id": api.sandbox.oauth.client_id, **query})
    assert answer.status_code == 302
    target = urlsplit(answer.headers["location"])
    assert target._replace(query="").geturl() == api.sandbox.oauth.redirect_uri
    return parse_qs(target.query)


async def test_consent_leads_to_the_registered_redirect(api: Api) -> None:
    """The callback carries code, referer, client_id, platform, and the state that was sent, if any."""
    query = await consent(api, state="s", redirect_uri="https://evil.example")
    assert query.keys() == {"code", "referer", "client_id", "platform", "state"}
    assert query["referer"] == [urlsplit(api.sandbox.url).netloc]
    assert (query["platform"], query["state"]) == (["1"], ["s"])
    assert "state" not in await consent(api)


async def test_consent_can_be_refused(api: Api) -> None:
    """With the switch the callback gets an error and no code; an unknown client gets no page at all."""
    api.sandbox.switches.deny_login = True
    query = await consent(api, state="s")
    assert (query["error"], query["state"], "code" in query) == (["access_denied"], ["s"], False)
    assert (await api.http.get("/oauth", params={"client_id": "x"})).status_code == 404


async def test_a_code_becomes_a_pair_that_works(api: Api, login: Login, clock: Clock) -> None:
    """The answer has five keys; the access token is a JWT about this account."""
    (code,) = (await consent(api))["code"]
    answer = await login.by_code(code)
    pair = answer.json()
    assert answer.status_code == 200
    assert pair.keys() == {"token_type", "expires_in", "access_token", "refresh_token", "server_time"}
    assert (pair["token_type"], pair["expires_in"], pair["server_time"]) == ("Bearer", DAY, int(clock.now))
    payload = pair["access_token"].split(".")[1]
    claims = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert (claims["account_id"], claims["sub"]) == (ACCOUNT_ID, str(ADMIN_ID))
    assert claims["exp"] == clock.now + DAY
    assert await login.works(pair["access_token"])


async def test_the_token_endpoint_takes_forms_too(sandbox: Sandbox, login: Login) -> None:
    """form-urlencoded works as JSON does."""
    data = {**login.form, "grant_type": "authorization_code", "code": sandbox.oauth.code(ADMIN_ID)}
    assert (await login.http.post("/oauth2/access_token", data=data)).status_code == 200


@pytest.mark.parametrize(
    ("changes", "status", "hint"),
    [
        ({"client_id": "x"}, 400, "Check the `client_id` parameter"),
        ({"client_secret": "x"}, 400, "Check the `client_secret` parameter"),
        ({"redirect_uri": "https://x.example"}, 400, "Redirect URI is not associated with client"),
        ({"grant_type": "password"}, 400, "Check the `grant_type` parameter"),
        ({"code": "def502broken"}, 400, "Cannot decrypt the authorization code"),
        ({"code": None}, 400, "Cannot decrypt the authorization code"),
        ({"grant_type": "refresh_token", "refresh_token": "def502"}, 400, "Invalid refresh token"),
    ],
)
async def test_wrong_parameters_are_refused(
    sandbox: Sandbox, login: Login, changes: dict[str, Any], status: int, hint: str
) -> None:
    """Each mistake has its hint, in the problem body of the token endpoint."""
    good = {"grant_type": "authorization_code", "code": sandbox.oauth.code(ADMIN_ID)}
    answer = await login.ask(**{**good, **changes})
    body = answer.json()
    assert (answer.status_code, body["status"], body["hint"]) == (status, status, hint)
    assert body["type"] == "https://developers.amocrm.ru/v3/errors/OAuthProblemJson"


async def test_a_client_without_credentials_is_refused(login: Login) -> None:
    """Without id or secret, or without a body that can be read, the client does not authenticate."""
    for answer in (
        await login.ask(client_secret=""),
        await login.http.post("/oauth2/access_token", content=b"{"),
        await login.http.post("/oauth2/access_token", json=[]),
    ):
        assert (answer.status_code, answer.json()["title"]) == (401, "Некорректный клиент")
        assert "hint" not in answer.json()


async def test_the_wrong_account_is_refused(sandbox: Sandbox, login: Login) -> None:
    """With the switch every grant answers that the account is another one."""
    sandbox.switches.invalid_account = True
    assert (await login.by_code(sandbox.oauth.code(ADMIN_ID))).json()["hint"] == "Invalid account"


async def test_a_code_works_once_and_for_twenty_minutes(sandbox: Sandbox, login: Login, clock: Clock) -> None:
    """A spent code is revoked, an old one expired."""
    spent, old = sandbox.oauth.code(ADMIN_ID), sandbox.oauth.code(ADMIN_ID)
    assert (await login.by_code(spent)).status_code == 200
    assert (await login.by_code(spent)).json()["hint"] == "Authorization code has been revoked"
    clock.move(1_200)
    assert (await login.by_code(old)).json()["hint"] == "Authorization code has expired"


async def test_a_refresh_token_works_once(sandbox: Sandbox, login: Login) -> None:
    """Renewal ends both tokens of the old pair; the new pair works."""
    old = sandbox.oauth.pair(ADMIN_ID)
    new = (await login.by_refresh(old["refresh_token"])).json()
    answer = await login.by_refresh(old["refresh_token"])
    assert (answer.status_code, answer.json()["hint"]) == (401, "Token has been revoked")
    assert not await login.works(old["access_token"])
    assert await login.works(new["access_token"])


async def test_leniently_the_old_refresh_token_works_until_the_new_pair_is_used(sandbox: Sandbox, login: Login) -> None:
    """Kommo's reading: after a lost answer the old token is good for another try."""
    sandbox.switches.lenient_refresh = True
    old = sandbox.oauth.pair(ADMIN_ID)
    assert (await login.by_refresh(old["refresh_token"])).status_code == 200
    second = await login.by_refresh(old["refresh_token"])
    assert second.status_code == 200
    assert await login.works(old["access_token"])
    assert await login.works(second.json()["access_token"])
    assert (await login.by_refresh(old["refresh_token"])).status_code == 401
    assert not await login.works(old["access_token"])


async def test_several_pairs_live_side_by_side(sandbox: Sandbox, login: Login) -> None:
    """A new code does not end the pair of an older one."""
    first = (await login.by_code(sandbox.oauth.code(ADMIN_ID))).json()
    await login.by_code(sandbox.oauth.code(ADMIN_ID))
    assert await login.works(first["access_token"])
    assert (await login.by_refresh(first["refresh_token"])).status_code == 200


async def test_tokens_end_with_their_lives(sandbox: Sandbox, login: Login, clock: Clock) -> None:
    """The access token after a day (or what the switch says), the refresh token after three idle months."""
    pair = sandbox.oauth.pair(ADMIN_ID)
    clock.move(DAY - 1)
    assert await login.works(pair["access_token"])
    clock.move(1)
    assert not await login.works(pair["access_token"])
    sandbox.switches.access_token_life = 60
    short = (await login.by_refresh(pair["refresh_token"])).json()
    assert short["expires_in"] == 60
    clock.move(90 * DAY)
    assert (await login.by_refresh(short["refresh_token"])).status_code == 401


async def test_only_a_bearer_token_opens_the_api(sandbox: Sandbox, login: Login) -> None:
    """No header, another scheme, a refresh token or a code answer 401 in the API's words."""
    pair = sandbox.oauth.pair(ADMIN_ID)
    wrong = ("", f"Basic {pair['access_token']}", f"Bearer {pair['refresh_token']}", "Bearer", "Bearer x")
    for header in wrong:
        answer = await login.http.get("/api/v4/leads", headers={"Authorization": header})
        assert (answer.status_code, answer.json()["detail"]) == (401, "Invalid user name or password")


async def test_a_long_lived_token_outlives_pairs_and_can_be_revoked(
    sandbox: Sandbox, login: Login, clock: Clock
) -> None:
    """It works for years and ends when it is revoked."""
    token = sandbox.long_lived_token()
    clock.move(365 * DAY)
    assert await login.works(token)
    assert sandbox.oauth.revoke(token)
    assert not await login.works(token)


async def test_switching_the_integration_off_ends_everything(sandbox: Sandbox, login: Login) -> None:
    """After it neither token of any pair works, nor a code."""
    pair, code = sandbox.oauth.pair(ADMIN_ID), sandbox.oauth.code(ADMIN_ID)
    sandbox.oauth.revoke_all()
    assert not await login.works(pair["access_token"])
    assert (await login.by_refresh(pair["refresh_token"])).json()["hint"] == "Token has been revoked"
    assert (await login.by_code(code)).json()["hint"] == "Authorization code has been revoked"


async def test_the_accounts_address_by_a_token(sandbox: Sandbox, api: Api) -> None:
    """A refresh token, or a Bearer, tells where the account lives; anything else is 401."""
    refresh = sandbox.oauth.pair(ADMIN_ID)["refresh_token"]
    path = "/oauth2/account/current/subdomain"
    async with httpx.AsyncClient(base_url=sandbox.url) as stranger:
        body = (await stranger.get(path, headers={"X-Refresh-Token": refresh})).json()
        assert (body["id"], body["subdomain"]) == (ACCOUNT_ID, "sandbox")
        assert body["domain"] == urlsplit(sandbox.url).netloc
        assert (await stranger.get(path, headers={"X-Refresh-Token": "x"})).status_code == 401
    assert (await api.http.get("/oauth2/account/subdomain")).json() == body
