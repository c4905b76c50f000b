"""People who write to bots, made up so that everything that could be mixed up is there: one person in many spellings,
talks without a contact that look all alike, equal messages inside a talk, and talks longer than one note."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

SPELLED = ("+7{0}{1}{2}{3}", "8{0}{1}{2}{3}", "8 ({0}) {1}-{2}-{3}", "+7 {0} {1}-{2}-{3}", "7{0}{1}{2}{3}")
ALIKE = ("да", "нет", "спасибо", "сколько стоит?")
LONG = "длинное сообщение " * 100


@dataclass(slots=True)
class Customer:
    """Somebody who is known by a phone, by an e-mail, or by both in every talk."""

    name: str
    digits: str | None
    email: str | None

    def contact(self, dice: random.Random) -> dict[str, str]:
        """Phone and e-mail as this person happens to write them."""
        found = {}
        if self.digits:
            d = self.digits
            found["phone"] = dice.choice(SPELLED).format(d[:3], d[3:6], d[6:8], d[8:])
        if self.email:
            found["email"] = dice.choice((self.email, self.email.upper(), self.email.title()))
        return found

    @property
    def told(self) -> dict[str, str]:
        """What the contact holds, as the CRM shows it."""
        phone = {"PHONE": f"+7{self.digits}"} if self.digits else {}
        return phone | ({"EMAIL": self.email} if self.email else {})

    @property
    def known_by(self) -> tuple[str, str]:
        """The first of it."""
        return next(iter(self.told.items()))


@dataclass(slots=True)
class Talk:
    """A talk as it is stored, and who talks; None says neither phone nor e-mail."""

    stored: dict[str, Any]
    customer: Customer | None

    @property
    def key(self) -> str:
        """The key that the mapping of tests/world.py gives it."""
        return f"{self.stored['source']}:{self.stored['id']}"

    @property
    def lines(self) -> list[str]:
        """What its notes have to say, in order."""
        return [f"{one['role']}: {one['text']}" for one in self.stored["messages"]]

    def says(self, dice: random.Random, count: int = 1) -> None:
        """So many messages more; many are alike, and some have a time."""
        for _ in range(count):
            number = len(self.stored["messages"])
            text = dice.choice(ALIKE) if dice.random() < 0.5 else f"{self.stored['id']}-{number}"
            timed = {"at": f"2026-11-01T{10 + number // 60}:{number % 60:02}:00+03:00"} if dice.random() < 0.5 else {}
            self.stored["messages"].append({"role": dice.choice(("user", "bot")), "text": text} | timed)


@dataclass(slots=True)
class Crowd:
    """Everybody who writes, and all their talks."""

    dice: random.Random
    customers: list[Customer] = field(default_factory=list)
    talks: list[Talk] = field(default_factory=list)

    @classmethod
    def of(cls, count: int, seed: int, *, long: int = 0) -> Crowd:
        """So many talks of a third as many people, the first of them `long`."""
        crowd = cls(random.Random(seed))
        for number in range(max(1, count // 3)):
            digits = f"9{16 + number % 9}{number:07}" if number % 4 else None
            email = f"person{number}@example.com" if number % 4 < 2 else None
            crowd.customers.append(Customer(f"Иван {number}", digits, email))
        for number in range(count):
            crowd.talks.append(crowd._talk(number, long=number < long))
        return crowd

    def _talk(self, number: int, *, long: bool) -> Talk:
        dice = self.dice
        customer = dice.choice(self.customers) if dice.random() < 0.8 else None
        stored: dict[str, Any] = {"id": f"t{number}", "source": "telegram", "messages": []}
        if customer is None:
            stored |= {"user_name": "Гость"}  # all of these look alike in the CRM
        else:
            stored |= {"user_name": customer.name, "product_interest": dice.choice(("AI Manager", "AI Lawyer", None))}
            stored |= {"budget": dice.choice((None, 1000, 2000))} | customer.contact(dice)
        talk = Talk(stored, customer)
        talk.says(dice, dice.randint(1, 6))
        if long:
            stored["messages"] += [{"role": "user", "text": f"{number}-{one} {LONG}".strip()} for one in range(25)]
        return talk

    @property
    def seen(self) -> list[Customer]:
        """Those who said a phone or an e-mail."""
        return list({id(one.customer): one.customer for one in self.talks if one.customer is not None}.values())
