"""What the failures of Redis mean for a person, where the CRM's own keys lie in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import ConnectionError, LockError, RedisError, TimeoutError

from leadsync.errors import StateUnavailable


@contextmanager
def redis_answers(where: str) -> Iterator[None]:
    """`with redis_answers("the token store"):` turns what Redis commands raise into StateUnavailable.

    Redis's own words are not in it: they may quote a command's values. A lock's failures pass.
    """
    try:
        yield
    except LockError:
        raise
    except RedisError as error:
        raise StateUnavailable(_what(error), where=where, do="start Redis or correct REDIS_URL") from None


def _what(error: RedisError) -> str:
    if isinstance(error, TimeoutError):
        return "Redis did not answer in time"
    if isinstance(error, ConnectionError):
        return "Redis cannot be reached"
    return f"Redis does not answer as it should ({type(error).__name__})"
