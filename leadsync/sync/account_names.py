"""Account names: the catalogue as fresh as it has to be, kept between runs and read anew when something is missing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from redis.asyncio import Redis

from leadsync.amocrm import AmoCRMClient
from leadsync.amocrm.catalogue import Catalogue, NameNotFound, load
from leadsync.amocrm.field_values import OptionNotFound
from leadsync.errors import ItemRefusal, RecordError
from leadsync.state.kept_catalogue import drop_catalogue, keep_catalogue, load_catalogue
from leadsync.state.namespace import Namespace

PAUSE = 60.0
"""Seconds between two times that a living process reads the account anew: a wrong name in every record costs six
requests a minute, not six a record."""

NAMING_PATHS = frozenset({"custom_fields_values", "status_id", "pipeline_id", "responsible_user_id"})
"""The first step of the paths inside an item that amoCRM refuses when the account has changed under us."""


class AccountNames:
    """The account's catalogue. `catalogue` stays the same object for ever: whoever holds it sees what is read anew."""

    def __init__(
        self,
        client: AmoCRMClient,
        redis: Redis,
        names: Namespace,
        catalogue: Catalogue,
        *,
        is_kept: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`is_kept`: the catalogue was kept by an earlier run, so the account may have changed since."""
        self.catalogue = catalogue
        self.is_kept = is_kept
        self.readings = 0
        self._client = client
        self._redis = redis
        self._names = names
        self._clock = clock
        self._last = -PAUSE
        self._turn = asyncio.Lock()
        self._doubted = False

    @classmethod
    async def open(
        cls, client: AmoCRMClient, redis: Redis, names: Namespace, *, clock: Callable[[], float] = time.monotonic
    ) -> AccountNames:
        """The catalogue kept less than an hour ago, else the account's own. Raises AmoCRMAPIError, StateUnavailable."""
        kept = _readable(await load_catalogue(redis, names))
        catalogue = kept if kept is not None else await read_catalogue(client, redis, names)
        return cls(client, redis, names, catalogue, is_kept=kept is not None, clock=clock)

    async def renew(self, since: int) -> bool:
        """Read the account anew, unless that was done within the last minute; whether more is known than at `since`.

        `since` is what `readings` was when something was not found. Raises AmoCRMAPIError, StateUnavailable.
        """
        async with self._turn:
            if self.readings > since:
                return True
            now = self._clock()
            if now - self._last < PAUSE:
                return False
            self._last = now
            self.catalogue.become(await read_catalogue(self._client, self._redis, self._names))
            self.readings += 1
            self.is_kept = self._doubted = False
            return True

    async def doubt(self) -> None:
        """Forget what is kept: amoCRM refused something by a name we believed in. Raises StateUnavailable."""
        self._doubted = True
        await drop_catalogue(self._redis, self._names)

    async def settle(self) -> None:
        """Read the account anew when it is doubted. Raises AmoCRMAPIError, StateUnavailable."""
        if self._doubted:
            await self.renew(self.readings)


async def read_catalogue(client: AmoCRMClient, redis: Redis, names: Namespace) -> Catalogue:
    """Ask the account (six requests), and keep the answer. Raises AmoCRMAPIError, StateUnavailable."""
    catalogue = await load(client)
    await keep_catalogue(redis, names, catalogue.to_json())
    return catalogue


def _readable(kept: bytes | None) -> Catalogue | None:
    try:
        return None if kept is None else Catalogue.from_json(kept)
    except ValueError:
        return None


def misses_a_name(error: RecordError) -> bool:
    """Whether a record was refused because the account is not known to have what it names."""
    return isinstance(error, OptionNotFound) or isinstance(error.__cause__, NameNotFound)


def blames_a_name(answer: Iterable[ItemRefusal]) -> bool:
    """Whether amoCRM refused an item for a field, a stage or a user that we took from the catalogue."""
    return any(one.path.partition(".")[0] in NAMING_PATHS for one in answer)
