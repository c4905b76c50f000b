"""Records that were kept and fail once more: they stay in one place, and nobody comes back who was forgotten."""

from __future__ import annotations

from datetime import UTC
from typing import Any, cast

from redis.asyncio import Redis

from leadsync.done import Done
from leadsync.errors import AmoCRMUnavailable, Remedy
from leadsync.intake import PreparedMapping, Taken
from leadsync.keeping import Keeping
from leadsync.records import Record
from leadsync.retrying import bring_kept
from leadsync.state.refused import Refused, RefusedRecords
from tests.world import NAMES

RECORD = {"id": "1", "source": "telegram", "phone": "+79161234567"}
PLACE = "push:telegram:1"


def named(key: str) -> dict[str, str]:
    """What a log line may say of a key."""
    return {"key": key}


def kept_as(name: str) -> Refused:
    """A push that waits, kept under a name."""
    return Refused(name, "talks", PLACE, "away", "wait", None, 1e9, record=RECORD, came=1e9)


def taken(kept: str | None) -> Taken:
    """The same on its way once more."""
    nothing = cast(PreparedMapping, None)
    return Taken("telegram:1", PLACE, Record.from_mapping(RECORD, zone=UTC), nothing, RECORD, came=1e9, kept=kept)


async def test_who_was_forgotten_is_not_kept_again(redis: Redis) -> None:
    """A kept record that fails once more is kept, unless it is gone meanwhile; a fresh push always is."""
    records = RefusedRecords(redis, NAMES, keep=1e12)
    keeping, error = Keeping(records, named), AmoCRMUnavailable("away")
    await records.keep([kept_as(PLACE)])
    assert (await keeping.held_back("talks", taken(PLACE), error)).remedy is Remedy.WAIT
    assert {one.key for one in await records.all()} == {PLACE, "telegram:1"}
    await records.drop([PLACE, "telegram:1"])
    await keeping.held_back("talks", taken(PLACE), error)
    assert await records.all() == []
    await keeping.held_back("talks", taken(None), error)
    assert [one.key for one in await records.all()] == ["telegram:1"]


async def test_what_could_not_be_kept_under_its_key_stays(redis: Redis) -> None:
    """A record that gets its key only when it is tried is not forgotten before it is kept under that."""
    records = RefusedRecords(redis, NAMES, keep=1e12)
    await records.keep([kept_as(PLACE)])

    async def fail(one: Refused) -> Done:
        return Done("telegram:1", PLACE, "failed", remedy=Remedy.WAIT)

    async def move(one: Refused) -> Done:
        await records.keep([kept_as("telegram:1")])
        return await fail(one)

    for push, left in ((fail, PLACE), (move, "telegram:1")):
        await bring_kept(records, cast(Any, push), [kept_as(PLACE)])
        assert [one.key for one in await records.all()] == [left]
