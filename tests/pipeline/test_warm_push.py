"""A push on a pipeline that is warm: as few requests as it takes, and none less than is safe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from leadsync.pipeline import Pipeline
from leadsync.sync.freshness import LASTING, Freshness
from tests.world import MAPPING, World, talk

KEYED = {**MAPPING, "key_field": "ID диалога"}
SOME = [talk(f"old-{number}", phone=f"+7916123{number:04}") for number in range(10)]


def pushed(number: int) -> dict[str, Any]:
    """A new talk of a new person."""
    return talk(str(number), phone=f"+7916124{number:04}")


@asynccontextmanager
async def warm(world: World) -> AsyncIterator[Pipeline]:
    """A pipeline of an account that was brought in, with one push behind it."""
    world.write(KEYED)
    await world.store(SOME)
    await world.run()
    async with world.pipeline() as pipeline:
        assert (await pipeline.push(pushed(0))).success
        yield pipeline


async def foreign_lead(world: World, pipeline: Pipeline, key: str) -> int:
    """A lead that another machine, with another memory, has made for a key."""
    (field,) = [one.id for one in pipeline.catalogue.fields if one.entity == "leads" and one.name == "ID диалога"]
    body = {"name": key, "custom_fields_values": [{"field_id": field, "values": [{"value": key}]}]}
    (made,) = (await pipeline.connections.client.create("leads", [body | {"request_id": key}])).values()
    return made


async def test_it_takes_three_requests(world: World) -> None:
    """The contact, the lead and the note; who is known, and which keys, was asked before."""
    async with warm(world) as pipeline:
        before = len(world.requests())
        assert (await pipeline.push(pushed(1))).success
        asked = world.requests()[before:]
    assert [one.path for one in asked] == ["/api/v4/contacts", "/api/v4/leads", "/api/v4/leads/notes"]


async def test_another_machine_makes_every_push_look(world: World) -> None:
    """Once the account has held a key that we did not know, each new key is looked for in it before a lead is made."""
    async with warm(world) as pipeline:
        await foreign_lead(world, pipeline, "telegram:77")
        assert await pipeline._rebuild.catch_up() == 1
        lead = await foreign_lead(world, pipeline, "telegram:78")
        result = await pipeline.push(pushed(78))
        assert (result.success, result.lead_id) == (True, lead)
        before = len(world.requests("GET", "/api/v4/leads"))
        await pipeline.push(pushed(79))
        assert len(world.requests("GET", "/api/v4/leads")) == before + 1


@pytest.mark.parametrize("lost", ["all", "the mark"])
async def test_a_memory_that_was_lost_makes_a_push_look(world: World, lost: str) -> None:
    """What the process asked a moment ago counts for a memory that is whole, and for no other."""
    async with warm(world) as pipeline:
        lead = await foreign_lead(world, pipeline, "telegram:77")
        await world.redis.delete("leadsync:{firm.amocrm.ru}:memory")
        if lost == "all":
            keys = [key async for key in world.redis.scan_iter("leadsync:*:link:*")]
            await world.redis.delete(*keys)
        made = len(world.leads())
        assert (await pipeline.push(pushed(77))).lead_id == lead
        assert (await pipeline.push(pushed(0))).success
        assert len(world.leads()) == made


async def test_leads_of_a_run_beside_it_are_no_strangers(world: World) -> None:
    """What other lanes are just sending is in the account before it is in our memory: it is ours all the same."""
    world.write(KEYED)
    await world.store(talk(str(number), phone=f"+7916{number:07}") for number in range(1200))
    await world.run()
    assert await world.redis.hget("leadsync:{firm.amocrm.ru}:memory", "stranger") is None


# In the background


def freshness(pipeline: Pipeline, **options: Any) -> Freshness:
    return Freshness(pipeline._shared.contacts, pipeline._rebuild, **options)


async def until(world: World, true: Callable[[], bool]) -> None:
    """Return with the request that makes it true."""
    async with asyncio.timeout(10):
        while not true():
            await world.sandbox.requests.reached(world.sandbox.requests.total + 1)


async def test_what_is_new_is_asked_while_pushes_come(world: World) -> None:
    """Before any push nothing is asked; then contacts and leads are, also after the CRM was away; then no more."""
    async with warm(world) as pipeline:
        index = pipeline._shared.contacts.index
        async with freshness(pipeline, every=0.01) as fresh:
            leads = len(world.requests("GET", "/api/v4/leads"))
            await asyncio.sleep(0.05)
            assert len(world.requests("GET", "/api/v4/leads")) == leads
            world.sandbox.faults.add("* /api/* 504_before")
            failed = world.sandbox.requests.total
            fresh.wanted()
            await until(world, lambda: world.sandbox.requests.total > failed)
            world.sandbox.faults.clear()
            await until(world, lambda: len(world.requests("GET", "/api/v4/leads")) > leads + 1)
            await index.keep(checked=1.0)
            contacts = len(world.requests("GET", "/api/v4/contacts"))
            await until(world, lambda: len(world.requests("GET", "/api/v4/contacts")) > contacts)
        ended = world.sandbox.requests.total
        await asyncio.sleep(0.05)
        assert world.sandbox.requests.total == ended


async def test_long_after_the_last_push_nothing_is_asked(world: World) -> None:
    """A bot that is quiet costs no requests; its next push begins anew."""
    async with warm(world) as pipeline:
        now = 0.0
        async with freshness(pipeline, every=0.01, clock=lambda: now) as fresh:
            fresh.wanted()
            await world.sandbox.requests.reached(world.sandbox.requests.total + 2)
            now = LASTING
            assert fresh._keeping is not None
            await fresh._keeping
            fresh.wanted()
            await world.sandbox.requests.reached(world.sandbox.requests.total + 2)


async def test_a_run_asks_nothing_in_the_background(world: World) -> None:
    """Only pushes do: a run and a plan know what they need."""
    await world.store(SOME)
    async with world.pipeline() as pipeline:
        await pipeline.plan()
        await pipeline.run()
        names = {str(task.get_coro()) for task in asyncio.all_tasks()}
    assert not [one for one in names if "Freshness" in one]


class _Broken:
    """A part that fails in a way that nobody foresaw."""

    def __init__(self) -> None:
        self.twice = asyncio.Event()
        self._asked = 0

    async def keep_fresh(self) -> None:
        self._asked += 1
        if self._asked == 2:
            self.twice.set()
        raise ZeroDivisionError("no text of it is told")


async def test_something_unforeseen_does_not_end_it(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged by its kind alone, and asked again."""
    async with warm(world) as pipeline:
        broken: Any = _Broken()
        async with Freshness(broken, pipeline._rebuild, every=0.01) as fresh:
            fresh.wanted()
            async with asyncio.timeout(10):
                await broken.twice.wait()
    assert "ZeroDivisionError" in caplog.text
    assert "no text of it" not in caplog.text
