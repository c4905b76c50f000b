"""Pushes: records that come one by one and go out together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import orjson

from leadsync.intake import Intake, Taken
from leadsync.records import Record
from leadsync.steps import Done, Steps

TOGETHER = 250
"""Pushes that are taken at once, at most: what one write request can hold."""


@dataclass(frozen=True, slots=True)
class _Push:
    intake: Intake
    taken: Taken
    done: asyncio.Future[Done]


class Pushes:
    """A queue of pushed records: while some are on their way, others gather and share the next batches."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._queue: asyncio.Queue[_Push] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._worker = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    async def push(self, intake: Intake, taken: Taken) -> Done:
        """Bring one record in. Raises AmoCRMAPIError, StateUnavailable."""
        done: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        await self._queue.put(_Push(intake, taken, done))
        return await done

    async def _work(self) -> None:
        while True:
            waiting = [await self._queue.get()]
            while not self._queue.empty() and len(waiting) < TOGETHER:
                waiting.append(self._queue.get_nowait())
            try:
                for together in each_key_once(waiting):
                    await self._bring(together)
            finally:
                for one in waiting:
                    one.done.cancel()

    async def _bring(self, together: Sequence[_Push]) -> None:
        by_key = {one.taken.key: one.done for one in together}
        try:
            for done in await self._steps.finish(together[0].intake, [one.taken for one in together]):
                if not by_key[done.key].done():
                    by_key[done.key].set_result(done)
        except Exception as error:
            for future in by_key.values():
                if not future.done():
                    future.set_exception(error)


def keepable(record: Any) -> dict[str, Any] | None:
    """A pushed record as plain JSON data, so that it can be tried again; None for what no JSON can hold."""
    try:
        raw = {**record.extra, **asdict(record)} if isinstance(record, Record) else record
        plain = orjson.loads(orjson.dumps(raw, default=str, option=orjson.OPT_NON_STR_KEYS))
    except (TypeError, ValueError, RecursionError):
        return None
    return plain if isinstance(plain, dict) else None


def each_key_once(waiting: Sequence[_Push]) -> list[list[_Push]]:
    """Rounds in which no key comes twice, each of one source, in the order of arrival."""
    rounds: list[tuple[str, dict[str, _Push]]] = []
    for one in waiting:
        name, key = one.intake.source.name, one.taken.key
        fitting = (members for source, members in rounds if source == name and key not in members)
        members = next(fitting, None)
        if members is None:
            members = {}
            rounds.append((name, members))
        members[key] = one
    return [list(members.values()) for _, members in rounds]
