"""`lead.match: open`, whatever people and salespeople do: every message once, and one open lead per person."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from leadsync.amocrm.catalogue import LOST, WON
from leadsync.sandbox import Sandbox
from leadsync.state.links import Link, load_links
from tests.world import MAPPING, NAMES, World, talk

Result = TypeVar("Result")

LEAD: Any = MAPPING["lead"]
OPEN = {
    **MAPPING,
    "lead": {**LEAD, "match": "open", "fields": {**LEAD["fields"], "Город": "{{ metadata.city }}"}},
    "key_field": "Комментарий",  # a textarea: it has room for every key
}
FUNNEL, TALKING, AGAIN, ASKED_AGAIN = 7_028_886, 58_962_662, 7_055_602, 59_144_294
PEOPLE = [{"phone": f"8 916 000-00-0{number}", "email": f"p{number}@example.com"} for number in range(3)]
SOURCES = ("telegram", "avito", "web")

NUMBERS = st.integers(0, 99)
Step = tuple[str, int, int]


def step(name: str) -> st.SearchStrategy[Step]:
    """A method of Office with two numbers."""
    return st.tuples(st.just(name), NUMBERS, NUMBERS)


STEPS = st.one_of(
    step("somebody_writes"),
    step("somebody_writes"),
    step("talk_goes_on"),
    step("talk_says_otherwise"),
    step("lead_is_closed"),
    step("lead_is_moved"),
    step("lead_is_deleted"),
    step("lead_is_made_by_hand"),
    step("redis_forgets"),
    step("run"),
    step("run"),
    step("pushes"),
)


class Office:
    """Three people, their talks in three messengers, a salesperson, and leadsync."""

    def __init__(self, redis_url: str, folder: Path) -> None:
        self.runner = asyncio.Runner()
        self.redis = Redis.from_url(redis_url)
        self.sandbox = Sandbox(rate=0)
        self.world = World(self.sandbox, self.redis, redis_url, folder)
        self.talks: list[dict[str, Any]] = []
        self.written = 0
        self.leads: dict[str, int] = {}
        self.by_hand: set[int] = set()
        self.do(self._begin())

    def do(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.runner.run(work)

    async def _begin(self) -> None:
        await self.redis.flushall()
        await self.sandbox.start()
        self.world.write(OPEN)

    def close(self) -> None:
        """End everything."""
        self.do(self._end())
        self.runner.close()

    async def _end(self) -> None:
        await self.sandbox.stop()
        await self.redis.aclose()

    # What people do

    def somebody_writes(self, who: int, where: int) -> None:
        """By phone, by e-mail, or by both."""
        person = PEOPLE[who % len(PEOPLE)]
        told = (("phone",), ("email",), ("phone", "email"))[where % 3] if self._has_both(person) else ("phone", "email")
        self.written += 1
        number = self.written
        known = {name: person[name] for name in told}
        self.talks.append(talk(f"t{number}", f"t{number}-0", source=SOURCES[where % 3], **known))
        self._store(self.talks[-1])

    def _has_both(self, person: dict[str, str]) -> bool:
        """Whether a run has tied this person's phone and e-mail together: without it they are two people."""
        return any(person["email"] == one["fields"].get("EMAIL") for one in self.world.contacts())

    def talk_goes_on(self, which: int, count: int) -> None:
        one = self._talk(which)
        for _ in range(1 + count % 2):
            number = len(one["messages"])
            at = f"2026-11-01T{10 + number // 60}:{number % 60:02}:00+03:00"
            one["messages"].append({"role": "user", "text": f"{one['id']}-{number}", "at": at})
        self._store(one)

    def talk_says_otherwise(self, which: int, what: int) -> None:
        one = self._talk(which)
        one["budget" if what % 2 else "metadata"] = 1 + what if what % 2 else {"city": f"г{what}"}
        self._store(one)

    def _talk(self, number: int) -> dict[str, Any]:
        return self.talks[number % len(self.talks)]

    def _store(self, one: dict[str, Any]) -> None:
        self.do(self.world.store([one]))

    def lead_is_closed(self, which: int, how: int) -> None:
        self._edit(which, status_id=(WON, LOST)[how % 2])

    def lead_is_moved(self, which: int, how: int) -> None:
        self._edit(which, pipeline_id=AGAIN, status_id=ASKED_AGAIN)

    def _edit(self, which: int, **facts: Any) -> None:
        account = self.sandbox.account
        leads = list(account.leads)
        if leads:
            lead = leads[which % len(leads)]
            lead.facts |= facts
            account.put(lead)

    def lead_is_deleted(self, which: int, rarely: int) -> None:
        """Its talks are over: what they say later goes nowhere."""
        leads = list(self.sandbox.account.leads)
        if leads and rarely < 30:
            gone = leads[which % len(leads)].id
            self.sandbox.account.remove("leads", gone)
            over = {key for key, link in self._links().items() if link.lead_id == gone}
            for one in self.talks:
                if self._key(one) in over:
                    self.do(_deleted(self.redis, f"dialog:{one['id']}"))
            self.talks = [one for one in self.talks if self._key(one) not in over] or [self._stranger()]
            self.leads = {key: lead_id for key, lead_id in self.leads.items() if lead_id != gone}

    def _stranger(self) -> dict[str, Any]:
        self.written += 1
        one = talk(f"t{self.written}", f"t{self.written}-0", phone="+7 495 000-00-00")
        self._store(one)
        return one

    def lead_is_made_by_hand(self, who: int, _: int) -> None:
        contacts = self.world.contacts()
        if contacts:
            self.do(self._make(contacts[who % len(contacts)]["id"]))

    async def _make(self, contact: int) -> None:
        async with self.world.pipeline() as pipeline:
            client = pipeline.connections.client
            made = client.create_lead(name="Звонок", contact_ids=[contact], pipeline_id=FUNNEL, status_id=TALKING)
            self.by_hand.add(await made)

    # What leadsync does

    def redis_forgets(self, _: int, rarely: int) -> None:
        """Everything, right after a run: what was said and not noted since then would pass for noted by its time."""
        if rarely < 30:
            self.run(0, 0)
            self.do(self.redis.flushall())
            self.do(self.world.store(self.talks))

    def run(self, _: int, __: int) -> None:
        """As the dry run before it says; once more, and nothing is left to do."""
        self.do(self._run())
        self.everything_is_there()

    async def _run(self) -> None:
        async with self.world.pipeline() as pipeline:
            plan = await pipeline.plan()
            report = await pipeline.run()
            assert report.refused == []
            meant = Counter(f"{one.entity}s" for one in plan.changes if one.action == "create")
            assert report.created == {name: meant[name] for name in report.created}
            before = len(self.world.writes())
            await pipeline.run()
            assert len(self.world.writes()) == before

    def pushes(self, which: int, _: int) -> None:
        """Several at once."""
        self.do(self._push([self._talk(which + number) for number in range(min(3, len(self.talks)))]))

    async def _push(self, talks: list[dict[str, Any]]) -> None:
        async with self.world.pipeline() as pipeline:
            results = await asyncio.gather(*(pipeline.push(one) for one in talks))
        assert [one.success for one in results] == [True] * len(talks)

    # What holds

    def _key(self, one: dict[str, Any]) -> str:
        return f"{one['source']}:{one['id']}"

    def _links(self) -> dict[str, Link]:
        return self.do(load_links(self.redis, NAMES, [self._key(one) for one in self.talks]))

    def everything_is_there(self) -> None:
        """Each message stands once, in its talk's lead, which is the same for ever; one open lead per person."""
        links = self._links()
        notes = Counter((lead_id, line) for lead_id, text in self.world.notes() for line in text.splitlines())
        for one in self.talks:
            lead_id = links[self._key(one)].lead_id or 0
            assert self.leads.setdefault(self._key(one), lead_id) == lead_id
            for message in one["messages"]:
                assert notes[lead_id, f"user: {message['text']}"] == 1
        assert max(notes.values(), default=0) <= 1
        theirs = Counter(tuple(one["contacts"]) for one in self.world.leads() if self._is_ours_and_open(one))
        assert max(theirs.values(), default=0) <= 1
        assert len(self.world.contacts()) <= len(PEOPLE) + 1

    def _is_ours_and_open(self, lead: dict[str, Any]) -> bool:
        place = lead["pipeline_id"] == FUNNEL and lead["status_id"] not in (WON, LOST)
        return place and lead["id"] not in self.by_hand


async def _deleted(redis: Redis, name: str) -> None:
    await redis.delete(name)


@pytest.mark.slow
@settings(max_examples=12, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEPS, min_size=8, max_size=25))
def test_one_open_lead_whatever_happens(
    valkey_server: Any, tmp_path_factory: pytest.TempPathFactory, steps: list[Step]
) -> None:
    """Random weeks of three people and a salesperson: every message once, and one open lead of ours per person."""
    office = Office(valkey_server.url, tmp_path_factory.mktemp("office"))
    try:
        for name, *numbers in [("somebody_writes", 0, 0), ("run", 0, 0), *steps, ("run", 0, 0)]:
            getattr(office, name)(*numbers)
    finally:
        office.close()
