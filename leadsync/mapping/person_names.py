"""The filters `first_name` and `last_name`: a person's full name, in the orders people write it in."""

from __future__ import annotations

import re
from typing import Any

_PATRONYMIC = re.compile(r".{2,}(?:вич|вна|ична|инична|оглы|кызы)", re.IGNORECASE)


def first_name(value: Any) -> str:
    """`Иван Петров` → `Иван`; with a patronymic the order is known: `Петров Иван Сергеевич` → `Иван`."""
    return _parts(value)[0]


def last_name(value: Any) -> str:
    """`Иван Петров` → `Петров`; nothing when there is one word only."""
    return _parts(value)[1]


def _parts(value: Any) -> tuple[str, str]:
    text = "" if value is None else str(value)
    if text.count(",") == 1:
        last, first = (part.strip() for part in text.split(","))
        return first, last
    words = text.split()
    for at in range(1, len(words)) if len(words) > 2 else ():
        if _PATRONYMIC.fullmatch(words[at]):
            return words[at - 1], " ".join(words[: at - 1] + words[at + 1 :])
    return " ".join(words[:1]), " ".join(words[1:])
