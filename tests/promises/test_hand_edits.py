"""What a person changes in the CRM stays, whatever kind of value it is, until the mapping says `overwrite`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import httpx
import pytest

from leadsync.sandbox.fields import TYPES
from tests.world import World, talk

RUNS = 10
BORIS = 10_450_986
NOT_FROM_TEXT = {"file", "chained_list"}
DAY = 86_400
NOON = 1_793_523_600  # 2026-11-01 12:00 in Moscow

Entity = Literal["leads", "contacts"]
COUNTERS: dict[Entity, str] = {"leads": "Город", "contacts": "Должность"}
"""A field of each entity that says something new in every run, so that the entity is compared in every run."""


@dataclass(frozen=True)
class Case:
    """A value: what the talk says at first, what a person writes (the parts of a PATCH item, or the values of a field
    of that type), and what the talk says later."""

    first: str
    by_hand: Any
    later: str
    type: str | None = None
    entity: Entity = "leads"


def typed(type_: str, first: str, by_hand: list[Any], later: str, entity: Entity = "leads") -> Case:
    return Case(first, [{"value": one} if not isinstance(one, dict) else one for one in by_hand], later, type_, entity)


ADDRESS = '{"city": "%s", "address_line_1": "Мира, 1"}'
FIELDS = {
    "text": typed("text", "Москва", ["Казань"], "Тверь"),
    "textarea": typed("textarea", "раз\nдва ", ["раз\nдва\nтри"], "четыре"),
    "streetaddress": typed("streetaddress", "Мира, 1", ["Мира, 2"], "Мира, 3"),
    "tracking_data": typed("tracking_data", "google", ["yandex"], "bing"),
    "url": typed("url", "https://a.example", ["https://b.example"], "https://c.example"),
    "numeric": typed("numeric", "10 000", ["10000.5"], "20 000,00"),
    "numeric, from 0": typed("numeric", "0", ["1"], "0"),
    "monetary": typed("monetary", "1 500 ₽", ["1600"], "1700"),
    "checkbox, unticked": typed("checkbox", "да", [False], "yes"),
    "checkbox, ticked": typed("checkbox", "нет", [True], "0"),
    "select": typed("select", "А", ["Б"], "В"),
    "radiobutton": typed("radiobutton", "А", ["Б"], "В"),
    "multiselect": typed("multiselect", "А, Б", ["Б", "В"], "В; А"),
    "date": typed("date", "01.11.2026", [NOON + DAY], "2026-11-05"),
    "birthday": typed("birthday", "01.11.1990", ["1990-11-02T12:00:00+03:00"], "1990-11-05"),
    "date_time": typed("date_time", "01.11.2026 12:00", [NOON + 60], "2026-11-05T12:00:00+03:00"),
    "smart_address": typed(
        "smart_address", ADDRESS % "Москва", [{"value": "Казань", "enum_code": "city"}], ADDRESS % "Тверь"
    ),
    "legal_entity": typed(
        "legal_entity", "ООО Ромашка", [{"value": {"name": "ООО Ромашка", "vat_id": "7700000000"}}], "АО Роза"
    ),
    "multitext": typed("multitext", "ivan", [{"value": "petr", "enum_code": "SKYPE"}], "oleg", "contacts"),
}
OWN = {
    "lead name": Case("Заявка", {"name": "Правка"}, "Другая"),
    "price": Case("100", {"price": 150}, "200"),
    "price, to nothing": Case("100", {"price": 0}, "200"),
    "price, from nothing": Case("0", {"price": 5}, "200"),
    "stage": Case("Переговоры", {"status_id": 142}, "Принимают решение"),
    "stage, another pipeline": Case("Переговоры", {"pipeline_id": 7_055_602, "status_id": 59_144_294}, "Переговоры"),
    "responsible": Case("anna@example.com", {"responsible_user_id": BORIS}, "Анна"),
    "contact name": Case("Иван Петров", {"name": "Иван Сидоров"}, "Иван", entity="contacts"),
    "first_name": Case("Иван", {"first_name": "Пётр"}, "Олег", entity="contacts"),
    "last_name": Case("Иванов", {"last_name": "Петров"}, "Олегов", entity="contacts"),
}
TARGETS = {"lead name": "name", "contact name": "name", "stage": "status"}


def test_every_type_of_a_field_is_tried() -> None:
    """Each type that a text can fill has its case."""
    assert {one.type for one in FIELDS.values()} == TYPES - NOT_FROM_TEXT


def mapping(target: str, case: Case, write: str) -> dict[str, Any]:
    """A mapping of one value that takes what the talk says now, and of one that moves in every run."""
    value = {"value": "{{ metadata.value }}", "write": write}
    own: dict[str, Any] = {} if case.type else {target: value}
    fields = {COUNTERS[case.entity]: "{{ metadata.round }}"} | ({target: value} if case.type else {})
    contact: dict[str, Any] = {"phone": "{{ phone }}"}
    parts = {"contacts": contact, "leads": {}}
    parts[case.entity] |= own | {"fields": fields}
    return {"key": "{{ id }}", "contact": contact, "lead": parts["leads"]}


async def control(world: World, method: str, path: str, body: Any) -> Any:
    """A request to the look-alike, with the project's token."""
    headers = {"Authorization": f"Bearer {world.sandbox.long_lived_token()}"}
    async with httpx.AsyncClient(base_url=world.sandbox.url, headers=headers) as crm:
        answer = await crm.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json()


