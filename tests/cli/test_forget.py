"""`leadsync forget`, as people type it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from cryptography.fernet import Fernet

from tests.cli.person import at_terminal
from tests.cli.terminal import run
from tests.world import NAMES, World, talk

PHONE = "8 (916) 123-45-67"


async def known(world: World) -> None:
    """A person with a lead, and one who was refused."""
    await world.store([talk("1", phone="+79161234567"), talk("2", phone=PHONE, budget="много")])
    await world.run()


async def json_of(world: World, *arguments: str) -> dict[str, Any]:
    """The one JSON document of a command that ends with 0."""
    ended = await run(world.folder, *arguments, "--format", "json")
    assert (ended.code, ended.err) == (0, "")
    document: dict[str, Any] = orjson.loads(ended.out)
    return document


async def test_says_what_it_removed(world: World) -> None:
    """Counts by kind, the ids in amoCRM, and the talks that are still in a source; the second time there is nothing."""
    await known(world)
    (contact,), (lead,) = world.contacts(), world.leads()
    ended = await run(world.folder, "forget", "--phone", PHONE, "--yes")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "removed:",
        "     1 × link of a record to its lead and contact",
        "     1 × phone or e-mail of a known contact",
        "     2 × account of what was written into a contact or a lead",
        "     1 × refused record",
        "     1 × mark of a talk that did not change",
        "     1 × line in the report of a past run",
        f"nothing is removed in amoCRM: contact {contact['id']} and lead {lead['id']} stay there until somebody "
        "deletes them",
        "still in a source; the next run would make it again unless it is removed there:",
        "  redis-dialogs  dialog:1  (key telegram:1)",
        "  redis-dialogs  dialog:2  (key telegram:2)",
    ]
    await world.redis.delete("dialog:1", "dialog:2")
    assert (await run(world.folder, "forget", "--phone", PHONE, "--yes")).out == "there is nothing of that kind\n"


async def test_a_dry_run_only_looks(world: World) -> None:
    """The same counts without removing anything, and without being asked."""
    await known(world)
    looked = await json_of(world, "forget", "--phone", PHONE, "--dry-run")
    assert (looked["removed"], looked["keys"]) == (False, ["telegram:1", "telegram:2"])
    gone = await json_of(world, "forget", "--phone", PHONE, "--yes")
    assert gone == looked | {"removed": True}
    assert gone["counts"]["refused"] == 1
    assert gone["talks"][0] == {
        "source": "redis-dialogs",
        "place": "dialog:1",
        "key": "telegram:1",
        "is_theirs": True,
    }


async def test_asks_on_a_terminal(world: World) -> None:
    """The counts are shown before the question; no is the default and removes nothing."""
    await known(world)
    before = sorted(await world.redis.keys("*"))
    async with at_terminal(world.folder, "forget", "--phone", PHONE) as person:
        seen = await person.sees("remove all this for good? [y/N]")
        person.types("")
        assert await person.ended() == 130
    assert "1 × refused record" in seen
    assert sorted(await world.redis.keys("*")) == before
    async with at_terminal(world.folder, "forget", "--phone", PHONE) as person:
        await person.sees("[y/N]")
        person.types("y")
        assert await person.ended() == 0
    assert "removed:" in person.seen
    assert not await world.redis.exists(NAMES.name("refused"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--phone", PHONE), "add --yes, or look first with --dry-run"),
        (("--yes",), "give --phone, --email or --key, or else --unreadable"),
        (("--unreadable", "--key", "1", "--yes"), "give --phone, --email or --key, or else --unreadable"),
        (("--phone", "12", "--yes"), "this is no phone"),
        (("--email", "ivan", "--yes"), "this is no email"),
    ],
)
async def test_usage(world: World, arguments: tuple[str, ...], said: str) -> None:
    """Without anybody to ask, without anybody to forget, or with what cannot be read, it ends with 78."""
    await known(world)
    ended = await run(world.folder, "forget", *arguments)
    assert (ended.code, ended.out) == (78, "")
    assert said in ended.err
    assert await world.redis.exists(NAMES.name("refused"))


async def test_a_lost_key_has_a_way_out(world: World) -> None:
    """What a lost key has sealed keeps a run from beginning until `--unreadable` has removed it."""
    token = world.sandbox.long_lived_token()
    keys = [Fernet.generate_key().decode() for _ in range(2)]
    world.settings(AMOCRM_ACCESS_TOKEN=token, LEADSYNC_SECRET_KEY=keys[0])
    await known(world)
    world.settings(AMOCRM_ACCESS_TOKEN=token, LEADSYNC_SECRET_KEY=keys[1])
    ended = await run(world.folder, "run")
    assert ended.code == 78
    assert "leadsync forget --unreadable" in ended.err
    gone = await json_of(world, "forget", "--unreadable", "--yes")
    assert (gone["counts"], gone["removed"]) == ({"unreadable": 1}, True)
    assert not await world.redis.exists(NAMES.name("refused"), NAMES.name("refused-at"))
    assert (await run(world.folder, "run")).code == 3
