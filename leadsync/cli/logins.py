"""How a project logs in to amoCRM, and how long that still lasts."""

from __future__ import annotations

import time
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import click
import orjson
from pydantic import SecretStr

from leadsync.amocrm.oauth import LOGIN
from leadsync.config.loader import Project
from leadsync.config.models import SANDBOX
from leadsync.errors import AuthorizationRequired, ConfigurationError
from leadsync.project import Connections

INTEGRATION = ("AMOCRM_CLIENT_ID", "AMOCRM_CLIENT_SECRET", "AMOCRM_REDIRECT_URI")
"""What a login by OAuth takes from the environment."""

DAY = 86_400


class Way(StrEnum):
    """How the access to the account is had."""

    SANDBOX = "sandbox"
    TOKEN = "token"
    INTEGRATION = "integration"
    NONE = "none"


WORDS = {
    Way.SANDBOX: "the built-in sandbox: no login is needed",
    Way.TOKEN: "a long-lived token (AMOCRM_ACCESS_TOKEN)",
    Way.INTEGRATION: "an integration (OAuth)",
    Way.NONE: "nothing is set",
}


@dataclass(frozen=True, slots=True)
class Login:
    """A login as it is now. Times are Unix seconds; None for a token that is not there, or does not say its end."""

    way: Way
    account: str
    access_until: float | None = None
    refresh_until: float | None = None

    def is_needed(self, now: float) -> bool:
        """Whether somebody has to log in, or to make a new long-lived token, before anything can be done."""
        if self.way is Way.INTEGRATION:
            return self.access_until is None and self.refresh_until is None
        return self.way is Way.TOKEN and self.access_until is not None and self.access_until <= now

    @property
    def ends_at(self) -> float | None:
        """When a person has to act again if nothing is run until then; None when that is not known."""
        if self.way is Way.INTEGRATION:
            return self.refresh_until or self.access_until
        return self.access_until


def way_of(project: Project) -> Way:
    """How this project logs in; a long-lived token goes before an integration."""
    settings = project.settings
    if project.file.amocrm.subdomain == SANDBOX and not settings.amocrm_base_url:
        return Way.SANDBOX
    if settings.amocrm_access_token:
        return Way.TOKEN
    return Way.NONE if missing_settings(project) else Way.INTEGRATION


def missing_settings(project: Project) -> list[str]:
    """Which of the integration's three variables are not set."""
    return [name for name in INTEGRATION if not getattr(project.settings, name.lower())]


def nothing_set(project: Project) -> ConfigurationError:
    """The error for a project that is told no way to log in, or half of one."""
    missing = missing_settings(project)
    some = len(missing) < len(INTEGRATION)
    return ConfigurationError(
        "the integration is set only in part" if some else "nothing tells leadsync how to log in to amoCRM",
        where="the environment or .env",
        do=f"set {', '.join(missing)}" + ("" if some else "; or AMOCRM_ACCESS_TOKEN, a long-lived token"),
    )


def account_name(project: Project) -> str:
    """The account's host, or `sandbox`."""
    section = project.file.amocrm
    return SANDBOX if way_of(project) is Way.SANDBOX else f"{section.subdomain}.{section.domain}"


def login_without_tokens(project: Project) -> Login:
    """The login as far as it is known without Redis."""
    way, token = way_of(project), project.settings.amocrm_access_token
    return Login(way, account_name(project), _end_of(token) if way is Way.TOKEN and token else None)


async def login_of(connections: Connections) -> Login:
    """The login with what Redis holds of it; amoCRM is not asked. Raises StateUnavailable."""
    known = login_without_tokens(connections.project)
    if known.way is not Way.INTEGRATION or connections.oauth is None:
        return known
    oauth = connections.oauth
    tokens = await oauth.store.load()
    if tokens is None or tokens.host != oauth.host:
        return known
    left = await connections.redis.ttl(connections.names.name("token", "refresh"))
    access = tokens.expires_at if tokens.access_token else None
    return Login(known.way, known.account, access, time.time() + left if tokens.refresh_token and left > 0 else None)


def verdict(project: Project, found: Login, now: float) -> int:
    """The exit code for a login, with what to do on stderr. Raises ConfigurationError where no way to log in is set."""
    if found.way is Way.NONE:
        raise nothing_set(project)
    if not found.is_needed(now):
        return 0
    if found.way is Way.TOKEN:
        do = "the long-lived token has ended: make a new one in the integration's card, for AMOCRM_ACCESS_TOKEN"
    else:
        do = f"nobody has logged in, or three months ago: {LOGIN}"
    click.echo(do, err=True)
    return AuthorizationRequired.exit_code


def _end_of(token: SecretStr) -> float | None:
    """When a long-lived token says that it ends (`exp` of a JWT, amocrm-api.md §1.2), None when it does not say."""
    with suppress(ValueError, IndexError):
        payload = token.get_secret_value().split(".")[1]
        claims: Any = orjson.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        if isinstance(claims, dict) and isinstance(claims.get("exp"), int | float):
            return float(claims["exp"])
    return None


def until(moment: float, now: float) -> str:
    """`until 2026-11-02 10:00, 23 h 59 min left`, in the time of this machine."""
    if moment <= now:
        return f"ended on {_local(moment)}"
    return f"until {_local(moment)}, {span(moment - now)} left"


def _local(moment: float) -> str:
    return datetime.fromtimestamp(moment, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def span(seconds: float) -> str:
    """A length of time for people: `89 days`, `23 h 59 min`, `10 min`, `45 s`."""
    whole = int(seconds)
    if whole >= 2 * DAY:
        return f"{whole // DAY} days"
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{whole} s"


def login_lines(login: Login, now: float) -> Iterator[str]:
    """The login for people; never a token's value."""
    yield f"account        {login.account}"
    yield f"login          {WORDS[login.way]}"
    if login.way is Way.TOKEN:
        yield f"access token   {until(login.access_until, now) if login.access_until else 'does not say when it ends'}"
    if login.way is Way.INTEGRATION and not login.is_needed(now):
        yield f"access token   {until(login.access_until, now) if login.access_until else _renewable(login)}"
        yield f"refresh token  {until(login.refresh_until, now) if login.refresh_until else 'none'}"


def _renewable(login: Login) -> str:
    return "ended; the next command that asks amoCRM renews it" if login.refresh_until else "none"


def login_json(login: Login, now: float) -> dict[str, Any]:
    """The login as plain data; times as ISO 8601 in UTC."""
    return {
        "format_version": 1,
        "account": login.account,
        "way": login.way.value,
        "authorization_needed": login.way is Way.NONE or login.is_needed(now),
        "access_until": _iso(login.access_until),
        "refresh_until": _iso(login.refresh_until),
    }


def _iso(moment: float | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(int(moment), tz=UTC).isoformat()