async def make_field(world: World, case: Case) -> str:
    """A new field of that type in the account; its name."""
    if case.type == "multitext":
        return "Мгн. сообщения"
    enums = [{"value": label} for label in "АБВ"] if case.type in {"select", "radiobutton", "multiselect"} else None
    body = [{"name": "Поле", "type": case.type} | ({"enums": enums} if enums else {})]
    await control(world, "POST", f"/api/v4/{case.entity}/custom_fields", body)
    return "Поле"


async def says(world: World, round_: int, value: str) -> None:
    """What the talk says in a round."""
    await world.store([talk("1", phone="+79161234567", metadata={"value": value, "round": str(round_)})])


def body_of(world: World, entity: Entity) -> dict[str, Any]:
    (body,) = world.leads() if entity == "leads" else world.contacts()
    return body


def held(body: Mapping[str, Any], target: str, case: Case) -> Any:
    """What the CRM shows of the value."""
    if case.type:
        return next((one["values"] for one in body["custom_fields_values"] if one["field_name"] == target), None)
    return {key: body[key] for key in case.by_hand}


def round_of(body: Mapping[str, Any], case: Case) -> Any:
    """Which round the entity was brought up to."""
    values = {one["field_name"]: one["values"] for one in body["custom_fields_values"]}
    return values[COUNTERS[case.entity]][0]["value"]


@pytest.mark.parametrize("name", [*FIELDS, *OWN])
async def test_edit_by_hand_survives_ten_runs_and_no_overwrite(world: World, name: str) -> None:
    """A person's value stays through ten runs that each bring something else; `overwrite` takes it back."""
    case = FIELDS.get(name) or OWN[name]
    target = await make_field(world, case) if case.type else TARGETS.get(name, name.partition(",")[0])
    target = "status" if target == "stage" else target
    world.write(mapping(target, case, "update"))
    await says(world, 0, case.first)
    await world.run()
    made = held(body_of(world, case.entity), target, case)

    edit = case.by_hand
    if case.type:
        field = world.sandbox.account.fields[case.entity].named(target)
        edit = {"custom_fields_values": [{"field_id": field.id, "values": case.by_hand}]}
    body = {"entity": case.entity, "id": body_of(world, case.entity)["id"], "by": BORIS} | edit
    await control(world, "POST", "/_sandbox/edit", body)
    by_hand = held(body_of(world, case.entity), target, case)
    assert by_hand != made

    async with world.pipeline() as pipeline:
        for round_ in range(1, RUNS + 1):
            await says(world, round_, case.later if round_ % 2 else case.first)
            plan = await pipeline.plan()
            assert [(one.why, one.by) for one in plan.kept] == [
                ("changed in amoCRM since our last write", "Борис" if round_ == 1 else None)
            ]
            await pipeline.run()
            shown = body_of(world, case.entity)
            assert (held(shown, target, case), round_of(shown, case)) == (by_hand, str(round_))

    world.write(mapping(target, case, "overwrite"))
    await says(world, RUNS + 1, case.later)
    await world.run()
    assert held(body_of(world, case.entity), target, case) != by_hand
    async with world.pipeline() as pipeline:
        assert (await pipeline.plan()).changes == []
