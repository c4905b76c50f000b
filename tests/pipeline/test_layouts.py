"""Every layout in which bots keep talks, from Redis into the CRM, also when histories grow or are trimmed."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from leadsync.sync.results import RunReport
from tests.world import World, talk

PHONE = "+79161234567"


def said(*texts: str) -> list[dict[str, Any]]:
    """Messages of a customer with their times, a minute apart."""
    return [
        {"role": "user", "text": text, "at": f"2026-11-01T10:{minute:02}:00+03:00"} for minute, text in enumerate(texts)
    ]


def plain(*texts: str) -> list[dict[str, Any]]:
    """Messages as OpenAI takes them: without times."""
    return [{"role": "user", "content": text} for text in texts]


class Bot:
    """A bot that writes the whole talk anew in one layout, each time it goes on."""

    def __init__(self, world: World, layout: str) -> None:
        self.world, self.layout = world, layout

    async def write(self, messages: Sequence[dict[str, Any]]) -> None:
        """Replace what was there by these messages, oldest first."""
        redis, packed = self.world.redis, [orjson.dumps(one) for one in messages]
        await redis.delete("dialog:7", "dialog:7:messages")
        if self.layout == "object":
            await redis.set("dialog:7", orjson.dumps({"source": "telegram", "phone": PHONE, "messages": messages}))
        elif self.layout == "list in a string":
            await redis.set("dialog:7", orjson.dumps(messages))
        elif self.layout == "hash and list":
            await redis.hset("dialog:7", mapping={"source": "telegram", "user_name": "Иван", "phone": PHONE})
            await redis.rpush("dialog:7:messages", *packed)
        elif self.layout == "hash alone":
            await redis.hset("dialog:7", mapping={"source": "telegram", "messages": orjson.dumps(messages)})
        else:
            await redis.rpush("dialog:7", *packed)


LAYOUTS = ("object", "list in a string", "hash and list", "hash alone", "list")


def notes_of(world: World) -> list[str]:
    """The notes of the only lead, each as its lines without the role."""
    assert len(world.leads()) == 1
    return [text.replace("user: ", "").replace("\n", " ") for _, text in world.notes()]


@pytest.mark.parametrize("messages", [said, plain])
@pytest.mark.parametrize("layout", LAYOUTS)
async def test_growing_trimmed_and_rewritten(world: World, layout: str, messages: Any) -> None:
    """In every layout, with times and without: each message stands in one note, whatever the bot cuts off."""
    bot = Bot(world, layout)
    talked = messages("а", "б", "в", "г", "д")
    for first, end in ((0, 2), (0, 2), (0, 3), (1, 4), (2, 4), (3, 5)):
        await bot.write(talked[first:end])
        await world.run()
    assert notes_of(world) == ["а б", "в", "г", "д"]


async def test_the_same_words_again_are_new(world: World) -> None:
    """A customer who says «да» twice has said it twice."""
    bot = Bot(world, "list")
    for texts in (("да",), ("да", "да"), ("да", "да", "нет", "да")):
        await bot.write(plain(*texts))
        await world.run()
    assert notes_of(world) == ["да", "да", "нет да"]


async def test_a_summary_in_front(world: World) -> None:
    """A bot that replaces the old half of a talk by a summary brings the summary once, and nothing again."""
    bot = Bot(world, "list")
    await bot.write(plain("а", "б", "в", "г"))
    await world.run()
    await bot.write([{"role": "system", "content": "Кратко: а, б"}, *plain("в", "г", "д")])
    await world.run()
    first, second = notes_of(world)
    assert first == "а б в г"
    assert second == "system: Кратко: а, б д"


async def test_all_layouts_in_one_run(world: World) -> None:
    """Every layout beside the others under one glob is one lead; the list of a hash's messages is none."""
    await world.store([talk("object", "из объекта", phone=PHONE)])
    await world.redis.set("dialog:list-in-string", orjson.dumps(plain("из списка в строке")))
    await world.redis.hset("dialog:hash", mapping={"source": "avito", "budget": "5000", "phone": "8 916 123-45-67"})
    await world.redis.rpush("dialog:hash:messages", *map(orjson.dumps, said("из хэша")))
    await world.redis.rpush("dialog:openai", *map(orjson.dumps, plain("из OpenAI")))
    await world.redis.rpush("dialog:words", "просто текст")
    report = await world.run()
    assert report.refused == []
    assert report.created == {"contacts": 1, "leads": 5, "notes": 5}
    expected = ("из объекта", "из списка в строке", "из хэша", "из OpenAI", "просто текст")
    assert sorted(text for _, text in world.notes()) == sorted(f"user: {text}" for text in expected)
    assert 5000 in [lead["price"] for lead in world.leads()]


async def test_langchains_own_history(world: World, valkey_server: Any) -> None:
    """What LangChain's RedisChatMessageHistory writes is read oldest first, both sides of the talk, and goes on."""
    world.write(sources={"chains": {"type": "redis-dialogs", "match": "message_store:*", "mapping": "mapping.yaml"}})
    await asyncio.to_thread(_chat, str(valkey_server.socket), "42", ["Сколько стоит?", "Дорого"])
    await world.run()
    await asyncio.to_thread(_chat, str(valkey_server.socket), "42", ["Беру"])
    report = await world.run()
    assert report.created == {"notes": 1}
    assert [text for _, text in world.notes()] == [
        "user: Сколько стоит?\nbot: Ответ на: Сколько стоит?\nuser: Дорого\nbot: Ответ на: Дорого",
        "user: Беру\nbot: Ответ на: Беру",
    ]
    assert (await again(world)).outcomes == {"unchanged": 1}


def _chat(socket: str, session: str, questions: Sequence[str]) -> None:
    """A bot built on LangChain: every question with its answer, into its own history class."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from langchain_community.chat_message_histories import RedisChatMessageHistory  # noqa: PLC0415 - it is slow

        history = RedisChatMessageHistory(session, url=f"unix://{socket}")
        for question in questions:
            history.add_user_message(question)
            history.add_ai_message(f"Ответ на: {question}")
        history.redis_client.close()


async def again(world: World) -> RunReport:
    """One more run, which must write nothing."""
    before = len(world.writes())
    report = await world.run()
    assert len(world.writes()) == before
    return report
