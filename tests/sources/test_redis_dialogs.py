"""redis-dialogs on a real Valkey: every shape bots write, and one refusal for each key that is no talk."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import ValidationError
from redis.asyncio import Redis

from leadsync.errors import ConfigurationError, StateUnavailable, UnreadableRecord
from leadsync.records import Message, Record
from leadsync.sources.base import RawRecord
from leadsync.sources.redis_dialogs import RedisDialogs, RedisDialogsOptions
from tests.conftest import Valkey
from tests.sources.reading import MOSCOW, context, found, outcome, read

NINE = datetime(2026, 11, 1, 9, 0, tzinfo=MOSCOW)


def dialogs(redis: Redis, **options: Any) -> RedisDialogs:
    return RedisDialogs("redis-dialogs", RedisDialogsOptions(**options), context(redis))


async def only(source: RedisDialogs) -> Record:
    [result] = (await outcome(source)).values()
    assert isinstance(result, Record), result
    return result


async def refusal(source: RedisDialogs) -> UnreadableRecord:
    [result] = (await outcome(source)).values()
    assert isinstance(result, UnreadableRecord), result
    assert result.do
    return result


async def put(redis: Redis, key: bytes | str, *messages: str | bytes) -> None:
    await redis.rpush(key, *messages)


async def put_hash(redis: Redis, key: str, **fields: str | bytes) -> None:
    await redis.hset(key, mapping=cast(Any, fields))


async def test_a_string_with_a_record(redis: Redis) -> None:
    """A JSON object has the contract's fields; the key gives the id."""
    await redis.set("dialog:42", json.dumps({"id": "other", "source": "web", "user_name": "Иван", "utm": 1}))
    assert await only(dialogs(redis)) == Record(id="42", source="web", user_name="Иван", extra={"utm": 1})


async def test_a_string_with_messages(redis: Redis) -> None:
    """A JSON list is the talk; the source is the one of leadsync.yaml."""
    await redis.set("dialog:42", json.dumps([{"role": "user", "content": "да"}, "нет"]))
    messages = (Message("user", "да"), Message("user", "нет"))
    assert await only(dialogs(redis)) == Record(id="42", source="redis-dialogs", messages=messages)


async def test_a_hash_with_its_messages_beside_it(redis: Redis) -> None:
    """Each field is text or JSON; the list of messages is a part of the hash and no record of its own."""
    await put_hash(
        redis,
        "dialog:42",
        source="telegram",
        user_name="Иван",
        phone="89161234567",
        email='"i@example.com"',
        product_interest="null",
        budget="150000",
        metadata='{"city": "Москва"}',
        updated_at="2026-11-01T09:00:00",
        telegram_id="007",
        big="12345678901234567890123",
        flag="true",
        score="4.5",
        note="{не JSON",
    )
    await put(redis, "dialog:42:messages", '{"role": "user", "text": "да"}', "просто текст", "5", '"в кавычках"')
    assert await only(dialogs(redis)) == Record(
        id="42",
        source="telegram",
        user_name="Иван",
        phone="89161234567",
        email="i@example.com",
        budget=150000,
        messages=tuple(Message("user", text) for text in ("да", "просто текст", "5", "в кавычках")),
        metadata={"city": "Москва"},
        updated_at=NINE,
        extra={"telegram_id": "007", "big": "12345678901234567890123", "flag": True, "score": 4.5, "note": "{не JSON"},
    )


async def test_a_hash_with_its_messages_inside(redis: Redis) -> None:
    """A field may hold the messages, or the history as a list; something else at the messages' key does not matter."""
    await put_hash(redis, "dialog:1", messages='[{"role": "user", "text": "да"}]')
    await put_hash(redis, "dialog:2", conversation_history='["да"]')
    await put_hash(redis, "dialog:3", conversation_history="[9:00] да", source='"web"')
    await redis.set("dialog:1:messages", '{"source": "web"}')
    records = await outcome(dialogs(redis))
    assert cast(Record, records["dialog:1"]).messages == (Message("user", "да"),)
    assert cast(Record, records["dialog:2"]).messages == (Message("user", "да"),)
    assert cast(Record, records["dialog:3"]).conversation_history == "[9:00] да"
    assert cast(Record, records["dialog:3"]).source == "web"
    assert cast(Record, records["dialog:1:messages"]).id == "1:messages"


