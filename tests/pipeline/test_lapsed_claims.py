"""A process that fell silent while its write waited its turn."""

from __future__ import annotations

import asyncio

import pytest

from leadsync.amocrm.retry import RetryPolicy
from leadsync.errors import StateUnavailable
from leadsync.events import Event, RequestRetried
from leadsync.pipeline import Pipeline
from tests.world import SHORT, World, talk


async def test_a_waiting_write_is_held_back_once_its_claims_have_lapsed(world: World) -> None:
    """Another process takes the record over and makes its lead; the first one's repeat never reaches the CRM."""
    put_off = asyncio.Event()

    def listen(event: Event) -> None:
        if isinstance(event, RequestRetried) and event.route == "/leads":
            put_off.set()

    await world.store([talk("1")])
    world.sandbox.faults.add("POST /api/v4/leads 429 nth=1")
    patient = RetryPolicy(first_wait=1.0, jitter=0.01)
    path = world.folder / "leadsync.yaml"
    async with Pipeline.from_file(path, listener=listen, retry=patient, timeouts=SHORT, settle=0.1) as silent:
        run = asyncio.create_task(silent.run())
        await put_off.wait()
        # Its proof of life runs out: renewing it does not bring it back, and the others count it as dead.
        await world.redis.delete(*[key async for key in world.redis.scan_iter("leadsync:*:alive:*")])
        async with world.pipeline() as other:
            report = await other.run()
        with pytest.raises(StateUnavailable):
            await run
    assert report.created == {"leads": 1, "notes": 1}
    assert (len(world.leads()), len(world.notes())) == (1, 1)
