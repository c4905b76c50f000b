"""One bad record stops nobody."""

from __future__ import annotations

from typing import Any

import orjson

from tests.cli.terminal import running
from tests.world import MAPPING, World, talk

BAD = frozenset(range(0, 49, 8))
"""Seven of fifty."""

OPENING = 6
"""Requests in which a process learns the account's names."""


def _mapping() -> dict[str, Any]:
    lead: Any = MAPPING["lead"]
    return {**MAPPING, "lead": {**lead, "fields": {**lead["fields"], "Тариф": "{{ metadata.plan }}"}}}


async def test_seven_of_fifty_are_bad(world: World) -> None:
    """What only the CRM refuses is taken out of its batch: 43 arrive, 7 are kept and come with a retry."""
    world.write(_mapping(), amocrm={"batch_size": 50})
    plans = {number: "Рост" if number in BAD else "Старт" for number in range(50)}
    await world.store(
        talk(str(number), phone=f"+7916{number:07}", metadata={"plan": plan}) for number, plan in plans.items()
    )
    field = world.sandbox.account.fields["leads"].named("Тариф")
    options = list(field.options)
    async with running(world.folder, "run", "--format", "json") as command:
        await world.sandbox.requests.reached(OPENING)
        field.options[:] = [one for one in field.options if one.value != "Рост"]  # somebody tidies the account up
        ended = await command.ended()
    assert ended.code == 3
    report = orjson.loads(ended.out)
    assert {row["key"] for row in report["refused"]} == {f"telegram:{number}" for number in BAD}
    assert {row["field"] for row in report["refused"]} == {"lead.fields.Тариф"}
    assert (len(world.leads()), len(world.notes())) == (43, 43)
    assert len(world.requests("POST", "/api/v4/leads")) == 2
    kept = await world.refused()
    assert {one.key for one in kept} == {f"telegram:{number}" for number in BAD}
    assert all(one.payload and one.answer for one in kept)
    field.options[:] = options  # and puts it back
    async with running(world.folder, "failed", "retry") as command:
        assert (await command.ended()).code == 0
    assert (len(world.leads()), len(world.notes()), len(world.contacts())) == (50, 50, 50)
    assert await world.refused() == []
