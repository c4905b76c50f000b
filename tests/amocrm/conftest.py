"""What the client's tests share: a sandbox on a socket, a clock that is moved by hand, quick retries, heard events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from leadsync.amocrm import (
    AmoCRMClient,
    LongLivedToken,
    NoBudget,
    OAuthClient,
    RetryPolicy,
    StoredTokens,
    Timeouts,
    TokenStore,
    open_http,
)
from leadsync.events import Event
from leadsync.sandbox import Sandbox
from leadsync.sandbox.starter import ADMIN_ID

QUICK = RetryPolicy(attempts=4, first_wait=0.001, longest_wait=0.01, jitter=0.001, longest_retry_after=5)
PREFIX = "leadsync:{test}:"
ACCESS, REFRESH = f"{PREFIX}token:access", f"{PREFIX}token:refresh"
API_CALL = "/api/v4/account"


class HandClock:
    """Unix seconds that only move when told to."""

    def __init__(self) -> None:
        self.now = 1_750_000_000.0

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@pytest.fixture
def clock() -> HandClock:
    """The time of sandbox and token store alike."""
    return HandClock()


@pytest.fixture
async def sandbox(clock: HandClock) -> AsyncIterator[Sandbox]:
    """An empty account without a limit on requests."""
    async with Sandbox(rate=0, clock=clock) as running:
        yield running


@pytest.fixture
def heard() -> list[Event]:
    """The events of the clients of this test, in order."""
    return []


Connect = Callable[..., AmoCRMClient]


@pytest.fixture
async def connect(sandbox: Sandbox, heard: list[Event]) -> AsyncIterator[Connect]:
    """Makes clients of the sandbox, with a long-lived token unless told otherwise; they close with the test."""
    async with AsyncExitStack() as clients:

        def made(auth: httpx.Auth | None = None, **options: object) -> AmoCRMClient:
            settings = {"budget": NoBudget(), "retry": QUICK, "listener": heard.append, **options}
            client = AmoCRMClient(sandbox.url, auth or LongLivedToken(sandbox.long_lived_token()), **settings)  # type: ignore[arg-type]
            clients.push_async_callback(client.aclose)
            return client

        yield made


@pytest.fixture
def amocrm(connect: Connect) -> AmoCRMClient:
    """A client of the sandbox."""
    return connect()


@dataclass(slots=True)
class Login:
    """The integration of the sandbox's account and where its tokens lie."""

    sandbox: Sandbox
    oauth: OAuthClient
    store: TokenStore
    redis: Redis

    async def log_in(self) -> StoredTokens:
        """What a person does once; the authorisation that follows from it."""
        await self.oauth.exchange(self.sandbox.oauth.code(ADMIN_ID))
        return StoredTokens(self.oauth)

    def renewals(self) -> int:
        """How many requests the token endpoint got."""
        return len(self.sandbox.requests.of("POST", "/oauth2/access_token"))

    def calls(self) -> list[int | None]:
        """The statuses of the API's answers to `GET /account`."""
        return [entry.status for entry in self.sandbox.requests.of("GET", API_CALL)]


def integration(sandbox: Sandbox, http: httpx.AsyncClient, store: TokenStore, **changes: object) -> OAuthClient:
    """The integration the sandbox knows, with single settings changed."""
    settings = {
        "client_id": sandbox.oauth.client_id,
        "client_secret": SecretStr(sandbox.oauth.client_secret),
        "redirect_uri": sandbox.oauth.redirect_uri,
        "base_url": sandbox.url,
        "www_url": sandbox.url,
        "http": http,
        "store": store,
        "retry": QUICK,
        **changes,
    }
    return OAuthClient(**settings)  # type: ignore[arg-type]


@pytest.fixture
async def http(sandbox: Sandbox, heard: list[Event]) -> AsyncIterator[httpx.AsyncClient]:
    """What renewals go through."""
    async with open_http(sandbox.url, budget=NoBudget(), listener=heard.append, timeouts=Timeouts()) as client:
        yield client


@pytest.fixture
def login(sandbox: Sandbox, http: httpx.AsyncClient, redis: Redis, clock: HandClock, heard: list[Event]) -> Login:
    """A registered integration nobody has logged in to yet."""
    store = TokenStore(redis, PREFIX, clock=clock)
    return Login(sandbox, integration(sandbox, http, store, listener=heard.append), store, redis)
