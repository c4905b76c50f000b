"""`leadsync explain KEY`: one record from what its source found to what amoCRM said of it, as people type it."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest

from leadsync.sandbox.starter import ADMIN_ID
from tests.cli.terminal import Ended, on_terminal, run
from tests.world import MAPPING, World, talk

PHONES = MAPPING | {
    "contact": {"name": "{{ user_name }}", "phone": "{{ phone or messages | find_phone }}", "email": "{{ email }}"}
}
TELLING = ("Здравствуйте", "мой номер 8 916 123-45-67")


async def explained(world: World, key: str, *more: str, code: int = 0) -> dict[str, Any]:
    """The JSON document about a record."""
    ended = await run(world.folder, "explain", key, "--format", "json", *more)
    assert ended.code == code, ended.err
    document: dict[str, Any] = orjson.loads(ended.out)
    return document


async def shown(world: World, key: str) -> Ended:
    """What the terminal gets."""
    return await run(world.folder, "explain", key)


def edit_price(world: World, price: int) -> None:
    """Change the price of the only lead, as the account's administrator."""
    account = world.sandbox.account
    (lead,) = account.leads
    lead.facts |= {"price": price, "updated_by": ADMIN_ID, "updated_at": int(time.time())}
    account.put(lead)


async def test_a_record_that_is_new(world: World) -> None:
    """Found, read and rendered with expression, line and message; what is empty; the plan; nothing remembered."""
    world.write(PHONES)
    await world.store([talk("1", *TELLING)])
    ended = await shown(world, "telegram:1")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0] == "telegram:1  dialog:1 in redis-dialogs"
    for line in (
        "  user_name: Иван",
        "      2  user: мой номер 8 916 123-45-67",
        "  contact.phone: +79161234567",
        "      message 2, mapping.yaml:4: {{ phone or messages | find_phone }}",
        "  contact.email: empty: nothing is sent",
        "  lead.name: Заявка от Иван",
        "  + contact  (new person)",
        "  + lead  (new talk)",
        "  nothing: no run has brought this record into the CRM",
    ):
        assert line in lines
    assert '"user_name":"Иван"' in ended.out  # as it was found
    assert world.writes() == []


async def test_three_columns(world: World) -> None:
    """After a run each value stands as we wrote it last, as it is in amoCRM now, and as the talk says."""
    world.write(PHONES)
    await world.store([talk("1", *TELLING, budget=5000, product_interest="AI Lawyer")])
    await run(world.folder, "run")
    edit_price(world, 9000)
    await world.store([talk("1", *TELLING, budget=7000)])
    document = await explained(world, "telegram:1")
    remembered = document["remembered"]
    (lead,), (contact,) = world.leads(), world.contacts()
    assert (remembered["lead_id"], remembered["contact_id"]) == (lead["id"], contact["id"])
    assert (remembered["noted"], remembered["contact_said"], remembered["lead_said"]) == (2, True, False)
    rows = {(one["entity"], one["name"]): (one["wrote"], one["now"], one["wanted"]) for one in remembered["values"]}
    assert rows["lead", "price"] == ("changed since", "9000", "7000")
    assert rows["lead", "Источник"] == ("as we wrote it", "Telegram Bot", "Telegram Bot")
    assert rows["lead", "Продукт"] == ("as we wrote it", "AI Lawyer", None)
    assert rows["contact", "phone"] == ("as we wrote it", "+79161234567", "+79161234567")
    assert rows["lead", "name"] == ("as we wrote it", "Заявка от Иван (AI Lawyer)", "Заявка от Иван")
    (kept,) = document["planned"]["kept"]
    assert (kept["name"], kept["now"], kept["wanted"]) == ("price", "9000", "7000")
    assert (kept["origin"]["expression"], kept["origin"]["file"]) == ("{{ budget }}", "mapping.yaml")
    ended = await shown(world, "telegram:1")
    assert any(line.split() == ["lead", "price", "changed", "since", "9000", "7000"] for line in ended.out.splitlines())
    assert "      price: 9000 stays; the talk says 7000" in ended.out
    assert "  of the lead the talk says something else than last time" in ended.out.splitlines()


