"""A saved plan that is broken off anywhere and applied again: its items, all of them, each once, and no others."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from leadsync.errors import AmoCRMBanned
from tests.pipeline.saved_plans import Call, apply, made_ids, save, saved_items, with_ids
from tests.promises.test_dry_run_is_run import RICH, Days
from tests.world import World

TALKS, ROUNDS = 60, 4


@pytest.mark.parametrize("match", ["none", "open"])
async def test_a_plan_in_pieces(world: World, seed: int, match: str) -> None:
    """Bans break each application off several times; in the end exactly the saved items were accepted."""
    lead: Any = RICH["lead"]
    world.write({**RICH, "lead": {**lead, "match": match}}, amocrm={"batch_size": 3}, safety={"max_changed_share": 1})
    days = Days(world, seed, TALKS)
    breaks = 0
    async with days.crm:
        for number in range(ROUNDS):
            await days.begin(number)
            document, before = await save(world), len(world.writes())
            while not await _applied(world, days.dice.randint(2, 6)):
                breaks += 1
            ids = await made_ids(world, document)
            expected = {
                call: sorted(orjson.dumps(with_ids(one, ids)) for one in items)
                for call, items in saved_items(document).items()
            }
            assert _accepted(world, before) == expected
            assert "already applied" in (await apply(world)).remarks[0]
    assert breaks > 1


async def _applied(world: World, requests: int) -> bool:
    """Whether an application came to its end before a ban that follows so many writes."""
    for method in ("POST", "PATCH"):
        world.sandbox.faults.add(f"{method} /api/v4/* ban403 nth={requests} times=1000")
    try:
        report = await apply(world)
    except AmoCRMBanned:
        return False
    finally:
        world.sandbox.faults.clear()
    assert report.refused == []
    return True


def _accepted(world: World, since: int) -> dict[Call, list[bytes]]:
    """The items of the writes that were applied, by call, in no order."""
    items: dict[Call, list[bytes]] = {}
    for one in world.writes()[since:]:
        if one.applied:
            items.setdefault((one.method, one.path), []).extend(map(orjson.dumps, one.body))
    return {call: sorted(found) for call, found in items.items()}
