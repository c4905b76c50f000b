"""Where a value came from: the expression, its line, and the message."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadsync.mapping.desired import DesiredValue, Origin
from leadsync.mapping.talk import Noted, talk_since
from tests.mapping.made import desired, mapper, record

TALK = [
    {"role": "bot", "text": "Наш телефон +7 495 111-22-33"},
    {"role": "user", "text": "Добрый день"},
    {"role": "bot", "text": "Как с вами связаться?"},
    {"role": "user", "text": "8 916 123-45-67, почта ivan@example.com"},
    {"role": "user", "text": "Спасибо"},
]


def value(folder: Path, template: str, **fields: object) -> DesiredValue:
    """The name of a lead that this template makes of the talk."""
    lines = "".join(f"    {line}\n" for line in template.split("\n"))
    lead = desired(mapper(folder, f"key: k\nlead:\n  name: |\n{lines}"), record(messages=TALK, **fields)).lead
    assert lead is not None
    return lead.values[0]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ messages | find_phone }}", 4),
        ("{{ messages | find_email }}", 4),
        ("{{ all_messages[2:] | find_email | upper }}", 4),
        ("{{ messages[0].text }}", 1),
        ("{{ (messages | last).text }}", 5),
        ("{{ (messages | last).text | default('-') }}", 5),
        ("{{ messages[1]['text'] | upper }}", 2),
        ("{% set m = messages | selectattr('role', 'equalto', 'user') | list | last %}{{ m.text }}", 5),
        ("{{ messages[3].text | find_phone }}", 4),
        ("{{ messages[3] | find_phone }}", 4),
        ("{{ phone or messages | find_phone }}", None),
        ("{{ messages[1].text | find_phone or phone }}", None),
        ("{{ messages[:3] | find_phone or phone }}", None),
        ("{% for m in messages %}{{ m.text }}{% endfor %}", None),
        ("{{ messages[0].text }} {{ messages[1].text }}", None),
        ("{{ messages | length }}", None),
        ("{{ messages[0].role }}", None),
        ("{{ conversation_history | find_phone }}", None),
        ("{{ user_name }}", None),
    ],
)
def test_message_that_gave_a_value(tmp_path: Path, template: str, message: int | None) -> None:
    """A value names a message, counted from 1, when exactly one gave it."""
    assert value(tmp_path, template, phone="+79990000000", user_name="Иван").message == message


def test_equal_messages_are_told_apart(tmp_path: Path) -> None:
    """Of messages that are the same in every letter, the one that was read is named."""
    made = mapper(tmp_path, "key: k\nlead:\n  name: '{{ (messages | last).text }}'\n")
    lead = desired(made, record(messages=["да", "да", "да"])).lead
    assert lead is not None
    assert lead.values[0].message == 3


def test_phone_and_email_know_their_message(tmp_path: Path) -> None:
    """A phone that was found says in which message; one of several in one text does not."""
    made = mapper(
        tmp_path,
        "key: k\ncontact:\n  phone: '{{ phone or messages | find_phone }}'\n  email: '{{ messages | find_email }}'\n",
    )
    contact = desired(made, record(messages=TALK)).contact
    assert contact is not None
    assert [(one.text, one.message) for one in (*contact.phones, *contact.emails)] == [
        ("+79161234567", 4),
        ("ivan@example.com", 4),
    ]
    both = mapper(tmp_path, "key: k\ncontact:\n  phone: '{{ phone }}, {{ messages | find_phone }}'\n")
    contact = desired(both, record(messages=TALK, phone="+79990000000")).contact
    assert contact is not None
    assert [one.message for one in contact.phones] == [None, None]


def test_expression_and_its_line(tmp_path: Path) -> None:
    """Every value, tag and note says the expression in one line, and the line in which it begins."""
    made = mapper(
        tmp_path,
        "key: '{{ id }}'\n"
        "contact:\n  phone: '{{ phone }}'\n"
        "lead:\n"
        "  name: |\n    Заявка\n      от  {{ user_name }}\n"
        "  tags: [бот, '{{ source }}']\n"
        f"  fields:\n    A: '{'x' * 200}'\n    B: {{value: '{{{{ id }}}}', write: create}}\n"
        "note: |\n  История\n  {% for m in messages %}{{ m.text }}{% endfor %}\n",
    )
    found = desired(made, record(phone="+79161234567", user_name="Иван", messages=TALK))
    assert found.contact is not None
    assert found.lead is not None
    assert found.note is not None
    values = [*found.contact.phones, *found.lead.values, *found.lead.fields, found.note]
    assert [(one.expression, one.place.line) for one in values] == [
        ("{{ phone }}", 3),
        ("Заявка от {{ user_name }}", 7),
        ("x" * 120 + "…", 10),
        ("{{ id }}", 11),
        ("История {% for m in messages %}{{ m.text }}{% endfor %}", 14),
    ]
    assert {tag: (origin.expression, origin.place.line) for tag, origin in found.lead.tag_origins.items()} == {
        "бот": ("бот", 8),
        "telegram": ("{{ source }}", 8),
    }
    assert found.lead.key_origin == Origin("{{ id }}", found.lead.key_origin.place if found.lead.key_origin else None)  # type: ignore[arg-type]


def test_news_are_counted(tmp_path: Path) -> None:
    """A note says how many messages are new in it."""
    made = mapper(tmp_path, "key: k\nnote: '{{ messages | length }}'\n")
    _, noted = talk_since(record(messages=TALK[:3]), None)
    assert desired(made, record(messages=TALK), noted).news == 2
    assert desired(made, record(messages=TALK), Noted()).news == 5
    assert desired(made, record(messages=TALK), talk_since(record(messages=TALK), None)[1]).news is None
