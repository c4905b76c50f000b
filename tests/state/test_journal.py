"""The journal: a batch is there until everything that its answer says is remembered."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from leadsync.errors import LeadsyncError
from leadsync.state.facts import Fact
from leadsync.state.journal import Journal, JournalItem
from leadsync.state.marks import load_mark
from tests.world import NAMES

FACTS: list[Fact] = [("link:a", "lead", "5"), ("wrote:lead:5", "made", "1")]
ITEM = JournalItem("a", "lead-a", {"name": "Заявка", "request_id": "lead-a"}, FACTS)


@pytest.fixture
def journal(redis: Redis) -> Journal:
    """The journal of an account."""
    return Journal(redis, NAMES)


async def test_a_batch_that_is_closed(redis: Redis, journal: Journal) -> None:
    """Closing a batch remembers its facts and raises the mark, and the batch is gone."""
    entry = await journal.open("me", "POST leads", 3, 10.0, [ITEM])
    assert await journal.entries() == [entry]
    assert await journal.entries(but={entry.id}) == []
    await journal.close(entry, FACTS, ("leads", 5))
    assert await journal.entries() == []
    assert await redis.hgetall(NAMES.name("link:a")) == {b"lead": b"5"}
    assert await redis.hgetall(NAMES.name("wrote:lead:5")) == {b"made": b"1"}
    assert await load_mark(redis, NAMES, "leads", since=10.0) == 5


async def test_facts_that_redis_does_not_take(redis: Redis, journal: Journal) -> None:
    """A batch whose facts are not all remembered stays: it is looked for, and its items are not sent again."""
    entry = await journal.open("me", "POST leads", 3, 10.0, [ITEM])
    await redis.set(NAMES.name("wrote:lead:5"), "a text, no hash")
    with pytest.raises(LeadsyncError, match="refused a command"):
        await journal.close(entry, FACTS, ("leads", 5))
    assert await journal.entries() == [entry]


@pytest.mark.parametrize("value", ["", "\0", "\u2028 🚀 \"'\\", "я" * 100_000, '{"a":[1]}'])
async def test_facts_are_kept_to_the_letter(redis: Redis, journal: Journal, value: str) -> None:
    """Whatever stands in a fact is remembered as it is."""
    entry = await journal.open("me", "POST leads", 3, 10.0, [ITEM])
    await journal.close(entry, [(f"link:{value[:9]}", f"f{value[:9]}", value)])
    assert await redis.hgetall(NAMES.name(f"link:{value[:9]}")) == {f"f{value[:9]}".encode(): value.encode()}
