"""Personal keys: what the name of a key says about its value: a person's name, phone, e-mail, login, or the like."""

from __future__ import annotations

import re
from enum import Enum, auto


class Kind(Enum):
    """What a value is, as far as its key tells."""

    NAME = auto()
    PHONE = auto()
    EMAIL = auto()
    LOGIN = auto()
    OTHER = auto()


_WORDS = re.compile(r"[A-ZА-ЯЁ]?[a-zа-яё]+|[A-ZА-ЯЁ]+(?![a-zа-яё])|\d+")
_THINGS = frozenset(
    {"product", "utm", "file", "campaign", "bot", "channel", "source", "service", "event", "tariff", "plan", "city"}
    | {"page", "form", "group", "tag", "field", "pipeline", "status", "course", "project", "category", "brand", "model"}
    | {"platform", "os", "browser", "device", "host", "domain", "app"}
)
"""Words before `name` that make it the name of a thing."""

_KINDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (Kind.EMAIL, re.compile(r"e_?mail|(?:^|_)mail|почт")),
    (Kind.PHONE, re.compile(r"phone|(?:^|_)tel(?:_|$)|(?:^|_)тел|mobile|whats|viber|(?:^|_)моб|msisdn")),
    (
        Kind.LOGIN,
        re.compile(r"username|login|логин|nick|(?:^|_)ник(?:_|$)|handle|telegram$|instagram|skype|screen_name"),
    ),
    (Kind.NAME, re.compile(r"name$|(?:^|_)имя|фамили|отчеств|(?:^|_)(?:fio|фио|author|client|клиент)$|patronymic")),
    (
        Kind.OTHER,
        re.compile(
            r"address|адрес|street|улиц|passport|паспорт|(?:^|_)card|(?:^|_)карт[аы]|birth|рожд|(?:^|_)(?:inn|инн|ip|geo|lat|lon|lng)$|"
            r"snils|снилс|passw|парол|secret|token|session|cookie|latitude|longitude|avatar|photo|iban|account"
        ),
    ),
)
"""The first that fits counts: `username` is a login, `user_name` and `userName` are a name."""


def kind_of_key(key: str) -> Kind | None:
    """What a key (`user_name`, `firstName`, `contactPhone`, `адрес`) says its value is; None when it says nothing."""
    words = [word.casefold() for word in _WORDS.findall(key)]
    if words[-1:] == ["name"] and _THINGS & set(words):
        return None
    joined = "_".join(words)
    return next((kind for kind, pattern in _KINDS if pattern.search(joined)), None)


def kind_below(kind: Kind | None) -> Kind | None:
    """What the parts of such a value are: those of an address are as personal, those of a client say it themselves."""
    return kind if kind is Kind.OTHER else None
