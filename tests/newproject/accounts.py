"""Accounts as nobody would want them: names shared, empty, long, full of what YAML and Jinja mean something by."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from leadsync.amocrm.catalogue import LOST, WON, Account, Catalogue, CustomField, FieldOption, Pipeline, Status, User
from leadsync.sandbox.fields import LEADS_ONLY, NOT_ON_LEADS, TYPES, WITH_OPTIONS

_NASTY = st.sampled_from(
    [
        *("{{ phone }}", "{% if x %}", "{# x #}", "${HOME}", "$${X}", "${{", "}}", "#", " # no", ": ", "- ", "? ", "|"),
        *(
            '"',
            "'",
            '""',
            "\\",
            "\\n",
            "\n",
            "\r\n",
            "\t",
            "\x00",
            "\x85",
            "\u2028",
            "\ufeff",
            "\u200d",
            "\xa0",
            "😀👨‍👩‍👧",
        ),
        *("yes", "null", "TRUE", "~", "<<", "*a", "&a", "!tag", "@", "`", "%", "1", "0x1f", "1.5", "2025-01-01", ""),
        *("Источник", "Продукт", "Город", "Бюджет", "Telegram", "ID диалога", "UTM_SOURCE", "key", "x" * 300),
    ]
)
NAMES = st.lists(_NASTY | st.text(max_size=6), min_size=1, max_size=3).map("".join)
_CODES = st.none() | NAMES | st.sampled_from(["PHONE", "EMAIL", "UTM_SOURCE", "CITY", "BUDGET", "NULL", "_X"])
_IDS = st.integers(1, 10**7)


def account(**changes: Any) -> Account:
    """The account itself."""
    facts = {"id": 1, "name": "firm", "subdomain": "firm", "timezone": "Asia/Almaty"} | changes
    return Account(**facts, is_api_filter_enabled=False, current_user_id=None)


@st.composite
def fields(draw: st.DrawFn, number: int) -> CustomField:
    """A field of any type that its entity may have."""
    entity = draw(st.sampled_from(["leads", "contacts", "companies"]))
    kind = draw(st.sampled_from(sorted(TYPES - (NOT_ON_LEADS if entity == "leads" else LEADS_ONLY))))
    labels = draw(st.lists(NAMES, min_size=1, max_size=4)) if kind in WITH_OPTIONS else []
    options = tuple(FieldOption(10**8 + 100 * number + at, label) for at, label in enumerate(labels))
    return CustomField(number, draw(NAMES), draw(_CODES), kind, entity, options, is_computed=draw(st.booleans()))


@st.composite
def pipelines(draw: st.DrawFn, number: int, *, is_main: bool) -> Pipeline:
    """A pipeline with the stages that every one has, and some of its own."""
    names = draw(st.lists(NAMES, max_size=3))
    own = [Status(number * 100 + at, name, number) for at, name in enumerate(names)]
    first = Status(number * 100 + 90, "Неразобранное", number, 1)
    ends = (Status(WON, "Успешно реализовано", number), Status(LOST, "Закрыто и не реализовано", number))
    archived = not is_main and draw(st.booleans())
    return Pipeline(number, draw(NAMES), is_main, archived, (first, *own, *ends))


@st.composite
def catalogues(draw: st.DrawFn) -> Catalogue:
    """A whole account."""
    numbers = draw(st.lists(_IDS, min_size=0, max_size=8, unique=True))
    main, *others = draw(st.lists(_IDS, min_size=1, max_size=3, unique=True))
    people = draw(st.lists(_IDS, max_size=6, unique=True))
    return Catalogue(
        account=account(),
        fields=tuple(draw(fields(one)) for one in numbers),
        pipelines=(draw(pipelines(main, is_main=True)), *(draw(pipelines(one, is_main=False)) for one in others)),
        users=tuple(User(one, draw(NAMES), draw(NAMES), draw(st.booleans())) for one in people),
    )