async def test_nothing_to_do(world: World) -> None:
    """A record that is in the CRM as it is says so, and asking about it changes nothing there."""
    await world.store([talk("1")])
    await run(world.folder, "run")
    before = len(world.writes())
    assert "  = nothing to do" in (await shown(world, "telegram:1")).out.splitlines()
    assert len(world.writes()) == before


async def test_skipped_by_when(world: World) -> None:
    """A record that the mapping's `when` leaves out is told so, with the line of the `when`."""
    world.write({"when": "{{ phone or email }}", **MAPPING})
    await world.store([talk("1")])
    lines = (await shown(world, "telegram:1")).out.splitlines()
    said = lines.index("  when: the mapping's `when` says no: the record is skipped")
    assert lines[said + 1] == "      mapping.yaml:1: {{ phone or email }}"
    document = await explained(world, "telegram:1")
    assert (document["skipped"]["origin"]["line"], document["planned"], document["rendered"]) == (1, None, [])


async def test_what_stopped_it_and_the_last_error(world: World) -> None:
    """A record that cannot be mapped shows where it stops now, and how the last run ended."""
    await world.store([talk("1", phone="123")])
    assert (await run(world.folder, "run")).code == 3
    document = await explained(world, "telegram:1")
    assert document["planned"]["refused"][0]["field"] == "contact.phone"
    assert document["last_error"]["where"].startswith("mapping.yaml:")
    lines = (await shown(world, "telegram:1")).out.splitlines()
    assert "  ✗ telegram:1  contact.phone" in lines
    assert "last error" in lines
    assert any(line.startswith("  tried: 1×, last ") for line in lines)


async def test_a_name_that_is_not_there(world: World) -> None:
    """A mapping that names what the record does not hold is stopped with its line, and the rest is shown."""
    world.write(MAPPING | {"note": "{{ town }}"})
    await world.store([talk("1")])
    document = await explained(world, "telegram:1")
    assert document["stopped"]["where"].startswith("mapping.yaml:")
    assert document["record"]["user_name"] == "Иван"
    assert "stopped" in (await shown(world, "telegram:1")).out.splitlines()


async def test_what_amocrm_answered(world: World) -> None:
    """After a refusal by amoCRM the item that was sent and the answer are shown."""
    await world.store([talk("1")])
    async with world.pipeline() as pipeline:
        world.sandbox.account.remove_field(world.sandbox.account.fields["leads"].named("Источник"))
        await pipeline.run()
        found = await pipeline.explain("telegram:1")
    assert found.refused is not None
    assert found.refused.request == "POST /api/v4/leads"
    assert found.refused.answer is not None
    assert found.plan is not None
    assert [row.field for row in found.plan.refused] == ["lead.fields.Источник"]


async def test_a_pushed_record(world: World) -> None:
    """A refused push is explained from where it is kept, since no source holds it."""
    async with world.pipeline() as pipeline:
        assert not (await pipeline.push(talk("7", phone="123"))).success
    document = await explained(world, "telegram:7")
    assert (document["source"], document["place"], document["raw"]) == (None, "push:telegram:7", None)
    assert document["record"]["user_name"] == "Иван"
    assert document["planned"]["refused"][0]["field"] == "contact.phone"
    assert (await shown(world, "telegram:7")).out.splitlines()[0] == "telegram:7  push:telegram:7, pushed"


async def test_what_cannot_be_read(world: World) -> None:
    """A talk that is no record is found by the place where it lies, with what was found and what is wrong."""
    await world.redis.set("dialog:5", '{"id": "5", "messages": ')
    await run(world.folder, "run")
    document = await explained(world, "dialog:5")
    assert (document["key"], document["raw"], document["record"]) == ("dialog:5", '{"id": "5", "messages": ', None)
    assert "not JSON" in document["stopped"]["reason"]
    assert "not JSON" in document["last_error"]["reason"]


