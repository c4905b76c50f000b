"""Redis that forgot everything, with `key_field`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.world import MAPPING, World, talk

KEYED = {**MAPPING, "key_field": "ID диалога"}
TALKS = [
    talk("1", "Здравствуйте", "да", "Сколько стоит? 🙂", phone="8 916 123-45-67", budget=100),
    talk("2", "Привет", "Привет", "ок", email="a@b.ru"),
    talk("3", "одна строка"),
    {"id": "4", "source": "web", "user_name": "Ольга", "conversation_history": "user: раз\nbot: два"},
]
WITH_HISTORY = {**KEYED, "note": "{{ conversation_history }}"}


@pytest.mark.parametrize("mapping", [KEYED, WITH_HISTORY])
async def test_second_run_after_redis_was_emptied_makes_nothing(world: World, mapping: dict[str, Any]) -> None:
    """With `key_field`, a run with an empty Redis makes no contact, no lead and no note that is already there."""
    world.write(mapping)
    await world.store(TALKS)
    async with world.pipeline() as pipeline:
        first = await pipeline.run()
    await world.redis.flushall()
    await world.store(TALKS)
    before = len(world.writes())
    async with world.pipeline() as pipeline:
        report = await pipeline.run()
    assert first.created["notes"] > 0
    assert [one.path for one in world.writes()[before:]] == []
    assert report.outcomes["unchanged"] == len(TALKS)


async def test_talk_goes_on_after_redis_was_emptied(world: World) -> None:
    """A message that came while the memory was lost stands in one more note, alone."""
    world.write(KEYED)
    await world.store([talk("1", "раз", "да")])
    async with world.pipeline() as pipeline:
        await pipeline.run()
    await world.redis.flushall()
    await world.store([talk("1", "раз", "да", "да")])
    async with world.pipeline() as pipeline:
        report = await pipeline.run()
    assert report.created == {"notes": 1}
    assert [text for _, text in world.notes()] == ["user: раз\nuser: да", "user: да"]


@pytest.mark.parametrize(
    "line",
    [
        "{% for m in messages if m.role == 'user' %}{{ m.text }}\n{% endfor %}",
        "{% for m in messages %}{{ m.text | truncate(20) }}\n{% endfor %}",
    ],
)
async def test_note_that_leaves_something_out_is_not_written_again(world: World, line: str) -> None:
    """A template may show the customer's messages only, or their beginnings: after a loss they are still known."""
    world.write({**KEYED, "note": "{{ 'Продолжение' if continued else 'История' }}:\n" + line})
    told = talk("1", "Хочу бота, который отвечает клиентам ночью", "Сколько стоит")
    told["messages"].insert(1, {"role": "bot", "text": "Здравствуйте", "at": "2026-11-01T10:00:30+03:00"})
    told["messages"].append({"role": "bot", "text": "Сейчас посчитаем, одну минуту", "at": "2026-11-01T10:02:00+03:00"})
    await world.store([told])
    await world.run()
    await world.redis.flushall()
    await world.store([told])
    await world.run()
    assert len(world.notes()) == 1


async def test_memory_that_is_whole_is_not_read_again(world: World) -> None:
    """The account's leads are read once, not at every start."""
    world.write(KEYED)
    await world.store(TALKS)
    async with world.pipeline() as pipeline:
        await pipeline.run()
    before = len(world.requests("GET", "/api/v4/leads"))
    async with world.pipeline() as pipeline:
        await pipeline.run()
    assert len(world.requests("GET", "/api/v4/leads")) == before


async def test_rebuild_reads_everything_again(world: World) -> None:
    """`rebuild` gives every key its lead and every phone and e-mail its contact back, and says how many."""
    world.write(KEYED)
    await world.store(TALKS)
    async with world.pipeline() as pipeline:
        await pipeline.run()
        keys = [key async for key in world.redis.scan_iter("leadsync:*link:*")]
        await world.redis.delete(*keys)
        await world.redis.delete(*[key async for key in world.redis.scan_iter("leadsync:*:people")])
        rebuilt = await pipeline.rebuild()
        assert (rebuilt.leads, rebuilt.restored, rebuilt.people) == (4, 4, 2)
        before = len(world.requests("GET", "/api/v4/contacts"))
        await pipeline.push(talk("9", phone="+79161234567"))
    assert not [one for one in world.requests("GET", "/api/v4/contacts")[before:] if "query" in one.query]
    assert len(world.contacts()) == 2


async def test_leads_deleted_while_the_account_is_read(world: World) -> None:
    """Somebody deletes leads while the memory is restored, which shifts others between pages: none is made again."""
    world.write(KEYED)
    await world.store([talk(str(number), user_name=f"Клиент {number}") for number in range(60)])
    await world.run()
    world.sandbox.switches.largest_page = 5
    for reached, count in ((3, 4), (9, 3)):
        await world.redis.flushdb()
        await world.store([talk(str(number), user_name=f"Клиент {number}") for number in range(60)])
        deleting = asyncio.create_task(
            _delete_first(world, len(world.requests("GET", "/api/v4/leads")) + reached, count)
        )
        await world.run()
        await deleting
    names = [lead["name"] for lead in world.leads()]
    assert len(set(names)) == len(names)


async def _delete_first(world: World, reads: int, count: int) -> None:
    """Once the list of leads was asked for so many times, delete those that were made first."""
    while len(world.requests("GET", "/api/v4/leads")) < reads:
        await world.sandbox.requests.reached(world.sandbox.requests.total + 1)
    for lead in world.leads()[:count]:
        world.sandbox.account.remove("leads", lead["id"])
