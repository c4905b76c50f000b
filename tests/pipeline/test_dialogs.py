"""Two hundred talks as bots leave them: one contact per person, one lead per key, every message in one note."""

from __future__ import annotations

from collections import Counter

import pytest

from leadsync.errors import AmoCRMAPIError
from tests.pipeline.talks import Crowd
from tests.processes import processes
from tests.world import World

COUNT = 200

TROUBLES = (
    "* /api/* 429 every=9",
    "GET /api/* drop_before every=7",
    "GET /api/* 504_before every=11",
    "POST /api/v4/contacts drop_after nth=2",
    "POST /api/v4/contacts 504_before nth=3",
    "POST /api/v4/leads 504_after nth=2",
    "POST /api/v4/leads drop_before nth=3",
    "POST /api/v4/leads truncated nth=4",
    "POST /api/v4/leads/notes drop_after nth=2",
    "POST /api/v4/leads/notes 500_after nth=3",
    "POST /api/v4/leads/notes late seconds=3 nth=4",
)


def check(world: World, crowd: Crowd) -> None:
    """The CRM holds exactly what these talks are worth."""
    contacts, leads = world.contacts(), world.leads()
    keys = {lead["fields"]["ID диалога"]: lead for lead in leads}
    assert sorted(keys) == sorted(one.key for one in crowd.talks)
    assert len(leads) == len(crowd.talks)
    held = [set(filter(None, ", ".join(one["fields"].values()).split(", "))) for one in contacts]
    people = crowd.people()
    assert sorted(map(sorted, (one & set().union(*people) for one in held))) == sorted(map(sorted, people))
    by_id = {one["id"]: values for one, values in zip(contacts, held, strict=True)}
    for made in crowd.talks:
        linked = [by_id[one] for one in keys[made.key]["contacts"]]
        told = {made.phone, made.email} - {None}
        assert len(linked) == bool(told)
        assert all(told <= one for one in linked)
    check_notes(world, crowd, {key: lead["id"] for key, lead in keys.items()})


def check_notes(world: World, crowd: Crowd, lead_ids: dict[str, int]) -> None:
    """Every message stands in exactly one note, of its own lead."""
    found = Counter((lead, word.rstrip(":")) for lead, text in world.notes() for word in text.split() if word[0] == "м")
    wanted = Counter((lead_ids[made.key], mark.rstrip(":")) for made in crowd.talks for mark in made.marks)
    assert {one: count for one, count in found.items() if one in wanted} == wanted


async def test_the_talks_of_a_day(world: World, seed: int) -> None:
    """People, leads and messages come out even, a second run writes nothing, and talks that go on add just that."""
    world.use_sample()
    crowd = Crowd.of(COUNT, seed)
    await world.store(made.stored for made in crowd.talks)
    report = await world.run()
    assert report.refused == []
    check(world, crowd)
    before = len(world.writes())
    assert (await world.run()).outcomes == {"unchanged": COUNT}
    assert len(world.writes()) == before
    crowd.grow()
    await world.store(made.stored for made in crowd.talks)
    assert (await world.run()).created == {"notes": COUNT // 2}
    check(world, crowd)


async def test_the_same_through_every_trouble(world: World, seed: int) -> None:
    """Refusals for speed, gateway errors, lost and late answers: the same contacts, leads and notes at the end."""
    world.use_sample()
    config = world.folder / "leadsync.yaml"
    config.write_text(
        config.read_text().replace("requests_per_second: 1000", "requests_per_second: 1000\n  batch_size: 5")
    )
    crowd = Crowd.of(COUNT, seed)
    await world.store(made.stored for made in crowd.talks)
    for rule in TROUBLES:
        world.sandbox.faults.add(rule)
    report = await world.run()
    assert report.refused == []
    assert [rule["struck"] > 0 for rule in world.sandbox.faults.shown()] == [True] * len(TROUBLES)
    check(world, crowd)
    world.sandbox.faults.clear()
    before = len(world.writes())
    assert (await world.run()).outcomes == {"unchanged": COUNT}
    assert len(world.writes()) == before


async def test_the_same_in_many_short_runs(world: World, seed: int) -> None:
    """A CRM that is gone again and again in the middle of runs: what was finished stays, the rest follows."""
    world.use_sample()
    crowd = Crowd.of(60, seed)
    await world.store(made.stored for made in crowd.talks)
    for nth in (1, 2, 3):
        world.sandbox.faults.add(f"POST /api/* ban403 nth={nth}")
        with pytest.raises(AmoCRMAPIError):
            await world.run()
        world.sandbox.faults.clear()
    await world.run()
    check(world, crowd)


async def test_the_same_by_two_processes_at_once(world: World, seed: int) -> None:
    """Two `leadsync run` over the same talks at the same time share the work and double nothing."""
    world.use_sample()
    crowd = Crowd.of(COUNT, seed)
    await world.store(made.stored for made in crowd.talks)
    ended = await processes(2, world.folder, "run")
    assert [one.code for one in ended] == [0, 0], [one.err for one in ended]
    check(world, crowd)
