"""What a project needs to run: its Redis, its account (or the sandbox in its place), and who may speak to it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
from pydantic import SecretStr
from redis.asyncio import Redis

from leadsync.amocrm import AmoCRMClient
from leadsync.amocrm.authorization import LongLivedToken, StoredTokens
from leadsync.amocrm.ban import Ban
from leadsync.amocrm.budget import Budget
from leadsync.amocrm.oauth import OAuthClient
from leadsync.amocrm.retry import RetryPolicy
from leadsync.amocrm.shared_budget import SharedBudget
from leadsync.amocrm.tokens import LoginStates, TokenStore
from leadsync.amocrm.wire import Timeouts, open_http
from leadsync.config.loader import Project
from leadsync.config.models import SANDBOX
from leadsync.errors import ConfigurationError
from leadsync.events import Listener
from leadsync.sealing import Seal, seal_of
from leadsync.servers import Health, SharedServer, private_folder
from leadsync.state.journal import Journal
from leadsync.state.namespace import Namespace, claim_version
from leadsync.state.redis import EMBEDDED, open_redis
from leadsync.state.refused import RefusedRecords

WWW = {
    "amocrm.ru": "https://www.amocrm.ru",
    "amocrm.com": "https://www.amocrm.com",
    "kommo.com": "https://www.kommo.com",
}
"""Where people log in: one page for all accounts, not the account's own host (amoCRM docs: oauth/step-by-step)."""


class Listeners:
    """Hands every event on to whoever listens now; listeners come and go while connections stay."""

    def __init__(self, first: Listener) -> None:
        self._all: list[Listener] = [first]

    def __call__(self, event: Any) -> None:
        for listener in tuple(self._all):
            listener(event)

    def add(self, listener: Listener) -> None:
        """Let one more hear."""
        self._all.append(listener)

    def remove(self, listener: Listener) -> None:
        """Let one hear no more."""
        self._all.remove(listener)


@dataclass(frozen=True, slots=True)
class Account:
    """Where the account is. `name` is its host, under which we remember things; `www_url` is where people log in.

    `token` is a long-lived token, when there is one.
    """

    name: str
    base_url: str
    www_url: str
    token: SecretStr | None


@dataclass(frozen=True, slots=True)
class Connections:
    """Everything open that a command needs; `client` and `oauth` share one budget."""

    project: Project
    redis: Redis
    names: Namespace
    account: Account
    client: AmoCRMClient
    listeners: Listeners
    seal: Seal
    oauth: OAuthClient | None = field(default=None)
    states: LoginStates | None = field(default=None)

    @property
    def place(self) -> str:
        """Where Redis is, without its password."""
        if self.project.file.redis.url == EMBEDDED:
            return "the project's own, its data in .leadsync/"
        options = self.redis.connection_pool.connection_kwargs
        return str(options["path"]) if "path" in options else f"{options.get('host')}:{options.get('port')}"

    async def check_seal(self) -> None:
        """Look whether what is sealed can be opened, before it matters. Raises ConfigurationError, StateUnavailable."""
        if self.oauth is not None:
            await self.tokens.load()
        await self.refused.check()
        await self.journal.entries()

    @property
    def refused(self) -> RefusedRecords:
        """The records that were refused."""
        return RefusedRecords(self.redis, self.names, self.seal, self.project.file.redis.keep_refused)

    @property
    def journal(self) -> Journal:
        """The batches that are on the wire, or were."""
        return Journal(self.redis, self.names, self.seal)

    @property
    def tokens(self) -> TokenStore:
        """Where the tokens of an integration lie."""
        return TokenStore(self.redis, self.names.prefix, seal=self.seal)


