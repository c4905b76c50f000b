"""Every change of a plan says why it is made, and where its values come from."""

from __future__ import annotations

from typing import Any

from leadsync.sync.changes import Change, FieldChange
from leadsync.sync.results import Plan
from tests.world import World, talk

PHONE = "Мой телефон 8 916 123-45-67"
MAPPING: dict[str, Any] = {
    "key": "{{ id }}",
    "contact": {
        "phone": "{{ phone or messages | find_phone }}",
        "email": "{{ email }}",
        "fields": {"Telegram": "{{ metadata.nick }}"},
        "tags": ["бот"],
    },
    "lead": {
        "name": "Заявка: {{ product_interest or '-' }}",
        "price": "{{ budget }}",
        "status": "{% if budget and budget > 100 %}Переговоры{% else %}Первичный контакт{% endif %}",
        "fields": {"Город": "{{ metadata.city }}"},
    },
    "note": "{% for m in messages %}{{ m.text }}\n{% endfor %}",
}


def mapped(**lead: Any) -> dict[str, Any]:
    return MAPPING | {"lead": MAPPING["lead"] | lead}


async def planned(world: World, *talks: dict[str, Any]) -> Plan:
    await world.store(talks)
    async with world.pipeline() as pipeline:
        return await pipeline.plan()


def reasons(plan: Plan) -> dict[str, str]:
    return {one.entity: one.reason for one in plan.changes}


def change_of(plan: Plan, entity: str) -> Change:
    (change,) = [one for one in plan.changes if one.entity == entity]
    return change


def fields_of(plan: Plan, entity: str) -> dict[str, FieldChange]:
    return {one.name: one for one in change_of(plan, entity).fields}


async def test_everything_new_says_so(world: World) -> None:
    """A new person, a new talk, and how much of it; a phone that was found says in which message."""
    world.write(MAPPING)
    plan = await planned(world, talk("1", "Добрый день", PHONE))
    assert reasons(plan) == {"contact": "new person", "lead": "new talk", "note": "the talk: 2 messages"}
    phone, tags = (fields_of(plan, "contact")[name] for name in ("phone", "tags"))
    assert (phone.why, tags.why) == ("phone found in message 2", "new")
    assert {one.why for one in fields_of(plan, "lead").values()} == {"new"}


async def test_every_value_has_its_origin(world: World) -> None:
    """Each value, phone, e-mail, tag and text of a note says which expression of which line it comes from."""
    world.write(MAPPING | {"key_field": "ID диалога"})
    plan = await planned(
        world, talk("1", PHONE, email="a@example.com", budget=5, metadata={"nick": "@i", "city": "Омск"})
    )
    found = {
        (change.entity, one.name): None if one.origin is None else (one.origin.expression, one.origin.message)
        for change in plan.changes
        for one in change.fields
    }
    assert found == {
        ("contact", "phone"): ("{{ phone or messages | find_phone }}", 1),
        ("contact", "email"): ("{{ email }}", None),
        ("contact", "Telegram"): ("{{ metadata.nick }}", None),
        ("contact", "tags"): ("бот", None),
        ("lead", "name"): ("Заявка: {{ product_interest or '-' }}", None),
        ("lead", "price"): ("{{ budget }}", None),
        ("lead", "stage"): (MAPPING["lead"]["status"], None),
        ("lead", "Город"): ("{{ metadata.city }}", None),
        ("lead", "ID диалога"): ("{{ id }}", None),
        ("note", "text"): ("{% for m in messages %}{{ m.text }} {% endfor %}", None),
    }
    lines = (world.folder / "mapping.yaml").read_text(encoding="utf-8").splitlines()
    for name, text in (("price", "budget"), ("Город", "metadata.city")):
        origin = fields_of(plan, "lead")[name].origin
        assert origin is not None
        assert text in lines[origin.place.line - 1]


