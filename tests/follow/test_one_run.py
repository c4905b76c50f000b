"""A run that ends, over a stream: it brings in what is there, and lets go of what the CRM has or refuses."""

from __future__ import annotations

import orjson
import pytest

from leadsync.errors import AmoCRMAPIError
from tests.follow.following import STREAM, add, following, pending
from tests.world import MAPPING, World, talk


async def test_a_run_reads_what_is_there(world: World) -> None:
    """New entries and those somebody left go in; the next run finds nothing, a plan before it shows them."""
    world.write(sources={"talks": STREAM})
    await add(world.redis, talk("1"), talk("2"))
    async with world.pipeline() as pipeline:
        plan = await pipeline.plan()
        assert plan.outcomes["create"] == 2
        report = await pipeline.run()
    assert report.created["leads"] == 2
    assert await pending(world.redis) == 0
    await add(world.redis, talk("1", "раз"))
    report = await world.run()
    assert (report.records, report.created["notes"]) == (1, 1)
    assert (await world.run()).records == 0
    assert await world.redis.xlen("talks") == 3


async def test_more_than_a_limit_stays(world: World) -> None:
    """With a limit the other entries are there for the next run."""
    world.write(sources={"talks": STREAM})
    await add(world.redis, *(talk(str(number)) for number in range(5)))
    async with world.pipeline() as pipeline:
        assert (await pipeline.run(limit=2)).created["leads"] == 2
        assert (await pipeline.run()).created["leads"] == 3
    assert await pending(world.redis) == 0


async def test_a_run_that_fails_leaves_what_it_took(world: World) -> None:
    """What the CRM did not take is there for whoever comes next."""
    world.write(sources={"talks": STREAM})
    await add(world.redis, talk("1"), talk("2"))
    async with world.pipeline() as pipeline:
        world.sandbox.faults.add("POST /api/v4/leads 500_before")
        world.sandbox.faults.add("GET /api/v4/leads 500_before")
        with pytest.raises(AmoCRMAPIError):
            await pipeline.run()
        world.sandbox.faults.clear()
    assert await pending(world.redis) == 2
    assert (await world.run()).records == 2
    assert len(world.leads()) == 2


async def test_refused_entries_are_kept_and_can_be_retried(world: World) -> None:
    """An entry that is refused is let go of; the record is kept, also when the stream holds it no more."""
    world.write({**MAPPING, "key": "{{ source }}:{{ id }}:{{ shop }}"}, sources={"talks": STREAM})
    await add(world.redis, talk("1"), talk("2", shop="a", budget="дорого"), talk("3", shop="a"))
    await world.redis.xadd("talks", {"record": b"{"})
    report = await world.run()
    assert (report.created["leads"], len(report.refused)) == (1, 3)
    assert await pending(world.redis) == 0
    await world.redis.delete("talks")
    world.write({**MAPPING, "key": "{{ source }}:{{ id }}"}, sources={"talks": STREAM})
    async with world.pipeline() as pipeline:
        report = await pipeline.retry()
    assert report.created["leads"] == 1
    kept = await world.refused()
    assert [orjson.loads(orjson.dumps(one.record))["id"] for one in kept if one.record] == ["2"]


async def test_what_has_to_wait_stays_in_the_stream(world: World) -> None:
    """An item that amoCRM did not take though it answered others is not let go of: the next run brings it in."""
    world.write(sources={"talks": STREAM})
    await add(world.redis, talk("1"))
    world.sandbox.faults.add("POST /api/v4/leads 504_before times=5")
    assert [one.do for one in (await world.run()).refused] == ["nothing: it is tried again by itself"]
    assert await pending(world.redis) == 1
    assert (await world.run()).created["leads"] == 1
    assert (await pending(world.redis), await world.refused()) == (0, [])


async def test_following_refuses_like_a_run(world: World) -> None:
    """A followed entry that is refused is kept with its record, and let go of."""
    world.write(sources={"talks": STREAM})
    async with following(world) as (_, ear):
        await add(world.redis, talk("1", budget="дорого"), talk("2"))
        await ear.finished(2)
    assert await pending(world.redis) == 0
    (refused,) = await world.refused()
    assert refused.record is not None
    assert len(world.leads()) == 1
