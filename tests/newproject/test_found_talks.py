"""What is seen in a Redis that holds more than talks."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import orjson
import pytest

from leadsync.newproject.found_talks import MOST_KEYS, FoundTalks, look_for_talks
from leadsync.sources.key_pattern import KeyPattern
from tests.world import talk

ZONE = ZoneInfo("Europe/Moscow")
MESSAGES = [orjson.dumps({"role": "user", "content": "Здравствуйте"}), orjson.dumps({"role": "bot", "content": "Да"})]


async def look(redis, match=None) -> FoundTalks:
    return await look_for_talks(redis, ZONE, match)


async def test_an_empty_redis(redis):
    """Nothing is found where nothing is."""
    assert await look(redis) == FoundTalks()


@pytest.mark.parametrize(
    ("keys", "match"),
    [
        (["dialog:1", "dialog:2"], "dialog:*"),
        (["bot:dialog:1", "bot:dialog:2"], "bot:dialog:*"),
        (["dialog:telegram:1", "dialog:avito:2"], "dialog:*"),
        (["message_store:3f-2a", "message_store:9c-1b"], "message_store:*"),
        (["chat_1", "chat_2"], "chat_*"),
        (["a[b]:1", "a[b]:2"], "a\\[b\\]:*"),
        (["x"], "*"),
    ],
)
async def test_the_longest_prefix_of_all_talks(keys, match, redis):
    """The glob takes in every talk and no more than it must, and it is one that finds them."""
    for key in keys:
        await redis.rpush(key, *MESSAGES)
    found = await look(redis)
    assert found.match == match
    assert all(KeyPattern.of(match).regex.fullmatch(key) for key in keys)
    assert len(await redis.keys(match)) == len(keys)


async def test_what_is_no_talk_does_not_count(redis):
    """Many other keys of every type, some of them unreadable or huge, leave the few talks to be found."""
    for number in range(40):
        await redis.set(f"cache:{number}", b"\xff")
        await redis.set(f"session:{number}", orjson.dumps({"csrf": "x"}))
        await redis.sadd(f"set:{number}", "x")
        await redis.set(f"leadsync:{{firm}}:{number}", orjson.dumps(talk()))
    await redis.set("picture:1", b"x" * (2 << 20))
    await redis.hset("talk:1", mapping={"user_name": "Иван", "source": "vk"})
    await redis.rpush("talk:1:messages", *MESSAGES)
    found = await look(redis)
    assert found.match == "talk:*"
    assert found.fields == ("user_name", "messages")
    assert found.sources == ("vk",)


async def test_names_that_may_be_data_are_left_out(redis):
    """A key of `metadata` or of the record that is no identifier is not named, and no source that is a sentence."""
    data = {"+79165550112": "x", "Иван Петров": "y", "city": "Казань", "none": None}
    await redis.set("d:1", orjson.dumps(talk(source="Пишет Иван", metadata=data, utm_source="z", **{"a b": 1})))
    found = await look(redis)
    assert found.fields == ("user_name", "messages", "metadata.city", "utm_source")
    assert found.sources == ()


async def test_a_given_glob_is_looked_at_alone(redis):
    """With a glob, only its keys are seen, and it is kept."""
    await redis.set("a:1", orjson.dumps(talk(email="a@example.com")))
    await redis.set("b:1", orjson.dumps(talk(phone="1")))
    found = await look(redis, "b*")
    assert (found.match, found.keys) == ("b*", 1)
    assert "email" not in found.fields


async def test_no_more_than_a_thousand_keys(redis):
    """A Redis with many keys is asked for some of them only."""
    await redis.mset({f"dialog:{number}": orjson.dumps(talk(str(number))) for number in range(3 * MOST_KEYS)})
    await redis.config_resetstat()
    found = await look(redis)
    calls = await redis.info("commandstats")
    assert (found.keys, found.match) == (MOST_KEYS, "dialog:*")
    assert calls["cmdstat_scan"]["calls"] <= 60
    assert calls["cmdstat_get"]["calls"] <= 60
    assert "cmdstat_keys" not in calls