async def test_messages_under_another_name(redis: Redis) -> None:
    """`messages_key` says where the messages of a hash lie, also outside of the glob."""
    await put_hash(redis, "dialog:42", source="web")
    await put(redis, "log/dialog:42", "да")
    record = await only(dialogs(redis, messages_key="log/{key}"))
    assert record.messages == (Message("user", "да"),)


async def test_a_list_that_ends_like_messages_but_belongs_to_nobody(redis: Redis) -> None:
    """It is a talk by itself: nothing may get lost because of its name."""
    await put(redis, "dialog:42:messages", "да")
    assert (await only(dialogs(redis))).id == "42:messages"
    await redis.flushall()
    await put(redis, ":messages", "да")
    assert (await only(dialogs(redis, match="*"))).id == ":messages"


async def test_a_list_of_openai_messages_is_oldest_first(redis: Redis) -> None:
    """RPUSH is the usual way, so the first is the oldest."""
    await put(redis, "dialog:42", '{"role": "user", "content": "да"}', '{"role": "assistant", "content": "нет"}')
    assert (await only(dialogs(redis))).messages == (Message("user", "да"), Message("bot", "нет"))


async def test_a_list_whose_times_fall_is_newest_first(redis: Redis) -> None:
    """Times say what the shape does not; a single time says nothing."""
    items = [
        json.dumps({"text": text, "at": at})
        for text, at in (("б", "2026-11-01T09:01:00"), ("а", "2026-11-01T09:00:00"))
    ]
    await put(redis, "dialog:1", *items)
    await put(redis, "dialog:2", items[0], '{"text": "x"}', "y")
    await put(redis, "dialog:3", items[0], items[1], items[0])
    records = cast(dict[str, Record], await outcome(dialogs(redis)))
    assert [message.text for message in records["dialog:1"].messages] == ["а", "б"]
    assert [message.text for message in records["dialog:2"].messages] == ["б", "x", "y"]
    assert [message.text for message in records["dialog:3"].messages] == ["б", "а", "б"]


@pytest.mark.parametrize(("order", "texts"), [("auto", ["а", "б"]), ("oldest", ["а", "б"]), ("newest", ["б", "а"])])
async def test_the_order_of_a_plain_list_may_be_given(redis: Redis, order: str, texts: list[str]) -> None:
    """Nothing in plain texts tells their order."""
    await put(redis, "dialog:42", "а", "б")
    assert [message.text for message in (await only(dialogs(redis, order=order))).messages] == texts


@pytest.mark.filterwarnings("ignore")
async def test_what_langchain_writes(redis: Redis, valkey_server: Valkey) -> None:
    """LangChain's own history class pushes to the front; the talk comes out in its order."""
    from langchain_community.chat_message_histories import RedisChatMessageHistory  # noqa: PLC0415 - it warns
    from langchain_core.messages import SystemMessage  # noqa: PLC0415

    history = RedisChatMessageHistory("42", url=valkey_server.url, key_prefix="dialog:")
    history.add_message(SystemMessage("будь вежлив"))
    history.add_user_message("Здравствуйте!")
    history.add_ai_message("Добрый день")
    history.add_user_message("Сколько стоит?")
    history.redis_client.close()
    record = await only(dialogs(redis, source="telegram"))
    assert (record.id, record.source) == ("42", "telegram")
    assert record.messages == (
        Message("system", "будь вежлив"),
        Message("user", "Здравствуйте!"),
        Message("bot", "Добрый день"),
        Message("user", "Сколько стоит?"),
    )


