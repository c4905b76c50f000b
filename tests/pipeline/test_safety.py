"""Safety limits: a run that would do too much stops before its first write, and says how to go on."""

from __future__ import annotations

from typing import Any

import pytest

from leadsync.errors import StartRefused
from leadsync.safety import FEWEST_KNOWN
from leadsync.state.facts import remember
from leadsync.state.links import link_hash
from tests.pipeline.saved_plans import planned
from tests.world import MAPPING, NAMES, World, talk

LEAD: Any = MAPPING["lead"]
RENAMED = {**MAPPING, "lead": {**LEAD, "name": "Запрос от {{ user_name }}"}}


def talks(count: int, first: int = 0, **fields: Any) -> list[dict[str, Any]]:
    """So many talks of people of their own."""
    return [talk(str(one), phone=f"+7916{one:07}", **fields) for one in range(first, first + count)]


async def refused(world: World, **more: Any) -> StartRefused:
    """What a run says that does not start; it asked nothing of the CRM but what opening asks."""
    async with world.pipeline() as pipeline:
        before = len(world.sandbox.requests)
        with pytest.raises(StartRefused) as refusal:
            await pipeline.run(**more)
        assert len(world.sandbox.requests) == before
    return refusal.value


async def run(world: World, **more: Any) -> int:
    """How many leads a run that starts has changed."""
    async with world.pipeline() as pipeline:
        return (await pipeline.run(**more)).updated["leads"]


async def test_a_mapping_that_changes_everybody(world: World) -> None:
    """A mapping that says something else of most known leads is stopped, by default at more than half of them."""
    await world.store(talks(FEWEST_KNOWN))
    await world.run()
    world.write(RENAMED)
    error = await refused(world)
    assert error.what == "this run would change 100 of 100 known leads (100%); the limit is 50%"
    assert "leadsync run --max-changed-share 1\n" in str(error.do)
    assert "raise max_changed_share" in str(error.do)
    assert str(error.where).endswith("leadsync.yaml: safety.max_changed_share")
    (warning,) = [one for one in (await planned(world)).warnings if "refused" in one]
    assert warning == (
        "a run would be refused: it would change 100 of 100 known leads (100%); the limit is 50%; "
        "pass --max-changed-share 1 to allow it once"
    )
    assert await run(world, max_changed_share=1) == 100
    assert await run(world) == 0


async def test_the_flag_that_is_named_is_enough(world: World) -> None:
    """The share that a refusal names lets the run through, however it is rounded, and a little less does not."""
    await world.store(talks(FEWEST_KNOWN))
    await world.run()
    await world.store(talks(57, budget=7))
    error = await refused(world)
    assert "57 of 100 known leads (57%)" in error.what
    assert "--max-changed-share 0.57\n" in str(error.do)
    await refused(world, max_changed_share=0.56)
    assert await run(world, max_changed_share=0.57) == 57


async def test_a_few_known_leads_are_no_alarm(world: World) -> None:
    """With fewer known leads than a hundred a share says nothing, unless it is passed for this run."""
    await world.store(talks(FEWEST_KNOWN - 1))
    await world.run()
    await world.store(talks(30, first=1000))  # new ones are not known ones
    world.write(RENAMED)
    assert (await refused(world, max_changed_share=0.9)).where == "--max-changed-share"
    assert await run(world) == FEWEST_KNOWN - 1


async def test_new_messages_do_not_count(world: World) -> None:
    """Talks that only go on change no values, however many they are."""
    await world.store(talks(120))
    await world.run()
    await world.store(talk(one["id"], "Здравствуйте", "И ещё", phone=one["phone"]) for one in talks(120))
    assert await run(world) == 0
    assert len(world.notes()) == 240


async def test_contacts_count_too(world: World) -> None:
    """Values of the contact are values of its lead's record."""
    await world.store(talks(100))
    await world.run()
    world.write({**MAPPING, "contact": {**MAPPING["contact"], "name": "{{ user_name }} (бот)"}})  # type: ignore[dict-item]
    assert "change 100 of 100 known leads" in (await refused(world)).what


