"""An answer that never comes says nothing: what was sent is looked for before it is sent again."""

from __future__ import annotations

import random

import pytest

from leadsync.errors import AmoCRMAPIError
from tests.promises.crowd import Crowd
from tests.promises.impatient import TOO_LATE, impatient
from tests.promises.promises import assert_kept
from tests.world import World

ROUTES = (
    "POST /api/v4/contacts",
    "PATCH /api/v4/contacts",
    "POST /api/v4/leads",
    "PATCH /api/v4/leads",
    "POST /api/v4/leads/link",
    "POST /api/v4/leads/notes",
)

TROUBLES = (
    "drop_after",
    "504_after",
    "500_after",
    "truncated",
    f"late seconds={TOO_LATE}",
    "drop_before",
    "504_before",
    "system_error_400",
)

MOST_ROUNDS = 6


async def _run(world: World) -> int:
    """One run; its exit code."""
    try:
        async with impatient(world) as pipeline:
            return 3 if (await pipeline.run()).refused else 0
    except AmoCRMAPIError as error:
        return error.exit_code


async def _until_done(world: World) -> None:
    for _ in range(MOST_ROUNDS):
        if await _run(world) == 0:
            return
    raise AssertionError(f"it takes more than {MOST_ROUNDS} runs")


@pytest.mark.slow
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_every_write_may_lose_its_answer(world: World, seed: int, trouble: str) -> None:
    """When every write route loses its answer three times in ten, everything is made once in a few runs."""
    crowd, dice = Crowd.of(60, seed, long=1), random.Random(seed)
    world.write(amocrm={"batch_size": 5})
    for number, route in enumerate(ROUTES):
        world.sandbox.faults.add(f"{route} {trouble} nth=1")
        world.sandbox.faults.add(f"{route} {trouble} p=0.3 seed={seed + number}")
    await world.store([one.stored for one in crowd.talks])
    await _until_done(world)
    await assert_kept(world, crowd)

    for talk in crowd.talks:  # contacts and leads are updated, contacts appear and are linked, notes grow
        talk.says(dice, dice.randint(0, 2))
        talk.stored["product_interest"] = dice.choice(("AI Manager", "AI Lawyer", "AI Analyst"))
        if talk.customer is None and dice.random() < 0.7:
            talk.customer = dice.choice(crowd.customers)
            talk.stored |= talk.customer.contact(dice)
        elif talk.customer is not None and talk.customer.digits and dice.random() < 0.5:
            talk.customer.email = talk.customer.email or f"{talk.customer.digits}@example.com"
            talk.stored |= talk.customer.contact(dice)
    await world.store([one.stored for one in crowd.talks])
    await _until_done(world)
    await assert_kept(world, crowd)
    struck = {f"{one.method} {one.path}" for one in world.sandbox.requests if one.fault is not None}
    assert struck == set(ROUTES)
