"""A CRM that takes what is sent, and cannot be asked what it took."""

from __future__ import annotations

from typing import Any

import pytest

from leadsync.errors import AmoCRMUnavailable
from leadsync.events import Event, RequestFinished
from leadsync.state.journal import Journal
from tests.promises.crowd import Crowd
from tests.promises.impatient import impatient
from tests.promises.promises import assert_kept
from tests.world import NAMES, World, talk

CREATED = {"contacts": "/api/v4/contacts", "leads": "/api/v4/leads", "leads/notes": "/api/v4/leads/notes"}


def _posted(world: World, what: str) -> list[Any]:
    return world.requests("POST", CREATED[what])


@pytest.mark.parametrize("what", CREATED)
@pytest.mark.parametrize("lost", ["drop_after", "drop_before"])
async def test_nothing_is_sent_again_before_the_crm_was_asked(world: World, seed: int, what: str, lost: str) -> None:
    """What was lost stays in the journal as long as the CRM cannot be asked; the next run that can settles it."""
    crowd, faults = Crowd.of(20, seed), world.sandbox.faults

    def goes_down(event: Event) -> None:
        if len(faults) == 1 and isinstance(event, RequestFinished) and event.status is None:
            faults.add(f"GET {CREATED[what]} 500_before")

    async with impatient(world, goes_down) as pipeline:
        known = next(one for one in crowd.talks if one.customer is not None)
        assert (await pipeline.push(known.stored)).success  # the newest ids are known then
        await world.store([one.stored for one in crowd.talks])
        faults.add(f"POST {CREATED[what]} {lost} nth=1")
        with pytest.raises(AmoCRMUnavailable, match="is not known yet") as failed:
            await pipeline.run()
    assert failed.value.exit_code == 1
    entries = await Journal(world.redis, NAMES).entries()
    assert {entry.route for entry in entries} == {f"POST {what}"}
    posted = len(_posted(world, what))
    for _ in range(2):
        with pytest.raises(AmoCRMUnavailable, match="is not known yet"):
            async with impatient(world) as pipeline:
                await pipeline.run()
        assert len(await Journal(world.redis, NAMES).entries()) == len(entries)
        assert len(_posted(world, what)) == posted

    faults.clear()
    async with impatient(world) as pipeline:
        assert (await pipeline.run()).refused == []
    await assert_kept(world, crowd)


@pytest.mark.parametrize("lost", ["drop_after", "drop_before"])
@pytest.mark.parametrize("again_by_the_same", [True, False])
async def test_process_that_lives_on_leaves_its_batch_to_whoever_comes(
    world: World, lost: str, again_by_the_same: bool
) -> None:
    """A batch that a living process could not settle is settled first by whoever takes one of its records."""
    record = talk("1", phone="+79161234567")
    async with impatient(world) as one, impatient(world) as two:
        assert (await one.push(talk("0"))).success
        world.sandbox.faults.add(f"POST /api/v4/leads {lost}")
        world.sandbox.faults.add("GET /api/v4/leads 500_before")
        assert not (await one.push(record)).success
        assert len(await Journal(world.redis, NAMES).entries()) == 1
        world.sandbox.faults.clear()
        assert (await (one if again_by_the_same else two).push(record)).success
    assert await Journal(world.redis, NAMES).entries() == []
    assert len(world.leads()) == 2
    assert (await world.refused()) == []
