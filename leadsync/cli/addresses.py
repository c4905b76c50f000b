"""Addresses on which a command listens, as people type them."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from pydantic import SecretStr

from leadsync.errors import ConfigurationError
from leadsync.settings import is_loopback


class Address(NamedTuple):
    """Where to listen; port 0 takes a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def address_of(text: str) -> Address:
    """The address of `PORT` or `HOST:PORT`; without a host, this machine only. Raises ValueError."""
    parts = urlsplit(f"//{text if ':' in text else f'127.0.0.1:{text}'}")
    if not parts.hostname or parts.port is None or parts.path or parts.username is not None:
        raise ValueError
    return Address(parts.hostname, parts.port)


def check_address(address: Address, key: SecretStr | None) -> None:
    """Without the API key nobody elsewhere is answered. Raises ConfigurationError."""
    if key is None and not is_loopback(address.host):
        raise ConfigurationError(
            "without LEADSYNC_API_KEY metrics are shown on loopback only",
            where=f"--metrics {address}",
            do="set LEADSYNC_API_KEY in the environment or .env, and give it to Prometheus as `authorization`",
        )
