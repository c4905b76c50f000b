"""What was applied is not planned again: whatever the mapping, the talks and the types of the fields are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from leadsync.amocrm import CustomField
from leadsync.sandbox import Sandbox, Switches
from leadsync.state.links import link_hash
from tests.amocrm.test_read_back import FIELDS, WORDS, texts
from tests.world import NAMES, World, talk

TALKS = 3
WRITES = st.sampled_from(("update", "create", "overwrite"))
LEAD_FIELDS, CONTACT_FIELDS = (
    [one for one in FIELDS.values() if one.entity == entity and one.code not in {"PHONE", "EMAIL"}]
    for entity in ("leads", "contacts")
)
STATUSES = ("Первичный контакт", "Переговоры", "Принимают решение", "142")
USERS = ("anna@example.com", "Борис", "10450722")
PRICES = st.sampled_from(("0", "100", "1 500,00", "99 999 руб.", "0,4"))

Values = dict[str, Any]


def _no_object(text: str) -> str:
    """What begins with a brace has to be an object where a company or an address is wanted."""
    return text.replace("{", "(")


def own(words: st.SearchStrategy[str]) -> st.SearchStrategy[str | None]:
    """A value that a talk may lack."""
    return st.none() | words


OWN = {
    "price": PRICES,
    "status": st.sampled_from(STATUSES),
    "responsible": st.sampled_from(USERS),
    "name": WORDS,
    "first_name": WORDS,
    "last_name": WORDS,
    "tag": WORDS.map("т{}".format),  # an account that cuts at an emoji refuses a tag of which nothing is left
}


@dataclass
class Plan:
    """A random mapping, and the values its talks have in each of two rounds, by name."""

    mapping: dict[str, Any]
    rounds: tuple[list[Values], list[Values]]
    shared: bool
    zone: str
    keeps_emoji: bool
    cuts_at_emoji: bool


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Mappings of a few values each, with values that fit their fields."""
    strategies: dict[str, st.SearchStrategy[Any]] = {}

    def value(name: str, words: st.SearchStrategy[str]) -> dict[str, Any] | str:
        """An expression that takes its value from the talk, or a constant, in long or in short form."""
        strategies[name] = own(words)
        text = draw(st.sampled_from(("{{ metadata.%s }}", "{{ metadata.%s or '' }}", " {{ metadata['%s'] }} "))) % name
        return {"value": text, "write": draw(WRITES)} if draw(st.booleans()) else text

    def fields(known: Sequence[CustomField]) -> dict[Any, Any]:
        chosen = draw(st.lists(st.sampled_from(known), max_size=6, unique_by=lambda one: one.id))
        return {one.id: value(f"f{one.id}", texts(one).map(_no_object)) for one in chosen}

    def some(prefix: str, names: Sequence[str]) -> dict[str, Any]:
        return {one: value(f"{prefix}_{one}", OWN[one]) for one in names if draw(st.booleans())}

    def tags(prefix: str) -> list[Any]:
        return draw(st.sampled_from(([], ["бот"], ["бот", f"{{{{ metadata.{prefix}_tag }}}}"])))

    strategies |= {"lead_tag": own(OWN["tag"]), "contact_tag": own(OWN["tag"])}
    lead = some("lead", ("name", "price", "status", "responsible")) | {"tags": tags("lead")}
    whole_or_parts = draw(st.sampled_from((("name",), ("first_name", "last_name"))))  # of both, one makes the other
    contact = some("contact", (*whole_or_parts, "responsible")) | {"tags": tags("contact")}
    mapping: dict[str, Any] = {
        "key": "{{ id }}",
        "contact": contact
        | {"phone": "{{ phone or messages | find_phone }}", "email": "{{ email }}", "fields": fields(CONTACT_FIELDS)},
        "lead": lead | {"fields": fields(LEAD_FIELDS)},
    }
    if draw(st.booleans()):
        mapping["note"] = "{{ messages }}"
    talks = st.lists(st.fixed_dictionaries(strategies), min_size=TALKS, max_size=TALKS)
    return Plan(
        mapping,
        (draw(talks), draw(talks)),
        shared=draw(st.booleans()),
        zone=draw(st.sampled_from(("Europe/Moscow", "Asia/Vladivostok", "America/Santiago"))),
        keeps_emoji=draw(st.booleans()),
        cuts_at_emoji=draw(st.booleans()),
    )


def stored(number: int, values: Mapping[str, Any], shared: bool, round_: int) -> dict[str, Any]:
    """A talk of somebody who gives a phone in a message, in another spelling each time."""
    phone = f"916 123-45-{0 if shared else number}7"
    told = ("+7 ", "8-")[round_] + phone
    return talk(str(number), "Добрый день", f"Мой телефон {told}", metadata=values, email=f"a{number}@example.com")


async def applied_twice(plan: Plan, redis_url: str, folder: Path) -> None:
    """Two rounds of talks are applied; after each, nothing is left to do, however closely one looks."""
    switches = Switches(cut_at_emoji=plan.cuts_at_emoji)
    async with Redis.from_url(redis_url) as redis, Sandbox(rate=0, switches=switches) as sandbox:
        await redis.flushall()
        sandbox.account.info["timezone"] = plan.zone
        sandbox.account.zone = ZoneInfo(plan.zone)
        world = World(sandbox, redis, redis_url, folder)
        world.write(plan.mapping, amocrm={"four_byte_characters": "keep" if plan.keeps_emoji else "strip"})
        async with world.pipeline() as pipeline:
            for round_, talks in enumerate(plan.rounds):
                await world.store(stored(number, values, plan.shared, round_) for number, values in enumerate(talks))
                report = await pipeline.run()
                assert report.refused == []
                again = await pipeline.plan()
                assert (again.changes, again.kept) == ([], [])
                if not plan.shared:
                    await forget_what_was_said(redis)
                    again = await pipeline.plan()
                    assert (again.changes, again.kept) == ([], [])


async def forget_what_was_said(redis: Redis) -> None:
    """Let the next plan compare every value with the CRM, as if each talk had moved."""
    for number in range(TALKS):
        await redis.hset(NAMES.name(link_hash(str(number))), mapping={"said_contact": "", "said_lead": ""})


@pytest.mark.slow
@settings(max_examples=30, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
@given(plan=plans())
def test_apply_then_plan_again_gives_nothing(
    valkey_server: Any, tmp_path_factory: pytest.TempPathFactory, plan: Plan
) -> None:
    """After a run a plan is empty, also when it compares every value with what the CRM shows, and nothing is kept."""
    asyncio.run(applied_twice(plan, valkey_server.url, tmp_path_factory.mktemp("again")))
