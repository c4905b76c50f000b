"""The account a sandbox starts with: «Воронка» and «Повторные продажи», three users, a field of every usable type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count

from .fields import Field, Option
from .settings import LOST, WON, Content, Pipeline, Status, User

ACCOUNT_ID = 31_850_622
ADMIN_ID = 10_450_722

_PREDEFINED_TRACKING = [
    "UTM_CONTENT",
    "UTM_MEDIUM",
    "UTM_CAMPAIGN",
    "UTM_SOURCE",
    "UTM_TERM",
    "UTM_REFERRER",
    "ROISTAT",
    "REFERRER",
    "OPENSTAT_SERVICE",
    "OPENSTAT_CAMPAIGN",
    "OPENSTAT_AD",
    "OPENSTAT_SOURCE",
    "FROM",
    "GCLIENTID",
    "_YM_UID",
    "_YM_COUNTER",
    "GCLID",
    "YCLID",
    "FBCLID",
]

_LEAD_FIELDS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Источник", "select", ("Telegram Bot", "Avito Messenger", "Веб-чат")),
    ("Продукт", "select", ("AI Manager", "AI Lawyer", "AI Analyst", "Другое")),
    ("Город", "text", ()),
    ("ID диалога", "text", ()),
    ("Бюджет", "numeric", ()),
    ("Дата встречи", "date", ()),
    ("Время звонка", "date_time", ()),
    ("Интересы", "multiselect", ("Продажи", "Поддержка", "Документы", "Аналитика")),
    ("Тариф", "radiobutton", ("Старт", "Рост", "Корпоративный")),
    ("Согласие", "checkbox", ()),
    ("Сайт", "url", ()),
    ("Комментарий", "textarea", ()),
    ("Сумма договора", "monetary", ()),
    ("Адрес", "streetaddress", ()),
    ("Документ", "file", ()),
    ("Товары", "chained_list", ()),
)

_PHONE_CODES = ("WORK", "WORKDD", "MOB", "FAX", "HOME", "OTHER")
_EMAIL_CODES = ("WORK", "PRIV", "OTHER")
_IM_CODES = ("SKYPE", "ICQ", "JABBER", "GTALK", "MSN", "OTHER")


def content() -> Content:
    """A fresh copy of the starting account."""
    return Content(
        info={
            "id": ACCOUNT_ID,
            "name": "sandbox",
            "subdomain": "sandbox",
            "language": "ru",
            "created_at": 1_700_000_000,
            "created_by": 0,
            "updated_at": 1_700_000_000,
            "updated_by": 0,
            "country": "RU",
            "currency": "RUB",
            "currency_symbol": "₽",
            "timezone": "Europe/Moscow",
        },
        pipelines=_pipelines(),
        users=(
            User(ADMIN_ID, "Анна", "anna@example.com", is_admin=True),
            User(10_450_986, "Борис", "boris@example.com"),
            User(10_451_210, "Вера", "vera@example.com", is_active=False),
        ),
        fields=tuple(_fields()),
        loss_reasons={18_764_247: "Слишком дорого", 18_764_250: "Пропала потребность", 18_764_253: "Выбрали других"},
        counters={
            "leads": 37_948_215,
            "contacts": 72_845_935,
            "companies": 67_578_367,
            "notes": 194_991_900,
            "tags": 61_124,
            "fields": 939_000,
            "options": 719_000,
        },
    )


def _pipelines() -> tuple[Pipeline, ...]:
    return (
        Pipeline(
            *(7_028_886, "Воронка", 1, True),
            statuses=_statuses(
                58_962_654, ("Первичный контакт", "Переговоры", "Принимают решение", "Согласование договора")
            ),
        ),
        Pipeline(
            *(7_055_602, "Повторные продажи", 2, False),
            statuses=_statuses(59_144_290, ("Новое обращение", "Подготовка предложения", "Ждём оплату")),
        ),
    )


def _statuses(first_id: int, names: Iterable[str]) -> tuple[Status, ...]:
    colors = ("#99ccff", "#ffff99", "#ffcc66", "#ffcccc")
    working = [
        Status(first_id + 4 * number, name, 10 + 10 * number, colors[number - 1])
        for number, name in enumerate(names, start=1)
    ]
    return (
        Status(first_id, "Неразобранное", 10, "#c1c1c1", type=1, is_editable=False),
        *working,
        Status(WON, "Успешно реализовано", 10_000, "#CCFF66", is_editable=False),
        Status(LOST, "Закрыто и не реализовано", 11_000, "#D5D8DB", is_editable=False),
    )


def _fields() -> Iterator[Field]:
    ids, options = count(838_363, 2), count(497_367, 2)

    def make(entity: str, name: str, type: str, code: str | None = None, labels: Iterable[str] = ()) -> Field:
        coded = type == "multitext"
        listed = [Option(next(options), label, 500 + n, label if coded else None) for n, label in enumerate(labels)]
        currency = "RUB" if type == "monetary" else None
        id = next(ids)
        return Field(id, entity, name, type, code, 500 + id % 500, listed, code is not None, currency=currency)

    for code in _PREDEFINED_TRACKING:
        yield make("leads", code.lower(), "tracking_data", code)
    for name, type, labels in _LEAD_FIELDS:
        yield make("leads", name, type, None, labels)
    for entity in ("contacts", "companies"):
        yield make(entity, "Телефон", "multitext", "PHONE", _PHONE_CODES)
        yield make(entity, "Email", "multitext", "EMAIL", _EMAIL_CODES)
    yield make("contacts", "Мгн. сообщения", "multitext", "IM", _IM_CODES)
    yield make("contacts", "Должность", "text", "POSITION")
    yield make("contacts", "Telegram", "text")
    yield make("contacts", "День рождения", "birthday")
    yield make("contacts", "Адрес", "smart_address")
    yield make("contacts", "Реквизиты", "legal_entity")
    yield make("companies", "Адрес", "textarea", "ADDRESS")