async def test_a_glob_with_two_stars_gives_the_source_too(redis: Redis) -> None:
    """`dialog:*:*`: the first star is the source unless the record names another, and then no two keys are one."""
    await redis.set("dialog:telegram:42", "[]")
    await redis.set("dialog:avito:42:7", '{"source": "avito"}')
    await redis.set("dialog:a:42", '{"source": "web"}')
    await redis.set("dialog:b:42", '{"source": "web"}')
    records = cast(dict[str, Record], await outcome(dialogs(redis, match="dialog:*:*")))
    assert {(record.source, record.id) for record in records.values()} == {
        ("telegram", "42"),
        ("avito", "42:7"),
        ("web", "a:42"),
        ("web", "b:42"),
    }


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", "not JSON"),
        (b"", "not JSON"),
        (b'{"user_name": "\xff"}', "not JSON"),
        ("просто текст".encode(), "not JSON"),
        (b"5", "neither an object nor a list"),
        (b'{"phone": {"n": 1}}', "`phone`"),
        (b'{"source": [1]}', "`source`"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000 + b'"\\ud83d"' + b"}" * 100_000, "nested too deeply"),
    ],
)
async def test_a_string_that_is_no_talk_is_one_refusal(redis: Redis, value: bytes, reason: str) -> None:
    """Told with its key and the reason, without its content; the others go on."""
    await redis.set("dialog:bad", value)
    await redis.set("dialog:good", "[]")
    results = await outcome(dialogs(redis))
    assert isinstance(results["dialog:good"], Record)
    error = results["dialog:bad"]
    assert isinstance(error, UnreadableRecord)
    assert reason in error.what
    assert error.where == "dialog:bad"
    assert error.do
    assert "просто" not in str(error)
    assert error.__cause__ is None


async def test_an_emoji_cut_in_two_is_no_reason_to_refuse(redis: Redis) -> None:
    """JavaScript bots cut texts between the halves of an emoji."""
    await redis.set("dialog:42", '{"user_name": "Иван\\ud83d"}')
    assert (await only(dialogs(redis))).user_name == "Иван?"


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda redis: redis.sadd("dialog:42", "x"), "set"),
        (lambda redis: redis.zadd("dialog:42", {"x": 1}), "zset"),
        (lambda redis: redis.xadd("dialog:42", {"x": 1}), "stream"),
        (lambda redis: redis.rpush("dialog:42", '{"role": "user"'), "not JSON"),
        (lambda redis: redis.rpush("dialog:42", b"\xff"), "UTF-8"),
        (lambda redis: redis.hset("dialog:42", mapping={"phone": b"\xff"}), "UTF-8"),
        (lambda redis: redis.set(b"dialog:\xff", "[]"), "UTF-8"),
    ],
)
async def test_a_key_that_is_no_talk_is_one_refusal(
    redis: Redis, write: Callable[[Redis], Awaitable[Any]], reason: str
) -> None:
    """Other types, broken messages and bytes that are no text."""
    await write(redis)
    error = await refusal(dialogs(redis))
    assert reason in error.what
    assert str(error.where).startswith("dialog:")


async def test_a_broken_message_is_named(redis: Redis) -> None:
    """Which of the list it is."""
    await put(redis, "dialog:42", "да", '{"role": ')
    assert (await refusal(dialogs(redis))).field == "messages[1]"


async def test_many_keys_are_read_once_each(redis: Redis) -> None:
    """Over any number of SCAN's pages and reading batches, also when the keyspace is rehashed meanwhile."""
    await redis.mset({f"dialog:{number}": "[]" for number in range(3000)})
    source = dialogs(redis, batch=7)
    places = []
    async for raw in source.raw_records():
        places.append(raw.place)
        if len(places) % 100 == 0:
            await redis.mset({f"filler:{len(places)}:{number}": "" for number in range(500)})
    assert sorted(places) == sorted({f"dialog:{number}" for number in range(3000)})


class Interfering(Redis):
    """A client of a Redis in which something happens between two round trips of a reader."""

    between: Callable[[], Awaitable[Any]]
    trips = 0

    def pipeline(self, *args: Any, **kwargs: Any) -> Any:
        pipe = super().pipeline(*args, **kwargs)
        self.trips += 1
        if self.trips == 2:
            execute = pipe.execute

            async def later(*args: Any, **kwargs: Any) -> Any:
                await self.between()
                return await execute(*args, **kwargs)

            pipe.execute = later  # type: ignore[method-assign]
        return pipe


async def test_keys_that_vanish_or_change_while_they_are_read(redis: Redis, valkey_server: Valkey) -> None:
    """A vanished key is nothing; a key of another type than a moment ago is a refusal that says: run again."""
    await put_hash(redis, "dialog:changed", source="web")
    await put(redis, "dialog:gone-list", "да")
    await put_hash(redis, "dialog:gone-hash", source="web")

    async def interfere() -> None:
        await redis.delete("dialog:gone-list", "dialog:gone-hash", "dialog:changed")
        await put(redis, "dialog:changed", "да")

    async with Interfering(unix_socket_path=str(valkey_server.socket)) as client:
        client.between = interfere
        error = await refusal(dialogs(client))
    assert "changed" in error.what
    assert error.where == "dialog:changed"


