"""A project with LEADSYNC_SECRET_KEY: without it nobody reads what lies in Redis, and no login is lost over it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from cryptography.fernet import Fernet
from redis.asyncio import Redis

from leadsync.amocrm.tokens import TokenStore
from leadsync.config.loader import load_project
from leadsync.errors import AmoCRMUnavailable, ConfigurationError
from leadsync.events import ignore
from leadsync.project import connect
from leadsync.sandbox.starter import ADMIN_ID
from leadsync.sealing import MARK
from tests.follow.following import until
from tests.world import NAMES, QUICK, World, talk

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))
NAME, PHONE = "Евстафий", "+79161234567"
SEALED = ("token:access", "token:refresh", "refused", "journal")


async def log_in(world: World, key: str | None) -> None:
    """What a person does once, with this key set."""
    use_key(world, key)
    async with connect(load_project(world.folder / "leadsync.yaml"), ignore, retry=QUICK) as connections:
        assert connections.oauth is not None
        await connections.oauth.exchange(world.sandbox.oauth.code(ADMIN_ID))


def use_key(world: World, key: str | None) -> None:
    """Log in through the integration, and seal with a key, or with none."""
    world.settings(**world.integration(), **({"LEADSYNC_SECRET_KEY": key} if key else {}))


async def stored(redis: Redis) -> dict[str, list[bytes]]:
    """The values under our prefix that are to be sealed, by name."""
    found = {}
    for name in SEALED:
        kind = await redis.type(NAMES.name(name))
        whole = [await redis.get(NAMES.name(name))] if kind == b"string" else await redis.hvals(NAMES.name(name))
        found[name] = [one for one in whole if one is not None]
    return found


async def leave_everything(world: World) -> None:
    """A refused record, and a batch of which nobody knows what became of it."""
    await world.store([talk("0"), talk("1", user_name=NAME, phone="123")])
    await world.run()  # the newest ids are known then
    await world.store([talk("2", user_name=NAME, phone=PHONE)])
    world.sandbox.faults.add("POST /api/v4/leads drop_before")
    world.sandbox.faults.add("GET /api/v4/leads 500_before")
    with pytest.raises(AmoCRMUnavailable):
        await world.run()
    world.sandbox.faults.clear()


async def test_tokens_refusals_and_batches_are_sealed(world: World) -> None:
    """With a key none of them shows a name, a phone or a token, and a run goes on with them as before."""
    await log_in(world, NEW)
    await leave_everything(world)
    values = await stored(world.redis)
    assert all(values[name] for name in SEALED)
    for one in (one for found in values.values() for one in found):
        assert one.startswith(MARK)
        assert not any(told.encode() in one for told in (NAME, "9161234567", "Здравствуйте", '"token"'))
    report = await world.run()
    assert (report.created["leads"], report.outcomes["failed"]) == (1, 1)


async def test_a_key_that_is_set_later_takes_over(world: World) -> None:
    """What was stored plainly is read with a key, and sealed when it is written next."""
    await log_in(world, None)
    await leave_everything(world)
    assert not any(one.startswith(MARK) for found in (await stored(world.redis)).values() for one in found)
    use_key(world, NEW)
    assert (await world.run()).created["leads"] == 1
    async with world.pipeline() as pipeline:
        assert pipeline.connections.oauth is not None
        await pipeline.connections.oauth.renew(await held(pipeline.connections.tokens))
    values = await stored(world.redis)
    assert all(one.startswith(MARK) for found in values.values() for one in found)
    assert all(values[name] for name in SEALED if name != "journal")


async def held(tokens: TokenStore) -> str | None:
    """The access token that is stored."""
    loaded = await tokens.load()
    assert loaded is not None
    return loaded.access_token


async def test_keys_rotate_without_a_new_login(world: World) -> None:
    """A new key before the old one: everything is read; what is written goes under the new one."""
    await log_in(world, OLD)
    await leave_everything(world)
    use_key(world, f"{NEW},{OLD}")
    assert (await world.run()).created["leads"] == 1
    (refused,) = await world.redis.hvals(NAMES.name("refused"))
    assert Fernet(NEW).decrypt(refused.removeprefix(MARK))


@pytest.mark.parametrize("kept", [SEALED[:2], SEALED[2:3], SEALED[3:], SEALED], ids="+".join)
@pytest.mark.parametrize("key", [None, NEW], ids=["no key", "another key"])
async def test_without_the_right_key_nothing_begins_and_nothing_is_lost(
    world: World, kept: tuple[str, ...], key: str | None
) -> None:
    """Code 78 before the first request that writes, naming the variable; with the key back all goes on, login too."""
    await log_in(world, OLD)
    await leave_everything(world)
    for name in SEALED:
        if name not in kept:
            await world.redis.delete(NAMES.name(name))
    values, before = await stored(world.redis), len(world.writes())
    use_key(world, key)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="LEADSYNC_SECRET_KEY") as told:
            await world.run()
        assert told.value.exit_code == 78
    assert await stored(world.redis) == values
    assert len(world.writes()) == before
    if kept == SEALED:
        use_key(world, OLD)
        assert (await world.run()).created["leads"] == 1


async def test_a_push_beside_one_that_cannot_be_read(world: World) -> None:
    """A record that was sealed by a key which is not at hand stays as it is, whatever becomes of pushes of its talk."""
    world.settings(AMOCRM_ACCESS_TOKEN=world.sandbox.long_lived_token(), LEADSYNC_SECRET_KEY=NEW)
    async with world.pipeline() as pipeline:
        closed = MARK + Fernet(OLD).encrypt(b"{}")
        await world.redis.hset(NAMES.name("refused"), "telegram:1", closed)
        assert not (await pipeline.push(talk("1", phone="123"))).success
        kept = await world.redis.hgetall(NAMES.name("refused"))
        assert (sorted(kept), kept[b"telegram:1"]) == ([b"push:telegram:1", b"telegram:1"], closed)
        assert (await pipeline.push(talk("1", phone=PHONE))).success
        assert await world.redis.hgetall(NAMES.name("refused")) == {b"telegram:1": closed}


async def test_one_that_cannot_be_read_holds_nobody_up(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Of what waits everything goes in but what nobody can read, which is told once, by its key and nothing else."""
    await push_in_trouble(world, NEW, talk("1", phone="+79160000001"))
    await push_in_trouble(world, f"{OLD},{NEW}", talk("2", user_name=NAME, phone=PHONE))
    use_token(world, NEW)
    async with world.pipeline() as pipeline:
        for number in (1, 3, 4):
            if number != 1:
                world.sandbox.faults.add("* /api/* drop_before")
                assert not (await pipeline.push(talk(str(number), user_name=f"{number}"))).success
                world.sandbox.faults.clear()
            pipeline.bring_waiting()
            await until(partial(only_waits, world, b"telegram:2"))
    assert len(world.leads()) == 3
    (told,) = [one for one in caplog.records if "cannot be read" in one.getMessage()]
    assert (told.levelname, told.__dict__["key"]) == ("ERROR", "telegram:2")
    assert not any(word in caplog.text for word in (NAME, PHONE, NEW, OLD))
    use_token(world, f"{NEW},{OLD}")
    async with world.pipeline() as pipeline:
        pipeline.bring_waiting()
        await until(partial(only_waits, world))
    assert len(world.leads()) == 4


async def push_in_trouble(world: World, keys: str, record: dict[str, Any]) -> None:
    """A bot with these keys that pushes while amoCRM is away."""
    use_token(world, keys)
    async with world.pipeline() as pipeline:
        world.sandbox.faults.add("* /api/* drop_before")
        assert not (await pipeline.push(record)).success
    world.sandbox.faults.clear()


def use_token(world: World, keys: str) -> None:
    """Log in by a token, and seal with these keys."""
    world.settings(AMOCRM_ACCESS_TOKEN=world.sandbox.long_lived_token(), LEADSYNC_SECRET_KEY=keys)


async def only_waits(world: World, *keys: bytes) -> bool:
    """Whether these are the keys of all that is kept."""
    return sorted(await world.redis.hkeys(NAMES.name("refused"))) == sorted(keys)
