"""What a dry-run says is what a run sends: item by item, byte for byte."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import httpx
import orjson
import pytest

from tests.cli.terminal import run
from tests.pipeline.saved_plans import Call, made_ids, saved_items, with_ids
from tests.pipeline.talks import IN_TEXT, PRODUCTS, SPELLED, Crowd, Made
from tests.world import World

TALKS = 200
ROUNDS = 5
BORIS = 10_450_986
STAGES = ("Первичный контакт", "Переговоры", "Принимают решение", None)
CITIES = ("Омск", "Казань 🚀", "Тверь", None)
LONG = "длинное сообщение 🙂 " * 60

RICH = {
    "key": "{{ source }}:{{ id }}",
    "contact": {
        "name": "{{ user_name or 'Клиент' }}",
        "phone": "{{ phone or messages | find_phone }}",
        "email": "{{ email }}",
        "tags": ["{{ source }}"],
        "fields": {"Telegram": "{{ metadata.username }}"},
    },
    "lead": {
        "name": "Заявка от {{ user_name }}{% if product_interest %} ({{ product_interest }}){% endif %}",
        "price": {"value": "{{ budget }}", "write": "overwrite"},
        "pipeline": "Воронка",
        "status": "{{ metadata.stage or 'Первичный контакт' }}",
        "responsible": {"value": "anna@example.com", "write": "create"},
        "tags": ["{{ source }}", "{{ product_interest }}"],
        "fields": {
            "Источник": "{{ source | lookup('source_names') }}",
            "Продукт": "{{ product_interest }}",
            "Город": "{{ metadata.city }}",
            "Комментарий": {"value": "{{ messages | length }} новых", "write": "update"},
        },
    },
    "note": "{% for m in messages %}{{ m.role }}: {{ m.text }}\n{% endfor %}",
}


@pytest.mark.parametrize("match", ["none", "open"])
async def test_what_a_dry_run_says_is_what_a_run_sends(world: World, seed: int, match: str) -> None:
    """For 200 talks, with people at work in the CRM between the runs, a run sends what the dry-run before it said."""
    lead: Any = RICH["lead"]
    world.write({**RICH, "lead": {**lead, "match": match}}, safety={"max_changed_share": 1})
    days = Days(world, seed)
    async with days.crm:
        for number in range(ROUNDS):
            await days.begin(number)
            plan = orjson.loads((await run(world.folder, "dry-run", "--format", "json")).out)
            before = len(world.writes())
            report = orjson.loads((await run(world.folder, "run", "--format", "json")).out)
            assert plan["changes"], number
            assert plan["refused"] == report["refused"] == []
            assert plan["summary"]["unchanged"] == report["summary"]["unchanged"]
            ids = await made_ids(world, plan)
            expected = {
                call: b",".join(orjson.dumps(with_ids(one, ids)) for one in items)
                for call, items in saved_items(plan).items()
            }
            assert sent_bytes(world, before, expected) == expected
    assert {("POST", "/api/v4/leads/link"), ("PATCH", "/api/v4/contacts")} <= {
        (one.method, one.path) for one in world.writes()
    }


def sent_bytes(world: World, since: int, expected: Mapping[Call, bytes]) -> dict[Call, bytes]:
    """The items of the writes after so many, as they stood in the bodies, by call; batches that were under way at a
    time in the order of what is expected."""
    bodies: dict[Call, list[bytes]] = {}
    for one in world.writes()[since:]:
        assert one.raw_body.startswith(b"[")
        assert one.raw_body.endswith(b"]")
        bodies.setdefault((one.method, one.path), []).append(one.raw_body[1:-1])
    return {call: b",".join(sorted(parts, key=expected.get(call, b"").find)) for call, parts in bodies.items()}


class Days:
    """Talks that go on, and salespeople who edit, close and delete."""

    def __init__(self, world: World, seed: int, count: int = TALKS) -> None:
        self.world = world
        self.dice = random.Random(seed)
        self.talks = Crowd.of(count, seed).talks
        headers = {"Authorization": f"Bearer {world.sandbox.long_lived_token()}"}
        self.crm = httpx.AsyncClient(base_url=world.sandbox.url, headers=headers)
        for made in self.talks[:6]:
            self._says(made, *(f"{index} {LONG}" for index in range(30)))

    async def begin(self, number: int) -> None:
        """What happens before a run: in the first round nothing but the talks themselves."""
        if number:
            for made in self.dice.sample(self.talks, len(self.talks) * 2 // 5):
                self._goes_on(made)
            leads, contacts = self.world.leads(), self.world.contacts()
            for lead in self.dice.sample(leads, len(leads) // 3):
                await self._edits("leads", lead["id"], self._lead_edit())
            for contact in self.dice.sample(contacts, len(contacts) // 4):
                await self._edits("contacts", contact["id"], self._contact_edit(contact))
            for kind, bodies in (("leads", leads), ("contacts", contacts)):
                gone = {"entity": kind, "id": self.dice.choice(bodies)["id"]}
                (await self.crm.post("/_sandbox/delete", json=gone)).raise_for_status()
        await self.world.store([made.stored for made in self.talks])

    def _goes_on(self, made: Made) -> None:
        dice, stored = self.dice, made.stored
        change = dice.randrange(6)
        digits = f"9{dice.randint(10**8, 10**9 - 1)}"
        parts = (digits[:3], digits[3:6], digits[6:8], digits[8:])
        if change == 0:
            self._says(made, f"мой номер {dice.choice(IN_TEXT).format(*parts)}, звоните 🙏🏽")
        elif change == 1 and not stored["phone"]:
            stored["phone"] = dice.choice(SPELLED).format(*parts)
        elif change == 2:
            stored["metadata"] |= {"city": dice.choice(CITIES), "stage": dice.choice(STAGES)}
        elif change == 3:
            stored |= {"product_interest": dice.choice(PRODUCTS), "budget": dice.randint(1, 9) * 1000}
        elif change == 4:
            stored["email"] = f"new{digits}@example.com"
        self._says(made, "ещё вопрос 🚀")

    def _says(self, made: Made, *texts: str) -> None:
        for text in texts:
            made.stored["messages"].append({"role": self.dice.choice(("user", "bot")), "text": text})

    async def _edits(self, kind: str, id_: int, item: dict[str, Any]) -> None:
        body = {"entity": kind, "id": id_, "by": BORIS} | item
        (await self.crm.post("/_sandbox/edit", json=body)).raise_for_status()

    def _lead_edit(self) -> dict[str, Any]:
        city = self.world.sandbox.account.fields["leads"].named("Город").id
        return self.dice.choice(
            (
                {"price": self.dice.randint(1, 999)},
                {"name": "Перезвонить 🙂"},
                {"status_id": 142},
                {"responsible_user_id": BORIS},
                {"tags_to_add": [{"name": "важный"}]},
                {"custom_fields_values": [{"field_id": city, "values": [{"value": "Тула"}]}]},
                {"custom_fields_values": [{"field_id": city, "values": None}]},
            )
        )

    def _contact_edit(self, contact: dict[str, Any]) -> dict[str, Any]:
        phone = {"value": f"+7925{self.dice.randint(0, 9_999_999):07}", "enum_code": "MOB"}
        known = contact["custom_fields_values"] or []
        there = [one for field in known if field["field_code"] == "PHONE" for one in field["values"]]
        beside = [{"value": one["value"], "enum_code": one["enum_code"]} for one in there]
        return self.dice.choice(
            (
                {"name": "Иван Грозный"},
                {"custom_fields_values": [{"field_code": "PHONE", "values": [*beside, phone]}]},
                {"responsible_user_id": BORIS},
            )
        )
