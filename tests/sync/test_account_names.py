"""How often a living process reads the account's names anew."""

from __future__ import annotations

import asyncio

from leadsync.amocrm.catalogue import NameNotFound
from leadsync.amocrm.field_values import OptionNotFound
from leadsync.config.loader import load_project
from leadsync.errors import ItemRefusal, ValueRefused
from leadsync.events import ignore
from leadsync.project import connect
from leadsync.sync.account_names import PAUSE, AccountNames, blames_a_name, misses_a_name
from tests.world import NAMES, World


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_a_minute_passes_between_two_readings(world: World) -> None:
    """Within a minute nothing is read anew; after it, it is; tasks that miss a name at once share one reading."""
    clock, before = Clock(), len(world.requests())
    async with connect(load_project(world.folder / "leadsync.yaml"), ignore) as connections:
        account = await AccountNames.open(connections.client, world.redis, NAMES, clock=clock)
        held = account.catalogue
        assert await asyncio.gather(*(account.renew(0) for _ in range(5))) == [True] * 5
        assert account.readings == 1
        clock.now += PAUSE - 1
        assert not await account.renew(1)
        assert await account.renew(0)  # somebody who looked before the reading finds more now
        clock.now += 1
        assert await account.renew(1)
    assert account.catalogue is held
    assert len(world.requests()) - before == 3 * 6


async def test_a_doubt_is_settled_once(world: World) -> None:
    """A doubted catalogue is forgotten at once, and read anew before the next records, no more often than any other."""
    clock = Clock()
    async with connect(load_project(world.folder / "leadsync.yaml"), ignore) as connections:
        account = await AccountNames.open(connections.client, world.redis, NAMES, clock=clock)
        await account.settle()
        assert account.readings == 0
        await account.doubt()
        assert not await world.redis.exists(NAMES.name("catalogue"))
        await account.settle()
        await account.settle()
        assert account.readings == 1
        await account.doubt()
        await account.settle()
        assert account.readings == 1
        clock.now += PAUSE
        await account.settle()
        assert account.readings == 2


def test_which_refusals_are_about_names() -> None:
    """A missing option or name, and what amoCRM refuses at a field, a stage or a user; nothing else."""
    unnamed = ValueRefused("no such status")
    unnamed.__cause__ = NameNotFound("no such status")
    assert misses_a_name(OptionNotFound("no such option"))
    assert misses_a_name(unnamed)
    assert not misses_a_name(ValueRefused("not a number"))
    paths = {
        "custom_fields_values.0.field_id": True,
        "custom_fields_values.2.values.0.enum_id": True,
        "status_id": True,
        "pipeline_id": True,
        "responsible_user_id": True,
        "price": False,
        "params.text": False,
        "entity_id": False,
    }
    assert {path: blames_a_name([ItemRefusal("x", path, "y")]) for path in paths} == paths
    assert not blames_a_name([])
