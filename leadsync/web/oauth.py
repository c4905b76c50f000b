"""The login in a browser: the address where it begins, and the callback where it ends."""

from __future__ import annotations

import asyncio
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, Field

from leadsync.amocrm.login import finish_login
from leadsync.amocrm.login_page import HEADERS, login_page
from leadsync.amocrm.oauth import OAuthClient
from leadsync.amocrm.tokens import STATE_LIFE, LoginStates
from leadsync.errors import AuthorizationRequired, LeadsyncError
from leadsync.project import Connections
from leadsync.web.problems import Fault, answer_of, described, fault_of, said, unavailable
from leadsync.web.service import PREFIX, Service

DONE = "Готово, можно закрыть окно"
FAILED = "Войти не получилось"

_HTML = {"text/html": {"schema": {"type": "string"}}}


class LoginAddress(BaseModel):
    """Where a person allows the access."""

    auth_url: str = Field(examples=["https://www.amocrm.ru/oauth?client_id=…&state=…"])
    instructions: str = Field(examples=["Open auth_url within 10 minutes …"])


class LoginDone(BaseModel):
    """A login that worked."""

    success: bool = Field(examples=[True])
    message: str = Field(examples=["logged in to firm.amocrm.ru; the tokens renew themselves"])


class Logins:
    """The two routes of a login."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def add_to(self, free: APIRouter, keyed: APIRouter) -> None:
        """Add both routes; amoCRM's browser knows no key, its `state` stands for it."""
        keyed.add_api_route(
            f"{PREFIX}/auth/url",
            self.url,
            tags=["amocrm"],
            methods=["GET"],
            summary="Begin a login",
            responses=described(
                _401="the API key is missing or wrong",
                _409="no login is needed (a long-lived token, the sandbox), or no integration is set",
                _503="Redis cannot be reached",
            ),
        )
        told = described(
            _400="`state` is missing, wrong or used; the account is another one; or amoCRM refused. Nothing is stored",
            _422="a parameter cannot be read",
            _503="amoCRM or Redis cannot be reached",
        )
        for answer in told.values():
            answer["content"].update(_HTML)
        free.add_api_route(
            f"{PREFIX}/callback",
            self.callback,
            tags=["amocrm"],
            methods=["GET"],
            summary="End a login",
            response_model=LoginDone,
            responses={**told, 200: {"content": _HTML, "description": "the tokens are stored"}},
        )

    async def url(self, response: Response) -> LoginAddress:
        """The address where an administrator of the account allows the integration.

        Each call gives a new one with its own `state`, good for ten minutes and for one login.
        """
        async with self._service.connections() as connections:
            oauth, states = integration(connections)
            address = oauth.login_url(await states.issue())
        response.headers.update(HEADERS)
        return LoginAddress(auth_url=address, instructions=_instructions(connections))

    async def callback(
        self,
        request: Request,
        code: Annotated[str | None, Query(description="what is exchanged for tokens; works once")] = None,
        state: Annotated[str | None, Query(description="as `/auth/url` issued it; works once")] = None,
        referer: Annotated[str | None, Query(description="the account's host, as amoCRM sends it")] = None,
        error: Annotated[str | None, Query(description="`access_denied` when it was not allowed")] = None,
    ) -> Response:
        """Where amoCRM sends the browser back to. A page for a person, or JSON when `Accept` asks for it."""
        answer = {"code": code, "state": state, "referer": referer, "error": error}
        wants_json = _wants_json(request)
        try:
            account = await self._finish({name: value for name, value in answer.items() if value is not None})
        except (LeadsyncError, Fault) as trouble:
            fault = trouble if isinstance(trouble, Fault) else _login_fault(trouble)
            return _json_fault(fault) if wants_json else _page(fault.status_code, FAILED, fault.detail)
        message = f"logged in to {account}; the tokens renew themselves"
        if wants_json:
            return JSONResponse(LoginDone(success=True, message=message).model_dump(), headers=HEADERS)
        return _page(200, DONE, message)

    async def _finish(self, answer: dict[str, str]) -> str:
        async with self._service.connections() as connections:
            oauth, states = integration(connections, 400)  # no state of ours can be right
            _check_account(answer.get("referer"), connections)
            try:
                async with asyncio.timeout(self._service.patience):
                    await finish_login(answer, oauth=oauth, states=states)
            except TimeoutError:
                raise unavailable("amoCRM did not answer in time; begin the login anew") from None
        self._service.logged_in()
        return connections.account.name


def integration(connections: Connections, status: int = 409) -> tuple[OAuthClient, LoginStates]:
    """What a login is made with. Raises Fault (of that status) where nothing would use its tokens."""
    if connections.account.token is not None:
        detail = "no login is needed: this is the built-in sandbox, or AMOCRM_ACCESS_TOKEN holds a long-lived token"
        raise Fault(status, "no-login", "No login is needed", detail)
    if connections.oauth is None or connections.states is None:
        detail = "set AMOCRM_CLIENT_ID, AMOCRM_CLIENT_SECRET and AMOCRM_REDIRECT_URI on the server"
        raise Fault(status, "no-integration", "No integration is set", detail)
    return connections.oauth, connections.states


def _check_account(referer: str | None, connections: Connections) -> None:
    """`referer` is where amoCRM says that the code is good (amoCRM docs: oauth/step-by-step). Raises Fault (400)."""
    account = connections.account
    if referer is not None and _host(referer) not in (account.name.lower(), _host(account.base_url)):
        detail = (
            f"the login was for another account; nothing was stored. Open the address again and choose {account.name}"
        )
        raise Fault(400, "other-account", "Another account", detail)


def _host(address: str) -> str | None:
    try:
        return urlsplit(address if "//" in address else f"//{address}").hostname
    except ValueError:
        return None


def _login_fault(error: LeadsyncError) -> Fault:
    """A code or state that does not work is the request's fault; anything else may pass."""
    if isinstance(error, AuthorizationRequired):
        return Fault(400, "login-failed", "The login did not work", said(error))
    return fault_of(error)


def _instructions(connections: Connections) -> str:
    redirect_uri = connections.project.settings.amocrm_redirect_uri or ""
    account = connections.account.name
    begin = (
        f"Open auth_url in a browser within {STATE_LIFE // 60} minutes, as an administrator of {account}, "
        "choose that account and allow the access."
    )
    if urlsplit(redirect_uri).path.endswith("/callback"):
        return f"{begin} amoCRM then sends the browser to {redirect_uri}, which finishes the login."
    return f"{begin} The browser then goes to {redirect_uri}: give that whole address to `leadsync auth exchange`."


def _wants_json(request: Request) -> bool:
    accept = request.headers.get("accept", "")
    return "json" in accept and "text/html" not in accept


def _page(status: int, title: str, text: str) -> HTMLResponse:
    return HTMLResponse(login_page(title, text), status, HEADERS)


def _json_fault(fault: Fault) -> JSONResponse:
    response = answer_of(fault)
    response.headers.update(HEADERS)
    return response
