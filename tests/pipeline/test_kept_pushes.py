"""What was pushed and is kept: nothing of it vanishes because something else of its talk goes in, and nothing that is
wrong with it keeps anything else from going in."""

from __future__ import annotations

import random
from typing import Any

from leadsync.sync.results import PushResult
from tests.follow.following import until
from tests.world import MAPPING, World, talk

DOWN = "* /api/* drop_before"
GOOD, BAD = "+79161234567", "12"


def part(text: str, **fields: Any) -> dict[str, Any]:
    """A push of one message by itself, of the talk telegram:1."""
    return {"id": "1", "source": "telegram", "messages": [{"role": "user", "text": text}]} | fields


async def push(world: World, *parts: dict[str, Any]) -> list[PushResult]:
    """A bot that lives as long as these pushes, one after the other."""
    async with world.pipeline() as pipeline:
        return [await pipeline.push(one) for one in parts]


async def push_in_trouble(world: World, *parts: dict[str, Any]) -> None:
    """The same while amoCRM is away: what is pushed waits."""
    async with world.pipeline() as pipeline:
        world.sandbox.faults.add(DOWN)
        assert not any([(await pipeline.push(one)).success for one in parts])
    world.sandbox.faults.clear()


async def bring_waiting(world: World) -> None:
    """Somebody who looks for what waits, until nothing does."""

    async def nothing_waits() -> bool:
        return not any(one.waits for one in await world.refused())

    async with world.pipeline() as pipeline:
        pipeline.bring_waiting()
        await until(nothing_waits, 60)


def noted(world: World) -> list[str]:
    """The lines of all notes, in order."""
    return [line.removeprefix("user: ") for _, text in world.notes() for line in text.splitlines()]


async def kept(world: World) -> list[list[str]]:
    """The messages of every push that is kept."""
    return [[one["text"] for one in (refused.record or {})["messages"]] for refused in await world.refused()]


async def test_a_run_leaves_what_waits(world: World) -> None:
    """A push that waits goes in though a run brings its talk in first: what it says beyond that, by the later word."""
    await push_in_trouble(world, part("по телефону", budget=100, product_interest="AI Lawyer"))
    await world.store([talk("1", "Здравствуйте", budget=200)])
    assert (await world.run()).created == {"leads": 1, "notes": 1}
    assert await kept(world) == [["по телефону"]]
    await bring_waiting(world)
    (lead,) = world.leads()
    assert (lead["price"], lead["fields"]["Продукт"]) == (200, "AI Lawyer")
    assert noted(world) == ["Здравствуйте", "по телефону"]
    assert await world.refused() == []


async def test_a_run_brings_in_what_waits(world: World) -> None:
    """A push that says no more than what the source holds, in whatever shape, waits no longer once that is in."""
    await push_in_trouble(
        world, part("раз", phone="8 916 123-45-67", messages=["раз", {"role": "user", "content": "два"}])
    )
    await world.store([talk("1") | {"phone": "8 916 123-45-67", "messages": [{"text": "раз"}, {"text": "два"}]}])
    await world.run()
    assert await world.refused() == []
    assert noted(world) == ["раз", "два"]


async def test_what_a_run_passes_over_waits_on(world: World) -> None:
    """A source that has a talk without what the mapping's `when` asks for takes nothing away from its push."""
    world.write(MAPPING | {"when": "{{ phone }}"})
    await push_in_trouble(world, part("раз", phone=GOOD))
    await world.store([talk("1")])
    assert (await world.run()).outcomes == {"skipped": 1}
    await bring_waiting(world)
    assert (noted(world), await world.refused()) == (["раз"], [])


async def test_what_a_source_is_refused_for_stays_apart(world: World) -> None:
    """A talk that is refused in its source and waits as a push goes in as the push; each is kept until its own end."""
    await push_in_trouble(world, part("раз"))
    await world.store([part("раз", phone=BAD)])
    assert len((await world.run()).refused) == 1
    assert sorted(one.place for one in await world.refused()) == ["dialog:1", "push:telegram:1"]
    await bring_waiting(world)
    assert [one.place for one in await world.refused()] == ["dialog:1"]
    async with world.pipeline() as pipeline:
        assert len((await pipeline.retry()).refused) == 1
        await world.store([part("раз", phone=GOOD)])
        assert (await pipeline.retry()).refused == []
    assert (len(world.leads()), noted(world), await world.refused()) == (1, ["раз"], [])


async def test_what_is_wrong_with_one_push_keeps_no_later_one_out(world: World) -> None:
    """A refused push stays, with its message, while later ones of its talk go in; once one of them says what was wrong,
    all of it goes in."""
    first, second, third = await push(world, part("раз", phone=BAD), part("два"), part("три"))
    assert (first.success, second.success, third.success) == (False, True, True)
    assert (await kept(world), noted(world)) == ([["раз"]], ["два", "три"])
    (mended,) = await push(world, part("четыре", phone=GOOD))
    assert mended.success
    assert sorted(noted(world)) == sorted(["раз", "два", "три", "четыре"])
    ((lead,), (contact,)) = world.leads(), world.contacts()
    assert (lead["contacts"], contact["fields"]["PHONE"]) == ([contact["id"]], GOOD)
    assert await world.refused() == []