async def test_a_memory_that_came_back_is_no_alarm(world: World) -> None:
    """After a lost memory nothing is known of what was said last: the run that finds everything again goes through."""
    world.write({**MAPPING, "key_field": "ID диалога"})
    await world.store(talks(110))
    await world.run()
    await world.redis.flushall()
    await world.store(talks(110))
    assert await run(world) == 0
    assert len(world.leads()) == 110


async def test_deleted_leads_are_not_known(world: World) -> None:
    """A lead that a person deleted is not changed any more, and does not count."""
    await world.store(talks(101))
    await world.run()
    for lead in world.leads()[:60]:
        world.sandbox.account.remove("leads", lead["id"])
    await world.store(talks(101, budget=5))
    assert await run(world, max_changed_share=1) == 41
    await world.store(talks(101, budget=6))
    assert await run(world) == 41


async def test_both_limits_at_once(world: World) -> None:
    """A run that passes both limits is told both counts, both places and both flags."""
    world.write(safety={"max_new_leads": 200, "max_changed_share": 0.2})
    await world.store(talks(100))
    await world.run()
    world.write(RENAMED, safety={"max_new_leads": 3, "max_changed_share": 0.2})
    await world.store(talks(4, first=500))
    error = await refused(world)
    assert error.what.splitlines() == [
        "this run would make 4 new leads; the limit is 3",
        "  and change 100 of 100 known leads (100%); the limit is 20%",
    ]
    lines = (world.folder / "leadsync.yaml").read_text("utf-8").splitlines()
    for name in ("max_new_leads", "max_changed_share"):
        line = next(number for number, text in enumerate(lines, 1) if name in text)
        assert f"leadsync.yaml:{line}:3: safety.{name}" in str(error.where)
    assert "leadsync run --max-new-leads 4 --max-changed-share 1" in str(error.do)
    await refused(world, max_new_leads=4)
    assert await run(world, max_new_leads=4, max_changed_share=1) == 100


async def test_a_share_of_one_is_no_limit(world: World) -> None:
    """`max_changed_share: 1` lets everything be changed, and looks at nothing for it."""
    world.write(safety={"max_changed_share": 1})
    await world.store(talks(100))
    await world.run()
    world.write(RENAMED, safety={"max_changed_share": 1})
    assert await run(world) == 100


async def test_a_mapping_without_leads(world: World) -> None:
    """A mapping that makes contacts alone makes no new leads."""
    world.write({"key": "{{ id }}", "contact": {"phone": "{{ phone }}"}}, safety={"max_new_leads": 0})
    await world.store(talks(5))
    async with world.pipeline() as pipeline:
        assert (await pipeline.run()).created["contacts"] == 5


async def test_a_part_of_a_source(world: World) -> None:
    """What is left out of a run does not count for its limits."""
    world.write(safety={"max_new_leads": 2})
    await world.store(talks(5))
    assert "make 5 new leads" in (await refused(world)).what
    await run(world, record="telegram:3")
    await run(world, limit=2)
    assert len(world.leads()) in (2, 3)


@pytest.mark.parametrize(("changed", "is_refused"), [(130, False), (1260, True), (2500, True)])
async def test_a_large_source(world: World, changed: int, *, is_refused: bool) -> None:
    """Of a large source a sample is looked at first; unless it is clear, every record is, and the counts are exact."""
    await world.store(talks(2500))
    keys = [f"telegram:{number}" for number in range(2500)]
    facts = [(link_hash(key), "lead", "1") for key in keys]
    facts += [(link_hash(key), "said_lead", "something else") for key in keys[:changed]]
    await remember(world.redis, NAMES, facts)
    if is_refused:
        assert f"would change {changed} of 2500 known leads" in (await refused(world)).what
    else:
        assert not any("refused" in one for one in (await planned(world)).warnings)


async def test_talks_that_may_join_a_lead_are_counted_as_at_most_new(world: World) -> None:
    """With `match: open` only amoCRM knows which talks make a lead, and a refusal says "up to"."""
    world.write({**MAPPING, "lead": {**LEAD, "match": "open"}})
    await world.store(talks(2))
    error = await refused(world, max_new_leads=0)
    assert "make up to 2 new leads" in error.what
    assert error.where == "--max-new-leads"
