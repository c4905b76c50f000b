"""Where the access token of a request comes from: the stored pair, renewed in time, or one long-lived token."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator

import httpx
from pydantic import SecretStr

from leadsync.amocrm.oauth import OAuthClient
from leadsync.amocrm.tokens import Tokens
from leadsync.errors import AmoCRMAPIError, AuthorizationRequired

logger = logging.getLogger("leadsync.amocrm")

RENEW_BEFORE = 3600.0
"""Seconds before its end at which an access token is renewed."""

TRY_AGAIN_AFTER = 60.0
"""Seconds until the next try when a renewal ahead of time failed and the token still works."""


class StoredTokens(httpx.Auth):
    """Authorisation by the stored pair.

    Redis is asked once per life of a token: the copy in memory serves until an hour before its end. A 401 drops the
    access token (never the refresh token), renews once and sends the request once more.
    """

    def __init__(self, oauth: OAuthClient) -> None:
        self._oauth = oauth
        self._clock = oauth.store.clock
        self._tokens: Tokens | None = None
        self._renew_at = 0.0
        self._one_at_a_time = asyncio.Lock()

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send with a token; after a 401 renew it and send once more."""
        token = await self.token()
        response = yield _bearing(request, token)
        if response.status_code != 401:
            return
        logger.warning("OAuth: amoCRM refused the access token, renewing it")
        yield _bearing(request, await self._replaced(token))

    async def token(self) -> str:
        """A living access token. Raises AuthorizationRequired when there is none and none can be had."""
        if (token := self._fresh()) is not None:
            return token
        async with self._one_at_a_time:
            if (token := self._fresh()) is not None:
                return token
            self._keep(await self._stored())
            if (token := self._fresh()) is not None:
                return token
            return await self._renewed_early()

    def _fresh(self) -> str | None:
        if self._tokens is not None and self._clock() < self._renew_at:
            return self._tokens.access_token
        return None

    async def _stored(self) -> Tokens | None:
        stored = await self._oauth.store.load()
        return stored if stored is not None and stored.host == self._oauth.host else None

    def _keep(self, tokens: Tokens | None) -> None:
        self._tokens = tokens if tokens is not None and tokens.access_token else None
        if self._tokens is not None:
            # A token that was given less than two hours is used for half of them.
            life = self._tokens.expires_at - self._tokens.issued_at
            self._renew_at = self._tokens.expires_at - min(RENEW_BEFORE, life / 2)

    async def _renewed_early(self) -> str:
        """Renew, and live with the old token for a while when amoCRM cannot be reached just now."""
        old = self._tokens
        if old is not None:
            logger.warning("OAuth: the access token ends in %.0f s, renewing it", old.expires_at - self._clock())
        try:
            self._keep(await self._oauth.renew(None if old is None else old.access_token))
        except AuthorizationRequired:
            self._tokens = None
            raise
        except AmoCRMAPIError as error:
            if old is None or old.access_token is None or old.expires_at <= self._clock():
                raise
            logger.warning("OAuth: no renewal now (%s), the old token still works", type(error).__name__)
            self._renew_at = min(self._clock() + TRY_AGAIN_AFTER, old.expires_at)
            return old.access_token
        return self._held()

    async def _replaced(self, refused: str) -> str:
        async with self._one_at_a_time:
            if self._tokens is not None and self._tokens.access_token != refused:
                return self._held()
            self._tokens = None
            self._keep(await self._oauth.renew(refused, rejected=True))
            return self._held()

    def _held(self) -> str:
        if self._tokens is None or self._tokens.access_token is None:
            raise AuthorizationRequired("the store holds no access token", do="run `leadsync auth login`")
        return self._tokens.access_token


class LongLivedToken(httpx.Auth):
    """Authorisation by a token from the integration's card (1 day to 5 years, never renewed; Kommo docs)."""

    def __init__(self, token: SecretStr | str) -> None:
        self._token = token if isinstance(token, SecretStr) else SecretStr(token)

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send with the token; what amoCRM answers is the answer."""
        yield _bearing(request, self._token.get_secret_value())


def _bearing(request: httpx.Request, token: str) -> httpx.Request:
    request.headers["Authorization"] = f"Bearer {token}"
    return request
