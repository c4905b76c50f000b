"""The names of our keys in Redis: one prefix per account, with a hash tag, so that a cluster keeps them together."""

from __future__ import annotations

from dataclasses import dataclass

from redis.asyncio import Redis

from leadsync.errors import StateTooNew
from leadsync.state.redis import state_errors

VERSION = 1
"""The layout of what we remember; a newer leadsync upgrades an older layout, an older one refuses a newer."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """Names under `leadsync:{account}:`; `account` is the account's host (`example.amocrm.ru`)."""

    account: str

    @property
    def prefix(self) -> str:
        """What every name begins with."""
        return f"leadsync:{{{self.account}}}:"

    def name(self, *parts: str | int) -> str:
        """One key's full name."""
        return self.prefix + ":".join(map(str, parts))


async def claim_version(redis: Redis, names: Namespace) -> None:
    """Write our version where there is none. Raises StateTooNew when a newer leadsync was here."""
    name = names.name("version")
    async with state_errors():
        await redis.set(name, VERSION, nx=True)
        found = int(await redis.get(name) or VERSION)
    if found > VERSION:
        raise StateTooNew(
            f"what Redis remembers about {names.account} has version {found}, this leadsync knows {VERSION}",
            do="upgrade leadsync, or give this one another Redis",
        )
