"""Whatever happens, in whatever order: everything once, and what a person edited stays."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from leadsync.errors import LeadsyncError
from leadsync.events import Event, RequestFinished
from leadsync.pipeline import Pipeline
from leadsync.sandbox import Sandbox
from leadsync.sandbox.entities import Entity
from leadsync.state.links import load_links
from tests.promises.crowd import Crowd, Talk
from tests.promises.impatient import TOO_LATE, impatient
from tests.promises.promises import assert_kept, notes_of
from tests.promises.worker import Clock
from tests.world import MAPPING, NAMES, World

Result = TypeVar("Result")

NUMBERS = st.integers(0, 99)
PRODUCTS = st.sampled_from(("AI Manager", "AI Lawyer", "AI Analyst"))
BUDGETS = st.integers(1, 9)
ROUTES = st.sampled_from(
    ("POST /api/v4/contacts", "POST /api/v4/leads", "POST /api/v4/leads/notes", "PATCH /api/v4/leads")
)
PLACES = ROUTES | st.sampled_from(("POST /api/v4/*", "PATCH /api/v4/*", "* /api/*"))
KINDS = st.sampled_from(
    ("drop_after", "drop_before", "504_after", "500_before", "truncated", f"late seconds={TOO_LATE}")
)
TROUBLES = st.builds("{} {} p={} seed={}".format, PLACES, KINDS, st.sampled_from((0.2, 0.5, 1)), NUMBERS)
BY_A_PERSON = 10_450_986

LEAD: Any = MAPPING["lead"]
MAPPED = {**MAPPING, "lead": {**LEAD, "fields": {**LEAD["fields"], "Город": "{{ metadata.city }}"}}}

Step = dict[str, Any]


def step(name: str, **with_: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    """A method of Days with its arguments."""
    return st.fixed_dictionaries({"step": st.just(name), **with_})


WRITES = step("somebody_writes", customer=st.none() | NUMBERS, product=st.none() | PRODUCTS, budget=st.none() | BUDGETS)
CHANGES = st.one_of(
    WRITES,
    step("talk_goes_on", number=NUMBERS, count=st.integers(1, 3)),
    step("record_changes", number=NUMBERS, product=PRODUCTS, budget=BUDGETS),
    step("guest_tells_a_phone", number=NUMBERS, customer=NUMBERS),
    step("bot_trims_a_talk", number=NUMBERS, keep=st.integers(1, 3)),
    step("person_edits_a_lead", number=NUMBERS, what=st.sampled_from(("name", "price", "product"))),
)
WORK = st.one_of(
    step("run", fresh=st.booleans()),
    step("run_is_cut_off", turns=st.integers(200, 700)),
    step("batch_stays_open", route=ROUTES, applied=st.booleans(), fresh=st.booleans()),
    step("two_runs"),
    step("push", number=NUMBERS, while_running=st.booleans()),
    step("service_ends"),
)
DAYS = st.lists(
    st.tuples(st.lists(CHANGES, min_size=1, max_size=5), st.none() | TROUBLES, st.lists(WORK, min_size=1, max_size=2)),
    min_size=4,
    max_size=8,
)


class Days:
    """A few days of bots, customers, salespeople, and a CRM and processes that fail."""

    def __init__(self, redis_url: str, folder: Path) -> None:
        self.clock = Clock()
        self.runner = asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(self.clock))
        self.redis = Redis.from_url(redis_url)
        self.sandbox = Sandbox(rate=0)
        self.world = World(self.sandbox, self.redis, redis_url, folder)
        self.crowd = Crowd.of(0, 1)
        self.crowd.customers = Crowd.of(12, 1).customers
        self.edits: dict[int, dict[str, Any]] = {}
        self.settled: dict[str, int] = {}
        self.removed: dict[str, list[str]] = {}
        self.service: Pipeline | None = None
        self.lost: str | None = None
        self.do(self._begin())

    def do(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.runner.run(work)

    async def _begin(self) -> None:
        await self.redis.flushall()
        await self.sandbox.start()
        self.world.write(MAPPED, amocrm={"batch_size": 3})

    def pass_(self, days: list[tuple[list[Step], str | None, list[Step]]]) -> None:
        """Let the days pass, and look after each whether everything is still as it should be."""
        for changes, trouble, work in days:
            for one in changes:
                self._take(one)
            if trouble is not None:
                self.sandbox.faults.add(trouble)
            for one in work:
                self._take(one)
                self.nothing_is_doubled()
            self.sandbox.faults.clear()
        self.do(self._run_to_the_end())
        self.everything_is_there()

    def _take(self, one: Step) -> None:
        with_ = {name: value for name, value in one.items() if name != "step"}
        if self.talks or one["step"] == "somebody_writes":
            getattr(self, one["step"])(**with_)

    def close(self) -> None:
        """End everything."""
        self.do(self._end())
        self.runner.close()

    async def _end(self) -> None:
        await self._close()
        await self.sandbox.stop()
        await self.redis.aclose()

    # What customers and bots do

    @property
    def talks(self) -> list[Talk]:
        return self.crowd.talks

    def somebody_writes(self, customer: int | None, product: str | None, budget: int | None) -> None:
        """Every third of those who say nothing of themselves cannot be told from the others."""
        number = len(self.talks)
        alike = customer is None and number % 3 == 0
        stored: dict[str, Any] = {"id": f"t{number}", "source": "telegram", "user_name": "Гость", "messages": []}
        if not alike:
            stored |= {"product_interest": product, "budget": budget, "metadata": {"city": f"t{number}"}}
        else:
            stored |= {"metadata": {"city": None}}
        talk = Talk(stored, None)
        self.talks.append(talk)
        self._say(talk, 2)
        if customer is not None:
            self._tells(talk, customer)
        self._store(talk)

    def talk_goes_on(self, number: int, count: int) -> None:
        talk = self._talk(number)
        self._say(talk, count)
        self._store(talk)

    def record_changes(self, number: int, product: str, budget: int) -> None:
        talk = self._talk(number)
        talk.stored |= {"product_interest": product, "budget": budget}
        self._store(talk)

    def guest_tells_a_phone(self, number: int, customer: int) -> None:
        guests = [one for one in self.talks if one.customer is None]
        if guests:
            talk = guests[number % len(guests)]
            self._tells(talk, customer)
            self._store(talk)

    def bot_trims_a_talk(self, number: int, keep: int) -> None:
        """Only of what a run has seen: what was never seen is nobody's to keep."""
        talk = self._talk(number)
        gone = max(0, self.settled.get(talk.key, 0) - keep)
        self.removed.setdefault(talk.key, []).extend(talk.lines[:gone])
        del talk.stored["messages"][:gone]
        self.settled[talk.key] = self.settled.get(talk.key, 0) - gone
        self._store(talk)

    def _talk(self, number: int) -> Talk:
        return self.talks[number % len(self.talks)]

    def _tells(self, talk: Talk, customer: int) -> None:
        talk.customer = self.crowd.customers[customer % len(self.crowd.customers)]
        talk.stored |= talk.customer.contact(random.Random(customer))

    def _say(self, talk: Talk, count: int) -> None:
        """Messages that may be alike, each with a minute of its own."""
        for _ in range(count):
            number = len(self.removed.get(talk.key, [])) + len(talk.lines)
            text = "да" if number % 3 else f"{talk.stored['id']}-{number}"
            at = f"2026-11-01T{10 + number // 60}:{number % 60:02}:00+03:00"
            talk.stored["messages"].append({"role": "user", "text": text, "at": at})

    def _store(self, talk: Talk) -> None:
        self.do(self.world.store([talk.stored]))

    # What salespeople do

    def person_edits_a_lead(self, number: int, what: str) -> None:
        """One that can be told from others, and no second value of one that we have not heard of yet."""
        self.do(asyncio.sleep(0.01))  # what was on the wire has arrived
        leads = self._marked_leads()
        if not leads:
            return
        lead = leads[number % len(leads)]
        edited = self.edits.setdefault(lead.id, {})
        if edited and not self.do(self._is_known(lead)):
            return
        edited[what] = {"name": f"Правка {number}", "price": 900_000 + number, "product": "Другое"}[what]
        self._edit(lead, what, edited[what])

    async def _is_known(self, lead: Entity) -> bool:
        return bool(await self.redis.exists(NAMES.name("wrote", "lead", lead.id)))

    def _marked_leads(self) -> list[Entity]:
        city = self.sandbox.account.fields["leads"].named("Город").id
        return [one for one in self.sandbox.account.leads if one.values.get(city)]

    def _edit(self, lead: Entity, what: str, value: Any) -> None:
        if what == "product":
            field = self.sandbox.account.fields["leads"].named("Продукт")
            option = field.option(label=value)
            assert option is not None
            lead.values[field.id] = [{"value": option.value, "enum_id": option.id, "enum_code": option.code}]
        else:
            lead.facts[what] = value
        lead.facts["updated_by"] = BY_A_PERSON
        self.sandbox.account.put(lead)

    # What leadsync does

    def run(self, fresh: bool) -> None:
        if self.do(self._run(fresh)):
            self._all_settled()

    def run_is_cut_off(self, turns: int) -> None:
        self.do(self._cut_off(self._run(True), turns))

    def batch_stays_open(self, route: str, applied: bool, fresh: bool) -> None:
        """A batch is lost, and from then on the CRM cannot be asked for it until the step is over."""
        faults = self.sandbox.faults
        before = list(faults)
        faults.clear()
        faults.add(f"{route} {'drop_after' if applied else 'drop_before'}")
        self.lost = f"GET {route.partition(' ')[2]}* 500_before"
        self.do(self._run(fresh))
        self.lost = None
        faults.clear()
        for one in before:
            faults.add(one)

    def _heard(self, event: Event) -> None:
        if self.lost is not None and isinstance(event, RequestFinished) and event.status is None:
            self.sandbox.faults.add(self.lost)

    def two_runs(self) -> None:
        if all(self.do(self._together(self._run(True), self._run(False)))):
            self._all_settled()

    def push(self, number: int, while_running: bool) -> None:
        self.do(self._together(self._push(self._talk(number)), *([self._run(True)] if while_running else [])))

    def service_ends(self) -> None:
        self.do(self._close())

    async def _run(self, fresh: bool) -> bool:
        """Whether a run brought everything in, of a process of its own or of the one that goes on and on."""
        try:
            if not fresh:
                return not (await (await self._open()).run()).refused
            async with impatient(self.world, self._heard) as pipeline:
                return not (await pipeline.run()).refused
        except LeadsyncError:
            return False

    async def _push(self, talk: Talk) -> bool:
        try:
            return (await (await self._open()).push(talk.stored)).success
        except LeadsyncError:
            return False

    async def _open(self) -> Pipeline:
        if self.service is None:
            self.service = await impatient(self.world, self._heard).__aenter__()
        return self.service

    async def _close(self) -> None:
        service, self.service = self.service, None
        if service is not None:
            await service.__aexit__(None, None, None)

    async def _together(self, *work: Coroutine[Any, Any, bool]) -> list[bool]:
        return await asyncio.gather(*work)

    async def _cut_off(self, work: Coroutine[Any, Any, bool], turns: int) -> None:
        task = asyncio.create_task(work)
        self.clock.on_last = task.cancel
        self.clock.turns = turns
        await asyncio.wait({task})
        self.clock.turns = None

    def _all_settled(self) -> None:
        self.settled = {one.key: len(one.lines) for one in self.talks}

    async def _run_to_the_end(self) -> None:
        for _ in range(3):
            if await self._run(True):
                return
        raise AssertionError("it does not end, though nothing is in its way")

    # What holds

    def nothing_is_doubled(self) -> None:
        """Also in the midst of trouble: no person, no lead and no message is there more often than it should be."""
        told = Counter(text for one in self.world.contacts() for text in one["fields"].values())
        assert max(told.values(), default=0) <= 1
        assert len(self.world.leads()) <= len(self.talks)
        said = Counter(line for lines in notes_of(self.world).values() for line in lines)
        meant = Counter(line for one in self.talks for line in self._all_lines(one))
        assert said <= meant

    def _all_lines(self, talk: Talk) -> list[str]:
        return [*self.removed.get(talk.key, []), *talk.lines]

    def everything_is_there(self) -> None:
        """After a run without trouble everything is there once, with the edits of people."""
        shown = Crowd(self.crowd.dice, self.crowd.customers)
        links = self.do(load_links(self.redis, NAMES, [one.key for one in self.talks]))
        leads = {one["id"]: one for one in self.world.leads()}
        for talk in self.talks:
            edits = self.edits.get(links[talk.key].lead_id or 0, {})
            lead = leads[links[talk.key].lead_id or 0]
            assert {"name": lead["name"], "product": lead["fields"].get("Продукт"), "price": lead["price"]} == {
                "name": lead["name"],
                "product": talk.stored.get("product_interest"),
                "price": talk.stored.get("budget") or 0,
            } | edits
            messages = [{"role": "user", "text": line.removeprefix("user: ")} for line in self._all_lines(talk)]
            kept = {"budget": lead["price"], "product_interest": lead["fields"].get("Продукт"), "messages": messages}
            shown.talks.append(Talk(talk.stored | kept, talk.customer))
        self.do(assert_kept(self.world, shown))


@pytest.mark.slow
@settings(max_examples=18, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
@given(first=st.lists(WRITES, min_size=3, max_size=6), days=DAYS)
def test_promises_hold_whatever_happens(
    valkey_server: Any,
    tmp_path_factory: pytest.TempPathFactory,
    first: list[Step],
    days: list[tuple[list[Step], str | None, list[Step]]],
) -> None:
    """Random days of talks, edits, faults, deaths and pushes keep every promise after each step."""
    world = Days(valkey_server.url, tmp_path_factory.mktemp("days"))
    try:
        world.pass_([(first, None, [{"step": "run", "fresh": True}]), *days])
    finally:
        world.close()