async def test_pushes_that_are_refused_add_up(world: World) -> None:
    """Messages that were refused one by one all go in with the push that says what was wrong."""
    results = await push(world, part("раз", phone=BAD), part("два", phone="123"))
    assert not any(one.success for one in results)
    assert await kept(world) == [["раз", "два"]]
    (mended,) = await push(world, part("три", phone=GOOD))
    assert (mended.success, noted(world), await world.refused()) == (True, ["раз", "два", "три"], [])


async def test_what_waits_goes_in_beside_what_is_refused(world: World) -> None:
    """A push that had to wait goes in by itself, whatever an earlier or a later one of its talk was refused for."""
    await push(world, part("раз", phone=BAD))
    await push_in_trouble(world, part("два"))
    assert sorted(await kept(world)) == [["два"], ["раз"]]
    assert not (await push(world, part("три", phone=BAD)))[0].success
    await bring_waiting(world)
    assert noted(world) == ["два"]
    assert [sorted(one) for one in await kept(world)] == [["раз", "три"]]
    await push(world, part("четыре", phone=GOOD))
    assert sorted(noted(world)) == sorted(["раз", "два", "три", "четыре"])
    assert await world.refused() == []


async def test_what_cannot_be_read_stays(world: World) -> None:
    """A push that cannot be read is kept beside later ones that it would spoil, and goes once one says it better."""
    unread = part("раз") | {"budget": [1]}
    assert [one.success for one in await push(world, unread, part("два"))] == [False, True]
    assert (await kept(world), noted(world)) == ([["раз"]], ["два"])
    await push(world, part("три", budget=1))
    assert sorted(noted(world)) == sorted(["раз", "два", "три"])
    assert await world.refused() == []


async def test_a_source_that_mends_a_refused_push(world: World) -> None:
    """A push that was refused is done with when its talk goes in from a source that holds all of it, and mended."""
    await push(world, part("раз", phone=BAD))
    await world.store([talk("1") | part("раз", phone=GOOD)])
    await world.run()
    assert (noted(world), await world.refused()) == (["раз"], [])


async def test_what_amocrm_refused_goes_along_too(world: World) -> None:
    """What amoCRM itself refused of a push goes in with the next one, once the account takes it; until then the next
    one goes in without it where it can."""
    leads = world.sandbox.account.fields["leads"]
    async with world.pipeline() as pipeline:
        field = leads.named("Продукт")
        world.sandbox.account.remove_field(field)
        assert not (await pipeline.push(part("раз", product_interest="AI Lawyer"))).success
        assert (await pipeline.push(part("два"))).success
        assert (await kept(world), noted(world)) == ([["раз"]], ["два"])
    world.sandbox.account.put_field(field)
    assert [one.success for one in await push(world, part("три"))] == [True]
    assert sorted(noted(world)) == sorted(["раз", "два", "три"])
    assert await world.refused() == []


HISTORIES, STEPS = 5, 8


async def test_whatever_happens_every_message_is_noted_once(world: World, seed: int) -> None:
    """Pushes of one talk with right and wrong phones, in and out of trouble, between runs whose source has all that was
    said or others' messages: with the last push, which says the right phone, all of it is in, and nothing is kept."""
    dice = random.Random(seed)
    for number in range(HISTORIES):
        history = History(world, dice, f"{number}")
        for _ in range(STEPS):
            await history.goes_on()
        await history.ends()
        assert (sorted(history.noted()), await world.refused()) == (sorted(history.said), []), history.steps


class History:
    """What happens to one talk."""

    def __init__(self, world: World, dice: random.Random, talk_id: str) -> None:
        self.world, self.dice, self.id = world, dice, talk_id
        self.said: list[str] = []
        self.stored: list[str] = []
        self.stores_all = dice.random() < 0.5
        self.steps: list[str] = []

    async def goes_on(self) -> None:
        """One more thing happens."""
        step = self.dice.choice(("pushed", "pushed", "pushed in trouble", "stored and run", "looked at"))
        self.steps.append(step)
        if step == "looked at":
            await bring_waiting(self.world)
        elif step == "stored and run":
            await self._run(self.dice.choice((BAD, GOOD, None)))
        else:
            parts = [self._part(self.dice.choice((BAD, GOOD, None, None))) for _ in range(self.dice.randint(1, 2))]
            self.steps.append(str([one.get("phone") for one in parts]))
            await (push_in_trouble(self.world, *parts) if step == "pushed in trouble" else push(self.world, *parts))

    async def ends(self) -> None:
        """The bot gets everything right at last."""
        await self._run(GOOD)
        assert (await push(self.world, self._part(GOOD)))[0].success
        await bring_waiting(self.world)

    async def _run(self, phone: str | None) -> None:
        self.stored.append(self._says())
        texts = self.said if self.stores_all else self.stored
        messages = [{"role": "user", "text": one} for one in texts]
        await self.world.store([self._talk(phone, messages=messages)])
        await self.world.run()

    def _part(self, phone: str | None) -> dict[str, Any]:
        return self._talk(phone, messages=[{"role": "user", "text": self._says()}])

    def _talk(self, phone: str | None, **fields: Any) -> dict[str, Any]:
        return {"id": self.id, "source": "telegram", **({"phone": phone} if phone else {}), **fields}

    def _says(self) -> str:
        self.said.append(f"{self.id}-{len(self.said)}-{self.dice.randrange(10**6)}")
        return self.said[-1]

    def noted(self) -> list[str]:
        """Its messages in all notes."""
        return [one for one in noted(self.world) if one.startswith(f"{self.id}-")]
