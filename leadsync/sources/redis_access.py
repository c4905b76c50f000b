"""Redis as a source uses it: the project's or one of its own, and what its failures mean for a person."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.exceptions import RedisError

from leadsync.errors import ConfigurationError, StateUnavailable
from leadsync.state.cancelled import hear_cancels


def open_own(url: str, name: str) -> Redis:
    """The Redis of the option `url` of a source. Raises ConfigurationError."""
    try:
        if urlsplit(url).scheme not in ("redis", "rediss", "unix"):
            raise ValueError
        redis = Redis.from_url(url, decode_responses=False)
    except (ValueError, TypeError):
        raise ConfigurationError(  # without the URL, which may hold a password
            f"the `url` of the source {name} is no Redis URL",
            where=f"sources.{name}.url",
            do="write redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://… for TLS, or unix:///PATH.sock",
        ) from None
    hear_cancels(redis.connection_pool)
    return redis


@contextmanager
def source_errors(name: str, rights: str) -> Iterator[None]:
    """Turn what Redis commands raise into StateUnavailable; `rights` is what the user must be allowed to do."""
    try:
        yield
    except (RedisError, OSError) as error:
        what = f"the Redis of the source {name} does not answer as it should: {type(error).__name__}"
        do = f"see that it runs, can be reached from here, and lets this user {rights}"
        raise StateUnavailable(what, where=f"sources.{name}", do=do) from error
