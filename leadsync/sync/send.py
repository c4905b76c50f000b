"""Send: batches on the wire. Written down before, healed after: one bad item does not take the others with it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from redis.asyncio import Redis

from leadsync.amocrm import AmoCRMClient
from leadsync.amocrm.catalogue import Catalogue
from leadsync.errors import (
    AmoCRMAPIError,
    AmoCRMBanned,
    AmoCRMForbidden,
    AmoCRMRateLimitError,
    AmoCRMUnavailable,
    AmoCRMUnknownOutcome,
    AmoCRMValidationError,
    AuthorizationRequired,
    Remedy,
)
from leadsync.state.claims import Claims
from leadsync.state.journal import Entry, Journal, JournalItem
from leadsync.state.marks import load_mark, raise_mark
from leadsync.state.namespace import Namespace
from leadsync.sync.batch_sizes import BatchSizes
from leadsync.sync.changes import Route
from leadsync.sync.flow import Signals, batch_end
from leadsync.sync.not_accepted import NotAccepted
from leadsync.sync.recover import Recovery, close_accepted, listed_of
from leadsync.tasks import end_tasks

GRACE = 5.0
"""Seconds that a batch which is under way is given when its run is broken off."""

MAX_LOST = 5
"""How often an item may be sent, looked for and not found before it is given up for this run."""

NOTHING_WRITTEN = (AmoCRMRateLimitError, AmoCRMUnavailable, AuthorizationRequired, AmoCRMBanned)
"""Errors after which the batch is surely not in the CRM, and which the next batch would meet too: the run stops."""

MARK_LIFE = 3600.0
"""Seconds after which the newest id is asked for again: from an old one a recovery would read back for long."""

MOST_FORBIDDEN = 3
"""Single items of one route in a row that amoCRM may forbid before the run stops."""

OF_THE_ACCOUNT = frozenset({301, 302, 303, 307, 308, 402})
"""Answers that refuse whatever is sent: a wrong address, an account that is not paid. They stop the run too."""


MULTITEXT = {"PHONE": "phone", "EMAIL": "email"}

Result = TypeVar("Result")


@dataclass(slots=True)
class Sent:
    """What became of some items, by request_id."""

    ids: dict[str, int] = field(default_factory=dict)
    refused: dict[str, NotAccepted] = field(default_factory=dict)


@dataclass(slots=True)
class _Sending:
    """One call of `send`: what is left to send, what became of the rest, and how often an item was lost."""

    queue: deque[Sequence[JournalItem]]
    signals: Signals
    sent: Sent = field(default_factory=Sent)
    lost: Counter[str] = field(default_factory=Counter)


class Sender:
    """Sends items of one route in batches and remembers what was accepted."""

    def __init__(
        self,
        client: AmoCRMClient,
        redis: Redis,
        names: Namespace,
        claims: Claims,
        journal: Journal,
        recovery: Recovery,
        catalogue: Catalogue,
        sizes: BatchSizes,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._redis = redis
        self._names = names
        self._claims = claims
        self._journal = journal
        self._recovery = recovery
        self._catalogue = catalogue
        self._sizes = sizes
        self._forbidden = Counter[Route]()
        self._clock = clock

    async def prepare(self, route: Route, signals: Signals) -> None:
        """Ask what `send` will need to know of the account while the first batch is under way. Raises what it does."""
        await signals.began.wait()
        if not signals.stop.is_set():
            await self._mark(route, signals)

    async def send(self, route: Route, items: Sequence[JournalItem], signals: Signals, *, more: bool) -> Sent:
        """Send a batch, behind which there are `more`, until each item is accepted or refused.

        Raises what stops a run (NOTHING_WRITTEN, StateUnavailable); a batch whose outcome could not be found out stays
        in the journal. Once somebody says `stop`, or it is cancelled, no other batch begins; what is under way when it
        is cancelled has GRACE to end.
        """
        sending = _Sending(deque([items] if items else []), signals)
        while sending.queue and not signals.stop.is_set():
            batch, rest = cut(sending.queue.popleft(), self._sizes.of(route))
            if rest:
                sending.queue.appendleft(rest)
            again = await unbroken(self._batch(route, batch, sending, more=more or bool(rest)))
            sending.queue.extendleft(reversed(again))
        return sending.sent

    async def _batch(
        self, route: Route, batch: Sequence[JournalItem], sending: _Sending, *, more: bool
    ) -> list[Sequence[JournalItem]]:
        """Write one batch down and send it; what is returned has to be sent (again)."""
        mark = await self._mark(route, sending.signals)
        await self._claims.check()
        if sending.signals.stop.is_set():
            return [batch]
        entry = await self._journal.open(self._claims.owner, route, mark, self._clock(), batch)
        sending.signals.began.set()
        with self._recovery.sending(entry):
            return await self._exchange(route, entry, sending, more=more)

    async def _exchange(
        self, route: Route, entry: Entry, sending: _Sending, *, more: bool
    ) -> list[Sequence[JournalItem]]:
        """Send a batch that is written down, behind which there are `more`; what is returned has to be sent (again)."""
        sent, batch = sending.sent, entry.items
        try:
            ids, gone = await self._call(route, batch)
        except AmoCRMValidationError as error:
            await self._journal.close(entry)
            return self._without_named(route, batch, error, sent)
        except AmoCRMUnknownOutcome as error:
            if error.status in (504, None):
                await self._sizes.too_large(route, len(batch), answered=error.status is not None)
            found = await self._recovery.settle_entry(entry)
            sent.ids |= found
            return self._lost(batch, found, error, sent, sending.lost)
        except AmoCRMAPIError as error:
            await self._journal.close(entry)
            if isinstance(error, NOTHING_WRITTEN) or error.status in OF_THE_ACCOUNT:
                raise
            return self._apart(route, batch, error, sent)
        await close_accepted(self._journal, entry, ids)
        await self._sizes.went(route, len(batch), more=more)
        self._forbidden[route] = 0
        sent.ids |= ids
        for item in batch:
            if item.request_id in gone:
                sent.refused[item.request_id] = NotAccepted(item, gone[item.request_id], Remedy.FIX_RECORD)
        return []

    async def _call(self, route: Route, batch: Sequence[JournalItem]) -> tuple[dict[str, int], dict[str, str]]:
        """One request: ids by request_id, and the items that amoCRM does not know any more."""
        payloads = [item.payload for item in batch]
        if route in (Route.CREATE_CONTACTS, Route.CREATE_LEADS):
            return await self._client.create(route.entity, payloads), {}
        if route in (Route.NOTE_LEADS, Route.NOTE_CONTACTS):
            return await self._client.create_notes(route.entity, payloads), {}
        if route is Route.LINK_LEADS:
            await self._client.link(route.entity, [_without(one, "request_id") for one in payloads])
            return {item.request_id: int(item.payload["entity_id"]) for item in batch}, {}
        answer = await self._client.update(route.entity, payloads)
        ids = {item.request_id: int(item.payload["id"]) for item in batch if item.payload["id"] in answer.updated}
        gone = {item.request_id: answer.missing[one] for item in batch if (one := item.payload["id"]) in answer.missing}
        return ids, gone

    async def _mark(self, route: Route, signals: Signals) -> int:
        """An id that every entity of the next batch will be above, asked anew: another process may have raised it.

        Once somebody says `stop`, after which nothing is sent, amoCRM is not asked: then it is 0.
        """
        listed = listed_of(route)
        if listed is None:
            return 0
        mark = await self._kept_mark(listed)
        if mark is not None:
            return mark
        async with self._claims.alone(f"mark:{listed}"):  # several batches begin at once: one of them asks
            mark = await self._kept_mark(listed)
            if mark is None and signals.stop.is_set():
                return 0
            if mark is None:
                now = self._clock()
                mark = await self._newest_id(route)
                await raise_mark(self._redis, self._names, (listed, mark), at=now)
        return mark

    async def _kept_mark(self, listed: str) -> int | None:
        return await load_mark(self._redis, self._names, listed, since=self._clock() - MARK_LIFE)

    async def _newest_id(self, route: Route) -> int:
        is_note = route in (Route.NOTE_LEADS, Route.NOTE_CONTACTS)
        newest = self._client.newest_notes if is_note else self._client.newest
        async for page in newest(route.entity, until_id=0):
            return max(int(one["id"]) for one in page)
        return 0

    def _without_named(
        self, route: Route, batch: Sequence[JournalItem], error: AmoCRMValidationError, sent: Sent
    ) -> list[Sequence[JournalItem]]:
        named = [item for item in batch if item.request_id in error.items]
        if not named:
            return self._apart(route, batch, error, sent)
        for item in named:
            refusals = error.items[item.request_id]
            named_field = field_of(item.payload, refusals[0].path, route.entity, self._catalogue) if refusals else None
            reason = "amoCRM refused it: " + "; ".join(f"{one.code} ({one.detail})" for one in refusals)
            sent.refused[item.request_id] = NotAccepted(item, reason, Remedy.FIX_RECORD, named_field, refusals)
        rest = [item for item in batch if item.request_id not in error.items]
        return [rest] if rest else []

    def _apart(
        self, route: Route, batch: Sequence[JournalItem], error: AmoCRMAPIError, sent: Sent
    ) -> list[Sequence[JournalItem]]:
        """A refusal that names nobody: halve until the one at fault stands alone."""
        if len(batch) > 1:
            return halves(batch)
        if isinstance(error, AmoCRMForbidden):
            self._forbidden[route] += 1
            if self._forbidden[route] >= MOST_FORBIDDEN:
                raise error  # not these items, but all of them: the token's user lacks the right
        sent.refused[batch[0].request_id] = NotAccepted(batch[0], error.what, error.remedy)
        return []

    def _lost(
        self,
        batch: Sequence[JournalItem],
        found: dict[str, int],
        error: AmoCRMUnknownOutcome,
        sent: Sent,
        lost: Counter[str],
    ) -> list[Sequence[JournalItem]]:
        """What was looked for and is not there: sent again, as many at a time as are borne now, given up after some
        rounds."""
        missing = [item for item in batch if item.request_id not in found]
        lost.update(item.request_id for item in missing)
        for item in missing:
            if lost[item.request_id] >= MAX_LOST:
                sent.refused[item.request_id] = NotAccepted(item, error.what, Remedy.WAIT)
        again = [item for item in missing if lost[item.request_id] < MAX_LOST]
        return [again] if again else []


async def unbroken(work: Coroutine[Any, Any, Result]) -> Result:
    """Await work to its end. When that is cancelled the work goes on for GRACE at most: what amoCRM has answered is to
    be remembered."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        try:
            await asyncio.wait([task], timeout=GRACE)
        finally:
            await end_tasks([task])
        raise