async def fingerprints(redis: Redis) -> dict[str, bytes]:
    return {raw.place: raw.fingerprint() for raw in await found(dialogs(redis))}


async def test_a_fingerprint_changes_with_any_byte(redis: Redis) -> None:
    """Of a text, of a hash or its messages, of a list; and stays when nothing changed."""
    writes: list[Callable[[], Awaitable[Any]]] = [
        lambda: redis.set("dialog:text", "[]"),
        lambda: redis.set("dialog:text", "[ ]"),
        lambda: put_hash(redis, "dialog:hash", a="bc"),
        lambda: put_hash(redis, "dialog:hash", a="b", c="d"),
        lambda: put(redis, "dialog:hash:messages", "а"),
        lambda: put(redis, "dialog:hash:messages", "б"),
        lambda: put(redis, "dialog:list", "ab"),
        lambda: put(redis, "dialog:list", "c"),
        lambda: cast(Awaitable[Any], redis.sadd("dialog:set", "x")),
    ]
    seen: list[dict[str, bytes]] = [{}]
    for write in writes:
        await write()
        seen.append(await fingerprints(redis))
        assert seen[-1] != seen[-2]
        assert await fingerprints(redis) == seen[-1]
    assert {len(mark) for mark in seen[-1].values()} == {16}


async def test_where_parts_end_is_a_part_of_the_fingerprint(redis: Redis) -> None:
    """Two messages are not one message of the same bytes."""
    await put(redis, "dialog:1", "ab", "c")
    await put(redis, "dialog:2", "a", "bc")
    first, second = (await fingerprints(redis)).values()
    assert first != second


async def test_reading_again_gives_the_same(redis: Redis) -> None:
    """A raw record is held, not consumed."""
    await put(redis, "dialog:42", "а", "б")
    [raw] = await found(dialogs(redis))
    assert isinstance(raw, RawRecord)
    assert read(raw) == read(raw)


@pytest.mark.parametrize("glob", ["*", "*:*"])
async def test_our_own_memory_is_no_talk(redis: Redis, glob: str) -> None:
    """A wide glob finds leadsync's own keys too; they are no records, whatever their type."""
    await redis.set("telegram:1", "[]")
    await redis.set("leadsync:{firm.amocrm.ru}:token:access", "{}")
    await put_hash(redis, "leadsync:{firm.amocrm.ru}:link:telegram:1", lead_id="7")
    await redis.sadd("leadsync:{firm.amocrm.ru}:alive", "one")
    await redis.set("leadsync:2", "[]")
    assert set(await outcome(dialogs(redis, match=glob))) == {"telegram:1", "leadsync:2"}


async def test_a_redis_of_its_own(redis: Redis, valkey_server: Valkey, tmp_path: Path) -> None:
    """`url` names it; the project's Redis is not asked, and the connection is closed at the end."""
    await redis.set("dialog:42", "[]")
    async with Redis(unix_socket_path=str(tmp_path / "nobody.sock")) as nobody:
        source = dialogs(nobody, url=valkey_server.url)
        assert (await only(source)).id == "42"
        await source.aclose()


async def test_a_redis_that_does_not_answer(tmp_path: Path, redis: Redis) -> None:
    """The run waits for it: nothing is a fault of a record."""
    source = dialogs(redis, url=f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(StateUnavailable) as caught:
        await found(source)
    assert caught.value.where == "sources.redis-dialogs"
    assert caught.value.do
    await source.aclose()
    await dialogs(redis).aclose()


@pytest.mark.parametrize("url", ["http://user:sekret@host", "redis://:sekret@host:port", "sekret"])
async def test_a_url_that_is_none(redis: Redis, url: str) -> None:
    """Told without the URL, which may hold a password."""
    with pytest.raises(ConfigurationError) as caught:
        dialogs(redis, url=url)
    assert "sekret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "options",
    [
        *({"messages_key": "messages"}, {"messages_key": "{key}"}, {"messages_key": "{key}{key}"}),
        *({"batch": 0}, {"order": "random"}, {"match": ""}, {"matsch": "x"}),
    ],
)
def test_options_are_checked(options: dict[str, Any]) -> None:
    """A wrong option is a mistake in leadsync.yaml."""
    with pytest.raises(ValidationError):
        RedisDialogsOptions(**options)
