"""OAuth 2.0 of amoCRM: the address where a person logs in, the exchange of the code, renewals one at a time.

Source: amoCRM docs, oauth/step-by-step; the error hints are gathered from integrators (amocrm-api.md §1).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
from pydantic import BaseModel, SecretStr, ValidationError

from leadsync.amocrm.failures import answer_of, failure_of_exception
from leadsync.amocrm.retry import RetryPolicy, repeat
from leadsync.amocrm.tokens import ACCESS_LIFE, Tokens, TokenStore
from leadsync.errors import (
    AmoCRMAPIError,
    AmoCRMUnavailable,
    AmoCRMUnknownOutcome,
    AuthorizationRequired,
    ConfigurationError,
    LeadsyncError,
)
from leadsync.events import Listener, TokensStored, ignore

logger = logging.getLogger("leadsync.amocrm")

TOKEN_PATH = "/oauth2/access_token"
LOGIN = "run `leadsync auth login`"
_HOSTS = ("amocrm.ru", "amocrm.com", "kommo.com")

# Part of the hint → what to do; the first group is a mistake in the settings, the second asks for a new login.
_SETTINGS: Mapping[str, str] = {
    "client_id": "correct AMOCRM_CLIENT_ID",
    "client_secret": "correct AMOCRM_CLIENT_SECRET (a new secret ends the old one)",
    "Redirect URI": "AMOCRM_REDIRECT_URI must be exactly the one in the integration's card",
    "Авторизация клиента": "correct AMOCRM_CLIENT_ID and AMOCRM_CLIENT_SECRET",
    "Invalid account": "correct the subdomain: the code belongs to another account",
}
_LOGINS: Mapping[str, str] = {
    "code has expired": f"{LOGIN} again: a code lives 20 minutes",
    "code has been revoked": f"{LOGIN} again: a code works once",
    "Cannot decrypt": f"{LOGIN} again and take the whole code",
    "Invalid refresh token": LOGIN,
}


class _Granted(BaseModel):
    access_token: SecretStr
    refresh_token: SecretStr
    expires_in: int = ACCESS_LIFE


class OAuthClient:
    """The integration of one account. `base_url` is the account's host, `www_url` the shared one people log in on.

    `http` must send through a `Wire`, so that renewals pass the same budget as everything else. The tokens are stored
    before anybody can use them. A caller that is cancelled while amoCRM answers goes once the answer is stored: what
    was granted is granted once.
    """

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: SecretStr,
        redirect_uri: str,
        base_url: str,
        www_url: str,
        http: httpx.AsyncClient,
        store: TokenStore,
        listener: Listener = ignore,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._client_id = client_id
        self._client_secret = client_secret
        self._redirect_uri = redirect_uri
        self._base_url = base_url.rstrip("/")
        self._www_url = www_url.rstrip("/")
        self._http = http
        self._listener = listener
        self._retry = retry or RetryPolicy()
        self.host = urlsplit(base_url).hostname or ""
        self.store = store

    def login_url(self, state: str) -> str:
        """The page where a person allows the integration; `state` comes back with the code and must be single-use."""
        return f"{self._www_url}/oauth?{urlencode({'client_id': self._client_id, 'state': state})}"

    async def exchange(self, code: str, *, referer: str | None = None) -> Tokens:
        """Turn the code of a login into tokens and store them. `referer` is the account the callback names.

        Raises AuthorizationRequired for a code that no longer works or another account's, ConfigurationError for wrong
        settings of the integration.
        """
        self._check_account(referer)
        form = {"grant_type": "authorization_code", "code": code}

        async with self.store.lock() as lease:

            async def once() -> Tokens:
                await lease.extend()
                return await _finished(self._stored(form))

            tokens = await repeat(once, method="POST", route=TOKEN_PATH, policy=self._retry, listener=self._listener)
        logger.info("OAuth: logged in, the tokens are stored")
        return tokens

    async def renew(self, stale: str | None, *, rejected: bool = False) -> Tokens:
        """A living pair in place of the access token `stale`; at most one renewal at a time over all processes.

        When somebody else has renewed meanwhile, theirs is taken. `rejected` says that the CRM refused `stale` (401):
        then it is dropped from the store, and only it. Raises AuthorizationRequired when only a person can help, and
        AmoCRMUnavailable, AmoCRMRateLimitError when trying again later can.
        """
        async with self.store.lock() as lease:
            stored = await self.store.load()
            if stored is not None and stored.host == self.host and stored.access_token not in (None, stale):
                return stored
            if rejected:
                await self.store.drop_access()
            if stored is None or stored.refresh_token is None or stored.host != self.host:
                raise AuthorizationRequired("nobody has logged in to amoCRM, or three months ago", do=LOGIN)
            form = {"grant_type": "refresh_token", "refresh_token": stored.refresh_token}
            await lease.extend()
            tokens = await _finished(self._renewed(form))
        logger.info("OAuth: the access token was renewed")
        return tokens

    async def _renewed(self, form: Mapping[str, str]) -> Tokens:
        try:
            return await self._stored(form)
        except AuthorizationRequired:
            await self.store.drop_access()
            raise
        except AmoCRMUnknownOutcome as lost:
            # No request of the caller was sent: its outcome is known, only ours is not.
            what = f"the access token could not be renewed: {lost.what}"
            raise AmoCRMUnavailable(what, status=lost.status, where=lost.where, do="try again later") from None

    async def _granted(self, form: Mapping[str, str]) -> Tokens:
        try:
            answer = await self._asked(form)
        except AmoCRMUnknownOutcome:
            # Kommo lets an unused pair be asked for again; amoCRM may have kept the old token if it never answered.
            logger.warning("OAuth: the answer was lost, asking once more with the same %s", form["grant_type"])
            answer = await self._asked(form)
        return self._tokens_of(answer)

    async def _stored(self, form: Mapping[str, str]) -> Tokens:
        tokens = await self._granted(form)
        await self.store.save(tokens)
        logger.debug("OAuth: stored an access token that lives %.0f s", tokens.expires_at - self.store.clock())
        self._listener(TokensStored(form["grant_type"]))
        return tokens

    async def _asked(self, form: Mapping[str, str]) -> Any:
        body = {
            "client_id": self._client_id,
            "client_secret": self._client_secret.get_secret_value(),
            "redirect_uri": self._redirect_uri,
            **form,
        }
        try:
            response = await self._http.post(self._base_url + TOKEN_PATH, json=body)
        except httpx.RequestError as error:
            raise failure_of_exception("POST", TOKEN_PATH, error) from None
        try:
            return answer_of("POST", TOKEN_PATH, response)
        except AmoCRMAPIError as error:
            raise _explained(error) from None

    def _tokens_of(self, answer: Any) -> Tokens:
        try:
            granted = _Granted.model_validate(answer)
        except ValidationError:
            what = "amoCRM granted something that is no pair of tokens"
            raise AmoCRMAPIError(what, where=f"POST {TOKEN_PATH}", do="check AMOCRM_BASE_URL") from None
        now = self.store.clock()
        return Tokens(
            access_token=granted.access_token.get_secret_value(),
            refresh_token=granted.refresh_token.get_secret_value(),
            issued_at=now,
            expires_at=now + granted.expires_in,
            host=self.host,
        )

    def _check_account(self, referer: str | None) -> None:
        if not referer or not self.host.endswith(_HOSTS):
            return
        named = urlsplit(referer if "//" in referer else f"//{referer}").hostname
        if named != self.host:
            what = "the login was for another account than the one leadsync.yaml names; nothing was stored"
            raise AuthorizationRequired(what, do=f"{LOGIN} and choose {self.host}")


async def _finished(work: Coroutine[Any, Any, Tokens]) -> Tokens:
    """What the work gives; a caller that is cancelled meanwhile stays until it is done, and holds its lock so long.

    To leave earlier would let the HTTP client close, or somebody else spend the same refresh token, before the save.
    """
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])  # unlike `await task`, this does not pass a cancellation on
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    if not task.cancelled() and (failure := task.exception()) is not None:
        logger.warning("OAuth: no tokens for a caller that is gone: %s", type(failure).__name__)
    raise cancelled


def _explained(error: AmoCRMAPIError) -> LeadsyncError:
    """The same error with what to do for the hint inside; settings are wrong, or somebody must log in again."""
    for hint, do in _SETTINGS.items():
        if error.status in (400, 401) and hint in error.what:
            return ConfigurationError(error.what, where=error.where, do=do)
    for hint, do in _LOGINS.items():
        if error.status == 400 and hint in error.what:
            return AuthorizationRequired(error.what, status=400, where=error.where, do=do)
    if error.status == 401:
        logger.error("OAuth: %s", error.what)
        return AuthorizationRequired(error.what, status=401, where=error.where, do=LOGIN)
    return error