async def test_a_record_that_left_its_source(world: World) -> None:
    """What is remembered of a key is shown though no source holds the record any more."""
    await world.store([talk("1")])
    await run(world.folder, "run")
    await world.redis.delete("dialog:1")
    document = await explained(world, "telegram:1")
    assert (document["source"], document["record"]) == (None, None)
    assert document["remembered"]["lead_id"] == world.leads()[0]["id"]
    assert "no source holds this record" in (await shown(world, "telegram:1")).out


async def test_an_unknown_key(world: World) -> None:
    """A key that nobody has ends with 78 and the nearest ones."""
    await world.store([talk("4711"), talk("1234")])
    ended = await run(world.folder, "explain", "telegram:4712")
    assert (ended.code, ended.out) == (78, "")
    assert "did you mean telegram:4711" in ended.err


async def test_sources(world: World) -> None:
    """All sources are looked through; `--source` names one, and an unknown one is a mistake."""
    inbox = {"type": "jsonl", "path": "inbox.jsonl", "mapping": "mapping.yaml"}
    dialogs = {"type": "redis-dialogs", "match": "dialog:*", "mapping": "mapping.yaml"}
    world.write(sources={"dialogs": dialogs, "inbox": inbox})
    (world.folder / "inbox.jsonl").write_bytes(orjson.dumps(talk("9")) + b"\n")
    document = await explained(world, "telegram:9")
    assert (document["source"], document["place"]) == ("inbox", "inbox.jsonl:1")
    assert orjson.loads(document["raw"]) == talk("9")
    assert (await explained(world, "inbox.jsonl:1"))["key"] == "telegram:9"
    assert (await run(world.folder, "explain", "telegram:9", "--source", "dialogs")).code == 78
    assert (await run(world.folder, "explain", "telegram:9", "--source", "inbx")).code == 78


async def test_how_the_layouts_of_redis_are_shown(world: World) -> None:
    """A hash shows its fields and messages, a list its messages, as they lie there."""
    await world.redis.hset("dialog:h", mapping={"user_name": "Иван", "source": "telegram"})
    await world.redis.rpush("dialog:h:messages", '{"role": "user", "content": "да"}')
    await world.redis.rpush("dialog:l", "привет", "пока")
    document = await explained(world, "telegram:h")
    assert document["raw"] == 'source: telegram\nuser_name: Иван\n{"role": "user", "content": "да"}'
    assert (await explained(world, "dialog:l"))["raw"] == "привет\nпока"


@pytest.mark.parametrize("known", [False, True])
async def test_amocrm_is_away(world: World, known: bool) -> None:
    """When amoCRM cannot be asked, what needs no CRM is shown all the same, and why; the command ends with 1."""
    world.write(PHONES)
    await world.store([talk("1", *TELLING)])
    if known:
        await run(world.folder, "run")
        await world.store([talk("1", *TELLING, budget=5)])
    world.sandbox.faults.add("GET /api/v4/* ban403")
    document = await explained(world, "telegram:1", code=1)
    assert "blocked" in document["trouble"]
    assert document["record"]["user_name"] == "Иван"
    assert {one["target"]: one["text"] for one in document["rendered"]}["contact.phone"] == "+79161234567"
    assert (document["planned"], document["remembered"]["values"]) == (None, [])
    assert (document["remembered"]["lead_id"] is not None) == known
    ended = await shown(world, "telegram:1")
    assert ended.code == 1
    assert "amoCRM could not be asked" in ended.out
    assert "  contact.phone: +79161234567" in ended.out.splitlines()


async def test_it_fits_on_a_terminal(world: World) -> None:
    """On a terminal of 80 columns no line is longer, whatever the talk holds."""
    await world.store([talk("1", "слово " * 100, user_name="И" * 100)])
    await run(world.folder, "run")
    assert all(len(line) <= 80 for line in await on_terminal(world.folder, "explain", "telegram:1"))