@asynccontextmanager
async def connect(
    project: Project,
    listener: Listener,
    *,
    retry: RetryPolicy | None = None,
    timeouts: Timeouts | None = None,
    ban: Ban | None = None,
) -> AsyncIterator[Connections]:
    """Open what the project needs; the CRM is not asked yet.

    Raises ConfigurationError, StateUnavailable, StateTooNew.
    """
    listeners = Listeners(listener)
    async with AsyncExitStack() as stack:
        redis = (await stack.enter_async_context(await open_redis(project.file.redis.url, project.folder))).client
        account = await _account(project, stack)
        names = Namespace(account.name)
        await claim_version(redis, names)
        seal = seal_of(project.settings.leadsync_secret_key)
        budget = SharedBudget(redis, names.prefix, project.file.amocrm.requests_per_second)
        store = TokenStore(redis, names.prefix, seal=seal)
        oauth = await _oauth(project, account, store, budget, listeners, stack)
        auth = LongLivedToken(account.token) if account.token else StoredTokens(oauth) if oauth else _NoLogin()
        client = AmoCRMClient(
            account.base_url,
            auth,
            budget=budget,
            listener=listeners,
            retry=retry,
            timeouts=timeouts or Timeouts(),
            ban=ban,
        )
        await stack.enter_async_context(client)
        states = LoginStates(redis, names.prefix)
        yield Connections(project, redis, names, account, client, listeners, seal, oauth, states)


async def _account(project: Project, stack: AsyncExitStack) -> Account:
    section, settings = project.file.amocrm, project.settings
    if section.subdomain == SANDBOX and not settings.amocrm_base_url:
        return await _sandbox(project.folder, section.requests_per_second, stack)
    host = f"{section.subdomain}.{section.domain}"
    base_url = settings.amocrm_base_url or f"https://{host}"
    # A person logs in where the base URL leads, when that is a server of one's own.
    www_url = settings.amocrm_base_url or WWW[section.domain]
    return Account(host, base_url.rstrip("/"), www_url.rstrip("/"), settings.amocrm_access_token)


async def _sandbox(folder: Path, rate: float, stack: AsyncExitStack) -> Account:
    """Start the project's sandbox, or join the one another process of the project has started."""
    home = private_folder(folder)
    address = home / "sandbox.json"

    def command() -> list[str]:
        data = str(home / "sandbox.db")
        return [sys.executable, "-m", "leadsync.sandbox", "--data", data, "--address-file", str(address)]

    async def probe() -> Health:
        try:
            url = orjson.loads(address.read_bytes())["url"]
            async with httpx.AsyncClient(trust_env=False, timeout=2.0) as http:
                answer = await http.get(f"{url}/_sandbox/switches")
        except (OSError, ValueError, KeyError, httpx.HTTPError):
            return Health.SILENT
        return Health.READY if answer.status_code == 200 else Health.SILENT

    server = SharedServer(
        folder=home,
        name="sandbox",
        command=command,
        probe=probe,
        leftovers=lambda: [address],
        instead="set AMOCRM_SUBDOMAIN to an account of yours",
    )
    await stack.enter_async_context(server)
    found = orjson.loads(address.read_bytes())
    return Account("sandbox", found["url"], found["url"], SecretStr(found["token"]))


async def _oauth(
    project: Project,
    account: Account,
    store: TokenStore,
    budget: Budget,
    listener: Listener,
    stack: AsyncExitStack,
) -> OAuthClient | None:
    settings = project.settings
    if not (settings.amocrm_client_id and settings.amocrm_client_secret and settings.amocrm_redirect_uri):
        return None
    http = open_http(account.base_url, budget=budget, listener=listener, timeouts=Timeouts())
    await stack.enter_async_context(http)
    return OAuthClient(
        client_id=settings.amocrm_client_id,
        client_secret=settings.amocrm_client_secret,
        redirect_uri=settings.amocrm_redirect_uri,
        base_url=account.base_url,
        www_url=account.www_url,
        http=http,
        store=store,
        listener=listener,
    )


class _NoLogin(httpx.Auth):
    """Stands where neither a token nor an integration is set: says so at the first request."""

    async def async_auth_flow(self, request: httpx.Request) -> Any:
        raise ConfigurationError(
            "nothing tells leadsync how to log in to amoCRM",
            where="the environment or .env",
            do="set AMOCRM_ACCESS_TOKEN, or AMOCRM_CLIENT_ID, AMOCRM_CLIENT_SECRET and AMOCRM_REDIRECT_URI",
        )
        yield request  # pragma: no cover
