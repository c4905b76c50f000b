"""A lead whose contact was deleted in amoCRM gets the one made in its place, whenever the process dies."""

from __future__ import annotations

import pytest

from leadsync.errors import AmoCRMBanned
from tests.world import World, talk

PHONE = "8 916 123-45-67"


async def test_a_run_that_ends_before_the_link(world: World) -> None:
    """A run that made the new contact and could not link it any more leaves the link to the next run."""
    await world.store([talk("1", phone=PHONE)])
    await world.run()
    world.sandbox.account.remove("contacts", world.contacts()[0]["id"])
    await world.store([talk("1", phone=PHONE, email="ivan@example.com")])
    world.sandbox.faults.add("POST /api/v4/leads/link ban403")
    with pytest.raises(AmoCRMBanned):
        await world.run()
    world.sandbox.faults.clear()
    assert world.leads()[0]["contacts"] == []
    await world.run()
    (contact,) = world.contacts()
    assert world.leads()[0]["contacts"] == [contact["id"]]
    before = len(world.writes())
    await world.run()
    assert len(world.writes()) == before
