"""The cost that a plan tells is what the run after it asks of amoCRM, request by request."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.world import MAPPING, World, talk

LONG = "слово " * 6000
"""A message whose note takes two parts."""


async def told_and_made(world: World) -> tuple[tuple[int, int], tuple[int, int]]:
    """Reads and writes, as a plan tells them and as the run after it makes them.

    The first plan finds out for good who the account's contacts are; the second tells what is still to be asked.
    """
    async with world.pipeline() as pipeline:
        first = await pipeline.plan()
        plan = await pipeline.plan()
    assert (first.writes, first.reads >= plan.reads) == (plan.writes, True)
    made = Counter[bool]()
    for route, count in (await world.run()).requests.items():
        made[route.startswith("GET ")] += count
    return (plan.reads, plan.writes), (made[True], made[False])


async def assert_told(world: World) -> None:
    """The run makes the requests that the plan told."""
    told, made = await told_and_made(world)
    assert told == made


async def test_a_first_run(world: World) -> None:
    """New people, new leads, notes: looking people up, the newest ids for a lost answer, and the writes."""
    await world.store([talk("1", phone="8 916 123-45-67"), talk("2", email="a@example.com"), talk("3")])
    await assert_told(world)


async def test_what_changed_since(world: World) -> None:
    """A later run reads what it compares, and finds its newest ids remembered."""
    await world.store([talk(str(number), phone=f"+7916123456{number}", budget=1000) for number in range(6)])
    await world.run()
    await world.store([talk("1", "Здравствуйте", "ещё вопрос", phone="+79161234561", budget=2000)])
    await world.store([talk("2", phone="+79161234562", email="b@example.com", budget=1000), talk("9")])
    await assert_told(world)


async def test_nothing_to_do(world: World) -> None:
    """Where nothing changed, nothing is asked."""
    await world.store([talk("1", phone="8 916 123-45-67")])
    await world.run()
    assert await told_and_made(world) == ((0, 0), (0, 0))


@pytest.mark.parametrize("size", [1, 2, 50])
async def test_batches(world: World, size: int) -> None:
    """Writes are counted as they are cut: the parts of a long note go together."""
    world.write(amocrm={"batch_size": size})
    texts = [LONG if number % 2 else "да" for number in range(5)]
    await world.store([talk(str(number), text, phone=f"+7916123456{number}") for number, text in enumerate(texts)])
    await assert_told(world)


async def test_a_memory_that_the_account_keeps(world: World) -> None:
    """With `key_field`, looking for unknown keys in the account is counted."""
    world.write({**MAPPING, "key_field": "ID диалога"})
    await world.store([talk(str(number)) for number in range(4)])
    await assert_told(world)


async def test_what_was_refused_is_not_sent_again(world: World) -> None:
    """An item that amoCRM refused as it is counts as refused, not as a change, and costs nothing."""
    await world.store([talk("1", phone="8 916 123-45-67"), talk("2")])
    async with world.pipeline() as pipeline:
        world.sandbox.account.remove_field(world.sandbox.account.fields["leads"].named("Источник"))
        assert (await pipeline.run()).outcomes["failed"] == 2
        plan = await pipeline.plan()
        assert (plan.outcomes["failed"], plan.writes, plan.changes) == (2, 0, [])
        assert {row.field for row in plan.refused} == {"lead.fields.Источник"}
        report = await pipeline.run()
    assert report.outcomes["failed"] == 2
    assert not [route for route in report.requests if not route.startswith("GET ")]


async def test_batches_that_grow(world: World) -> None:
    """A first run is counted with batches that grow as amoCRM bears them."""
    await world.store([talk(str(number), phone=f"+7916{number:07}") for number in range(500)])
    await assert_told(world)


async def test_more_than_a_chunk(world: World) -> None:
    """A source of several chunks is counted chunk by chunk."""
    world.write(amocrm={"batch_size": 250})  # chunks go side by side: which of them finds a small size is up to chance
    await world.store([talk(str(number), phone=f"+7916{number:07}") for number in range(1100)])
    await assert_told(world)
