"""Made-up talks as bots of three sources leave them, the same ones for the same seed; no two messages are alike."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

SOURCES = ("telegram", "avito", "web")
PRODUCTS = ("AI Manager", "AI Lawyer", "AI Analyst", None, None)
NAMES = ("Иван Петров", "Ольга 😀", "Анна-Мария", "ИП «Ромашка & Ко»", "<b>Пётр</b>", "O'Neil", None)
PHRASES = (
    "сколько стоит?",
    "нужно к пятнице 🚀",
    "а <b>скидка</b> & рассрочка?",
    "строка\nещё строка\tи таб",
    "{{ не шаблон }} {% и это %}",
    "до 150 тыс ₽",
    "спасибо 🙏🏽",
)
SPELLED = (
    "+7{0}{1}{2}{3}",
    "8{0}{1}{2}{3}",
    "8 ({0}) {1}-{2}-{3}",
    "+7 {0} {1}-{2}-{3}",
    "7{0}{1}{2}{3}",
    "+7({0}){1}{2}{3}",
)
IN_TEXT = ("8 ({0}) {1}-{2}-{3}", "+7 {0} {1} {2} {3}", "+7{0}{1}{2}{3}", "8-{0}-{1}-{2}-{3}")
BEGIN = datetime(2026, 11, 1, 9, tzinfo=UTC)


@dataclass(slots=True)
class Made:
    """A talk as it is stored, with the truth about it: its key, and the person's phone and e-mail that it tells."""

    stored: dict[str, Any]
    phone: str | None
    email: str | None

    @property
    def key(self) -> str:
        """The key that the shipped mappings give it."""
        return f"{self.stored['source']}:{self.stored['id']}"

    @property
    def marks(self) -> list[str]:
        """What stands in each message and nowhere else."""
        return [one["text"].split()[0] for one in self.stored["messages"]]


@dataclass(slots=True)
class Crowd:
    """People who write, and their talks."""

    dice: random.Random
    talks: list[Made] = field(default_factory=list)

    @classmethod
    def of(cls, count: int, seed: int) -> Crowd:
        """So many talks of about two thirds as many people."""
        crowd = cls(random.Random(seed))
        people = [(f"9{16 + n % 9}{n:07}", f"person{n}@example.com") for n in range(1, 2 * count // 3)]
        for number in range(count):
            crowd.talks.append(crowd._talk(number, *crowd.dice.choice(people)))
        return crowd

    def _talk(self, number: int, digits: str, email: str) -> Made:
        dice = self.dice
        told = dice.choice(("phone", "phone", "email", "both", "in text", "in text", "nothing"))
        phone = self._spelled(SPELLED, digits) if told in ("phone", "both") else None
        texts = [dice.choice(PHRASES) for _ in range(dice.randint(1, 9))]
        if told == "in text":
            texts.append(f"мой номер {self._spelled(IN_TEXT, digits)}, звоните")
        mail = dice.choice((email, email.upper(), email.title())) if told in ("email", "both") else None
        stored = {
            "id": f"t{number}",
            "source": dice.choice(SOURCES),
            "user_name": dice.choice(NAMES),
            "phone": phone,
            "email": mail,
            "product_interest": dice.choice(PRODUCTS),
            "budget": dice.choice((None, 30_000, 150_000, "90000")),
            "messages": [self._message(number, index, text) for index, text in enumerate(texts)],
            "metadata": {"username": f"user{number}", "city": dice.choice((None, "Омск", "Казань"))},
        }
        return Made(stored, f"+7{digits}" if told in ("phone", "both", "in text") else None, mail and email)

    def _spelled(self, forms: Iterable[str], digits: str) -> str:
        return self.dice.choice(list(forms)).format(digits[:3], digits[3:6], digits[6:8], digits[8:])

    def _message(self, number: int, index: int, text: str) -> dict[str, Any]:
        at = BEGIN + timedelta(minutes=number, seconds=10 * index)
        role = "bot" if index % 2 and "номер" not in text else "user"
        return {"role": role, "text": f"м{number}-{index}: {text}", "at": at.isoformat()}

    def grow(self) -> None:
        """Half of the customers write once more."""
        for number, made in enumerate(self.talks):
            if number % 2:
                made.stored["messages"].append(self._message(number, len(made.stored["messages"]), "ещё вопрос"))

    def people(self) -> list[set[str]]:
        """The phones and e-mails of each person who told any: talks that share one are one person's."""
        people: list[set[str]] = []
        for told in ({one.phone, one.email} - {None} for one in self.talks):
            same = [person for person in people if person & told]
            people = [person for person in people if person not in same]
            if told:
                people.append(set().union(*same, told))  # type: ignore[arg-type]
        return people
