"""Talks made up for benchmarks: each of its own person, with phone, e-mail and a few messages; about a kilobyte."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from redis import Redis

SOURCES = ("telegram", "web", "avito")
PRODUCTS = ("AI Manager", "AI Lawyer", "AI Analyst")
CITIES = ("Москва", "Казань", "Омск", "Тверь", "Пермь")
SAID = (
    ("user", "Здравствуйте! Хочу узнать, подойдёт ли ваш помощник для небольшого отдела продаж."),
    ("bot", "Добрый день! Конечно. Расскажите, пожалуйста, сколько у вас менеджеров и откуда приходят заявки."),
    ("user", "Нас пятеро, пишут в основном в мессенджеры, вечером отвечать некому."),
    ("bot", "Понятно. Тогда вам подойдёт тариф «Рост»: ответы круглосуточно, заявки сразу в воронке."),
    ("user", "Сколько это стоит и когда можно начать?"),
    ("bot", "Начать можно завтра. Оставьте, пожалуйста, телефон и почту, менеджер всё рассчитает."),
)


def talk(number: int) -> dict[str, Any]:
    """The talk of that number, always the same one."""
    day, minute = number % 28 + 1, number % 50
    messages = [
        {"role": role, "text": text, "at": f"2026-10-{day:02}T11:{minute + after:02}:00+03:00"}
        for after, (role, text) in enumerate(SAID)
    ]
    digits = f"{number:07}"
    return {
        "id": f"{number:06}",
        "source": SOURCES[number % 3],
        "user_name": f"Клиент {number}",
        "phone": f"8 916 {digits[:3]}-{digits[3:5]}-{digits[5:]}",
        "email": f"client{number}@people.example",
        "product_interest": PRODUCTS[number % len(PRODUCTS)],
        "budget": 1000 * (number % 90 + 10),
        "messages": messages,
        "metadata": {"username": f"client_{number}", "city": CITIES[number % len(CITIES)]},
        "updated_at": messages[-1]["at"],
    }


def raw_talks(first: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Keys and values of so many talks as a bot writes them."""
    for number in range(first, first + count):
        one = talk(number)
        yield f"dialog:{one['id']}", orjson.dumps(one)


def store_talks(redis: Redis, first: int, count: int) -> None:
    """Write talks to Redis."""
    with redis.pipeline(transaction=False) as pipe:
        for waiting, (key, value) in enumerate(raw_talks(first, count), 1):
            pipe.set(key, value)
            if waiting % 2000 == 0:
                pipe.execute()
        pipe.execute()
