"""Made-up people and leads, the same ones for the same seed."""

from __future__ import annotations

import random
from typing import Any

from .account import Account
from .drafts import Draft
from .settings import LOST, WON
from .writing import create

_FIRST = ("Анна", "Борис", "Вера", "Глеб", "Дарья", "Егор", "Жанна", "Захар", "Инна", "Кирилл", "Лидия", "Марат")
_LAST = ("Белых", "Громов", "Дюма", "Живаго", "Коваль", "Лесных", "Мороз", "Нечай", "Остапенко", "Седых", "Тимчук")
_DAY, _YEAR = 86_400, 365 * 86_400
_PHONE_FORMS = ("+7{0}{1}{2}{3}", "8{0}{1}{2}{3}", "7{0}{1}{2}{3}", "8 ({0}) {1}-{2}-{3}")


def seed(account: Account, contacts: int, leads: int = 0, number: int = 1) -> tuple[list[int], list[int]]:
    """Makes up contacts, each with a phone and an e-mail, and leads of some of them; the ids of both.

    Phones are written the way people write them: `+7…`, `8…`, `8 (916) 123-45-67`. The contacts came one after the
    other over the year before, the last one a day ago.
    """
    dice = random.Random(number)
    by = next(iter(account.users))
    made = []
    for index in range(contacts):
        came = account.now() - _DAY - _YEAR * (contacts - 1 - index) // contacts
        made.append(create(account, _contact(account, dice, index, came), by).id)
    return made, [create(account, _lead(account, dice, made), by).id for _ in range(leads)]


def _contact(account: Account, dice: random.Random, index: int, came: int) -> Draft:
    first, last = dice.choice(_FIRST), dice.choice(_LAST)
    values = {
        **_coded(account, "PHONE", _phone(dice)),
        **_coded(account, "EMAIL", f"person{index}.{dice.randrange(10_000)}@example.com"),
    }
    name = f"{first} {last}"
    facts = {"name": name, "first_name": first, "last_name": last, "created_at": came, "updated_at": came}
    return Draft("contacts", "", facts=facts, values=values)


def _phone(dice: random.Random) -> str:
    digits = f"9{dice.randrange(10**9):09}"
    return dice.choice(_PHONE_FORMS).format(digits[:3], digits[3:6], digits[6:8], digits[8:])


def _coded(account: Account, code: str, text: str) -> dict[int, list[dict[str, Any]]]:
    field = account.fields["contacts"].coded(code)
    if field is None:
        return {}
    return {field.id: [{"value": text, "enum_id": field.options[0].id, "enum_code": field.options[0].code}]}


def _lead(account: Account, dice: random.Random, contacts: list[int]) -> Draft:
    pipeline = account.main_pipeline
    status = dice.choice([status for status in pipeline.statuses if status.id not in (WON, LOST)])
    facts = {"price": dice.randrange(1_000) * 100, "pipeline_id": pipeline.id, "status_id": status.id}
    return Draft("leads", "", facts=facts, contacts=[(dice.choice(contacts), True)] if contacts else [])