async def test_phone_that_appears_says_in_which_message(world: World) -> None:
    """A phone that a known person, or a lead without one, gets later is the reason of the change."""
    world.write(MAPPING)
    await world.store([talk("1", "Привет", email="a@example.com"), talk("2", "Привет")])
    await world.run()
    plan = await planned(world, talk("1", "Привет", "Вот:", PHONE, email="a@example.com"))
    assert reasons(plan) == {"contact": "phone appeared in message 3", "note": "2 new messages"}
    plan = await planned(world, talk("1", "Привет", email="a@example.com"), talk("2", "Привет", PHONE))
    assert reasons(plan) == {
        "contact": "new person",
        "link": "the talk's contact appeared",
        "note": "1 new message",
    }
    plan = await planned(world, talk("1", phone="+79161234567", email="a@example.com"), talk("2", "Привет"))
    assert fields_of(plan, "contact")["phone"].why == "new phone"


async def test_stage_rule_names_its_line(world: World) -> None:
    """A stage that moves is the reason of its change, with the line of the rule, before values that follow the talk."""
    world.write(MAPPING)
    await world.store([talk("1", budget=50, metadata={"city": "Омск"})])
    await world.run()
    plan = await planned(world, talk("1", budget=500, product_interest="AI", metadata={"city": "Омск"}))
    line = next(
        number
        for number, text in enumerate((world.folder / "mapping.yaml").read_text(encoding="utf-8").splitlines(), 1)
        if "status:" in text
    )
    rule, _, rest = reasons(plan)["lead"].partition("; ")
    assert rule.startswith("stage rule ")
    assert rule.endswith(f"mapping.yaml:{line}")
    assert rest == "the talk or the mapping changed"


async def test_each_field_says_why(world: World) -> None:
    """A value follows the talk, fills what was empty, follows the mapping, or overwrites what a person wrote."""
    world.write(
        mapped(fields={"Город": "{{ metadata.city }}", "Бюджет": {"value": "{{ budget }}", "write": "overwrite"}})
    )
    await world.store([talk("1", budget=50)])
    await world.run()
    (lead,) = world.sandbox.account.leads
    field = world.sandbox.account.fields["leads"].named("Бюджет")
    lead.values[field.id] = [{"value": "77"}]
    world.write(
        mapped(
            name="Постоянное",
            fields={"Город": "{{ metadata.city }}", "Бюджет": {"value": "{{ budget }}", "write": "overwrite"}},
            tags=["горячий"],
            responsible="boris@example.com",
        )
    )
    plan = await planned(world, talk("1", budget=60, metadata={"city": "Омск"}))
    assert {name: (one.before, one.why) for name, one in fields_of(plan, "lead").items()} == {
        "name": ("Заявка: -", "the mapping says otherwise now"),
        "price": ("50", "the talk or the mapping changed"),
        "Город": (None, "was empty"),
        "Бюджет": ("77", "the mapping says overwrite"),
        "responsible": ("Анна", "was amoCRM's default"),
        "tags": (None, "new tag"),
    }
    first, _, rest = reasons(plan)["lead"].partition("; ")
    assert first == "the mapping says otherwise now"
    assert rest.endswith(" and 4 more")


async def test_values_are_shown_as_people_read_them(world: World) -> None:
    """Before and after are dates, labels, yes and numbers, not what amoCRM calls them."""
    fields = {
        name: f"{{{{ metadata['{name}'] }}}}" for name in ("Дата встречи", "Время звонка", "Согласие", "Интересы")
    }
    world.write(mapped(fields=fields))
    first = dict(zip(fields, ("2026-11-01", "2026-11-01 12:00", "да", "Аналитика; Продажи"), strict=True))
    await world.store([talk("1", metadata=first)])
    await world.run()
    later = dict(zip(fields, ("2.11.2026", "2026-11-01T12:30:00Z", "нет", "Документы"), strict=True))
    plan = await planned(world, talk("1", metadata=later))
    assert {name: (one.before, one.after) for name, one in fields_of(plan, "lead").items()} == {
        "Дата встречи": ("01.11.2026", "02.11.2026"),
        "Время звонка": ("01.11.2026 12:00", "01.11.2026 15:30"),
        "Согласие": ("yes", "no"),
        "Интересы": ("Аналитика, Продажи", "Документы"),
    }
