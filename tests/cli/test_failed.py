"""`leadsync failed` and `leadsync rebuild`, as people type them."""

from __future__ import annotations

from typing import Any

import orjson
from cryptography.fernet import Fernet

from tests.cli.terminal import run
from tests.world import MAPPING, World, talk


async def json_of(world: World, *arguments: str) -> dict[str, Any]:
    """The one JSON document of a command that ends with 0."""
    ended = await run(world.folder, *arguments, "--format", "json")
    assert ended.code == 0, ended.err
    document: dict[str, Any] = orjson.loads(ended.out)
    return document


async def test_list_sorts_by_what_has_to_be_done(world: World) -> None:
    """The list groups refused records by remedy, with field, reason and tries, and counts them."""
    world.write({**MAPPING, "lead": {"name": "{{ user_name }} {{ city }}", "price": "{{ budget }}"}})
    await world.store([talk("1", phone="123"), talk("2", city="Казань", budget="много"), talk("3", city="Казань")])
    await run(world.folder, "run")
    listed = (await run(world.folder, "failed", "list")).out
    assert listed.index("fix the mapping") < listed.index("telegram:1") < listed.index("fix the record")
    assert "telegram:2  lead.price" in listed
    assert "tried 1×" in listed
    assert "2 refused: 1 fix the mapping, 1 fix the record" in listed


async def test_show_tells_everything(world: World) -> None:
    """`show` gives the field, the reason, what to do, the item that was sent and what amoCRM answered."""
    await world.store([talk("1")])
    async with world.pipeline() as pipeline:
        world.sandbox.account.remove_field(world.sandbox.account.fields["leads"].named("Источник"))
        await pipeline.run()
    shown = await json_of(world, "failed", "show", "telegram:1")
    assert shown["field"] == "lead.fields.Источник"
    assert shown["payload"]["name"] == "Заявка от Иван"
    assert shown["request"] == "POST /api/v4/leads"
    assert shown["record"]["user_name"] == "Иван"
    assert shown["answer"]["errors"][0]["code"] == "NotSupportedChoice"
    text = (await run(world.folder, "failed", "show", "telegram:1")).out
    assert "lead.fields.Источник" in text
    assert "NotSupportedChoice" in text


async def test_what_to_do_and_where(world: World) -> None:
    """The list says under each reason what to do; `show` names the line of the mapping that asked for it."""
    world.write({**MAPPING, "lead": {"name": "{{ user_name }} {{ city }}"}})
    await world.store([talk("1"), talk("2", phone="123", city="Казань")])
    await run(world.folder, "run")
    listed = (await run(world.folder, "failed", "list")).out.splitlines()
    kept = (await json_of(world, "failed", "list"))["refused"]
    assert len(kept) == 2
    for one in kept:
        assert listed[listed.index(f"      {one['reason']}") + 1] == f"      what to do: {one['do']}"
        shown = (await run(world.folder, "failed", "show", one["key"])).out.splitlines()
        assert one["where"].startswith("mapping.yaml:")
        assert f"at         {one['where']}" in shown


async def test_retry_brings_what_was_mended(world: World) -> None:
    """After the record is mended, `retry KEY` brings it, and the list is empty; an unknown key says so."""
    await world.store([talk("1", phone="123"), talk("2", phone="12")])
    await run(world.folder, "run")
    await world.store([talk("1", phone="+79161234567")])
    retried = await run(world.folder, "failed", "retry", "telegram:1")
    assert retried.code == 0
    assert "1 lead" in retried.out
    assert [one["key"] for one in (await json_of(world, "failed", "list"))["refused"]] == ["telegram:2"]
    assert (await run(world.folder, "failed", "retry")).code == 3
    unknown = await run(world.folder, "failed", "retry", "telegram:9")
    assert unknown.code == 78
    assert "failed list" in unknown.err


async def test_a_pushed_record_is_retried_without_its_bot(world: World) -> None:
    """A refused push is kept whole, so that `retry` needs nobody to push it again."""
    async with world.pipeline() as pipeline:
        assert not (await pipeline.push(talk("7", phone="123"))).success
    world.write({**MAPPING, "contact": {"phone": "{{ phone | phone }}", "email": "{{ email }}"}})
    retried = await json_of(world, "failed", "retry")
    assert retried["created"]["leads"] == 1
    assert (await json_of(world, "failed", "list"))["refused"] == []


async def test_what_nobody_can_read(world: World) -> None:
    """A record whose key is lost stands in the list with what to do, and can be dropped; the others are tried again."""
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    token = world.sandbox.long_lived_token()
    await world.store([talk("1", phone="123")])
    world.settings(AMOCRM_ACCESS_TOKEN=token, LEADSYNC_SECRET_KEY=new)
    await run(world.folder, "run")
    await world.store([talk("2", user_name="Евстафий", phone="123")])
    world.settings(AMOCRM_ACCESS_TOKEN=token, LEADSYNC_SECRET_KEY=f"{old},{new}")
    await run(world.folder, "run", "--record", "telegram:2")
    world.settings(AMOCRM_ACCESS_TOKEN=token, LEADSYNC_SECRET_KEY=new)
    listed = await run(world.folder, "failed", "list")
    assert listed.code == 0
    assert "this record cannot be read" in listed.out
    assert "LEADSYNC_SECRET_KEY" in listed.out
    assert "leadsync forget --unreadable" in listed.out
    assert "2 refused: 1 fix the file, 1 fix the record" in listed.out
    shown = await json_of(world, "failed", "show", "telegram:2")
    assert (shown["key"], shown["record"]) == ("telegram:2", None)
    assert (await run(world.folder, "failed", "retry", "telegram:2")).code == 78
    retried = await run(world.folder, "failed", "retry")
    assert (retried.code, "1 refused record cannot be read" in retried.out + retried.err) == (3, True)
    assert (await run(world.folder, "failed", "drop", "telegram:2")).out == "1 dropped\n"
    assert [one["key"] for one in (await json_of(world, "failed", "list"))["refused"]] == ["telegram:1"]


async def test_drop_forgets(world: World) -> None:
    """`drop` forgets the named records, `--all` every one; neither without saying which."""
    await world.store([talk(str(number), phone="123") for number in range(3)])
    await run(world.folder, "run")
    assert (await run(world.folder, "failed", "drop")).code == 78
    assert (await run(world.folder, "failed", "drop", "telegram:1")).out == "1 dropped\n"
    assert (await run(world.folder, "failed", "drop", "--all")).out == "2 dropped\n"
    assert "no refused records" in (await run(world.folder, "failed", "list")).out


async def test_show_of_a_stranger(world: World) -> None:
    """A key that is not refused is named, with what to do."""
    ended = await run(world.folder, "failed", "show", "telegram:1")
    assert ended.code == 78
    assert "telegram:1" in ended.err


async def test_rebuild_counts_what_it_restored(world: World) -> None:
    """`rebuild` reads the account's leads and says how many keys have their lead back."""
    world.write({**MAPPING, "key_field": "ID диалога"})
    await world.store([talk("1"), talk("2")])
    await run(world.folder, "run")
    assert (await run(world.folder, "rebuild")).out == "2 leads read, 0 keys and 0 phones and e-mails restored\n"
    assert (await json_of(world, "rebuild"))["leads"] == 2


async def test_rebuild_needs_a_key_field(world: World) -> None:
    """Without `key_field` there is nothing to rebuild from, and the command says what to add."""
    ended = await run(world.folder, "rebuild")
    assert ended.code == 78
    assert "key_field" in ended.err