def cut(items: Sequence[JournalItem], size: int) -> tuple[Sequence[JournalItem], Sequence[JournalItem]]:
    """The next batch, and the rest."""
    end = batch_end(items, size)
    return items[:end], items[end:]


def halves(items: Sequence[JournalItem]) -> list[Sequence[JournalItem]]:
    """Two or more items in two; where they are all of one record, its items apart."""
    first, rest = cut(items, len(items) // 2)
    return [first, rest] if rest else [items[: len(items) // 2], items[len(items) // 2 :]]


def field_of(payload: Mapping[str, Any], path: str, entity: Literal["contacts", "leads"], catalogue: Catalogue) -> str:
    """What people call the part of an item that amoCRM names by its path: `lead.fields.Продукт`, `lead.price`."""
    steps = path.split(".")
    if "params" in payload:
        return "note"
    part = entity.removesuffix("s")
    fields = payload.get("custom_fields_values") or []
    if steps[0] != "custom_fields_values" or len(steps) < 2 or not steps[1].isdigit() or int(steps[1]) >= len(fields):
        return f"{part}.{path}"
    sent = fields[int(steps[1])]
    if sent.get("field_code") in MULTITEXT:
        return f"{part}.{MULTITEXT[sent['field_code']]}"
    names = (one.name for one in catalogue.fields if one.entity == entity and one.id == sent.get("field_id"))
    return f"{part}.fields.{next(names, sent.get('field_id') or sent.get('field_code'))}"


def _without(payload: Any, name: str) -> dict[str, Any]:
    return {key: value for key, value in payload.items() if key != name}
