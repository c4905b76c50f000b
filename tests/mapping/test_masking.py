"""Masking: nothing of who a record is about is left, the same stand-in stands everywhere, and the rest stays."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from leadsync.mapping.contact_keys import find_phones, phone_key
from leadsync.mapping.masking import mask_record
from leadsync.mapping.personal_keys import Kind, kind_of_key
from leadsync.mapping.recorded import as_given
from tests.mapping.made import record as read

KNOWN_NAMES = (
    "Иван",
    "Мария",
    "Пётр",
    "Павел",
    "Анна",
    "Наталья",
    "Лев",
    "Юлия",
    "Достоевский",
    "Петрова",
    "Zoë",
    "Lee",
)
OURS = re.compile(r"user\d*|example|com|masked\d*|[nN]", re.IGNORECASE)
STRUCTURE = frozenset(
    {"source", "user", "name", "phone", "email", "messages", "role", "text", "metadata", "note", "telegram", "chat"}
    | {"conversation", "history"}
)


def masked(**fields: Any) -> dict[str, Any]:
    return mask_record({"id": "1", "source": "telegram", **fields}, country="RU")


def said(**fields: Any) -> str:
    """What becomes of the only message."""
    text = fields.pop("text")
    return str(masked(messages=[{"role": "user", "text": text}], **fields)["messages"][0]["text"])


names = st.one_of(
    st.sampled_from(KNOWN_NAMES),
    st.text("абвгдежзийклмнопрстуфхцчшщъыьэюя", min_size=3, max_size=10).map(str.capitalize),
    st.text("abcdefghijklmnopqrstuvwxyz", min_size=4, max_size=10).map(str.capitalize),
)
digits = st.integers(9_010_000_000, 9_999_999_999).map(str)
spellings = st.sampled_from(
    [
        "+7{0}",
        "8{0}",
        "7{0}",
        "+7 {1} {2}-{3}-{4}",
        "8 ({1}) {2}-{3}-{4}",
        "8-{1}-{2}-{3}-{4}",
        "8.{1}.{2}.{3}.{4}",
        "{0}",
    ]
)
cases = st.sampled_from([str, str.upper, str.lower, lambda text: f"«{text}»,", lambda text: f"({text})!"])
mails = st.builds(
    "{}.q{}@{}.ru".format,
    *[st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=2, max_size=8)] * 2,
    st.text("abcdefghijklmnopqrstuvwxyz", min_size=3, max_size=8),
)


def spelled(spelling: str, number: str) -> str:
    return spelling.format(number, number[:3], number[3:6], number[6:8], number[8:])


def runs(number: str) -> set[str]:
    """Every seven digits in a row of a phone."""
    return {number[at : at + 7] for at in range(len(number) - 6)}


@given(st.lists(names, min_size=1, max_size=3), digits, st.lists(spellings, min_size=3, max_size=3), mails, cases)
def test_nothing_of_the_person_is_left(parts, number, ways, mail, case):
    """No word of the name in any case, no seven digits of the phone, no e-mail: in no field, message or note."""
    assume(not any(OURS.fullmatch(part) or part.casefold() in STRUCTURE for part in parts))
    assume(not runs(number) & runs("9000000001"))
    name = " ".join(parts)
    phones = [spelled(way, number) for way in ways]
    record = {
        "id": f"chat-{phones[0]}",
        "source": "telegram",
        "user_name": name,
        "phone": phones[0],
        "email": mail,
        "messages": [
            {"role": "user", "text": f"это {case(name)} мой номер {phones[1]}, почта {mail.upper()}"},
            {"role": "bot", "text": f"{case(parts[0])}: {phones[2]}; {mail}"},
        ],
        "conversation_history": f"user: {name.lower()} {phones[1]} {mail}",
        "metadata": {"note": {"ask": [f"{case(name)} {phones[2]}", mail]}, phones[1]: name},
    }
    shown = orjson.dumps(mask_record(record, country="RU")).decode()
    words = {word.casefold() for word in re.findall(r"[^\W\d_]+", shown)}
    assert not words & {word.casefold() for part in parts for word in re.findall(r"[^\W\d_]+", part)}
    in_a_row = re.sub(r"(?<=\d)[\s().\-]{1,3}(?=\d)", "", shown)
    assert [run for run in runs(number) if run in in_a_row] == []
    assert mail.casefold() not in shown.casefold()
    assert mail.partition("@")[0] not in shown.casefold()


@given(names, digits, spellings)
def test_a_record_is_always_masked_the_same(name, number, spelling):
    """Two masks of one record are equal: a case does not change because it is recorded again."""
    record = {"id": "1", "source": "web", "user_name": name, "phone": spelled(spelling, number)}
    assert mask_record(record, country="RU") == mask_record(record, country="RU")


@given(digits, spellings, spellings)
def test_a_phone_stays_one_phone(number, first, second):
    """A phone is still one of its country, valid, in the spelling it had, and the same one in every place."""
    assume(phone_key(spelled(first, number), "RU") == f"+7{number}")
    given_, in_text = spelled(first, number), spelled(second, number)
    one = masked(phone=given_, messages=[{"role": "user", "text": f"звоните: {in_text}"}])
    assert phone_key(one["phone"], "RU") == "+79000000001"
    assert re.sub(r"\d", "0", one["phone"]) == re.sub(r"\d", "0", given_)
    assert find_phones(one["messages"][0]["text"], "RU") in (["+79000000001"], [])


@pytest.mark.parametrize(
    ("phone", "begins"), [("+44 7911 123456", "+44"), ("+1 212 555 2368", "+1"), ("+998 90 123 45 67", "+998")]
)
def test_a_phone_keeps_its_country(phone, begins):
    """A foreign phone becomes another valid one of the same country."""
    found = str(masked(phone=phone)["phone"])
    assert found.startswith(begins)
    assert phone_key(found, "RU") not in (None, phone_key(phone, "RU"))
    assert find_phones(found, "RU") == [phone_key(found, "RU")]


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("Мария", "Марии"),
        ("Мария", "марию"),
        ("Иван", "Иваном"),
        ("Пётр", "Петра"),
        ("Павел", "Павлу"),
        ("Анна", "Анне"),
        ("Илья", "Ильи"),
        ("Достоевский", "Достоевскому"),
        ("Петрова", "Петровой"),
        ("Ivanov", "Ivanov's"),
    ],
)
def test_a_name_is_masked_in_its_other_cases(name, word):
    """Russian bends names: what begins with the stem goes too."""
    text = said(user_name=name, text=f"позовите {word} к телефону")
    assert word.rstrip("'s") not in text
    assert re.fullmatch(r"позовите (Пример|Sample)('s)? к телефону", text)


@pytest.mark.parametrize(
    "text",
    [
        "бюджет 1500000 рублей, от 10 000 до 15 000 руб",
        "встреча 05.11.2026 в 10:00, до 2026-12-31",
        "заказ 12345, 6 менеджеров, 400 заявок",
        "Здравствуйте! Сколько стоит AI Manager?",
    ],
)
def test_what_leads_to_nobody_stays(text):
    """Sums, dates, small numbers and plain words are what a case is about."""
    assert said(user_name="Иван", text=text) == text


def test_fields_that_are_not_personal_stay():
    """The budget, the product, the city and the times are what mappings are tested with."""
    kept = {"budget": 1500000, "product_interest": "AI Manager", "updated_at": "2026-11-01T10:00:00+03:00"}
    one = masked(**kept, metadata={"city": "Москва", "utm_source": "ya", "product_name": "Бот", "visits": 12})
    assert {name: one[name] for name in kept} == kept
    assert one["metadata"] == {"city": "Москва", "utm_source": "ya", "product_name": "Бот", "visits": 12}


def test_logins_cards_and_links_go():
    """A handle is one person everywhere; a card and a document keep their shape only."""
    one = masked(
        metadata={"username": "masha_p", "passport": "4510 123456", "card": 1234, "chat_id": 123456789},
        messages=["я @masha_p, t.me/masha_p, карта 4276 1234 5678 9010, паспорт 4510 123456"],
    )
    shown = orjson.dumps(one).decode()
    assert not [secret for secret in ("masha", "4510", "4276", "123456", "1234,", "5678") if secret in shown]
    assert one["messages"][0].startswith("я @user1, t.me/user1, карта 1000 0000 0000 000")


def test_an_e_mail_of_digits_is_no_end_of_a_phone():
    """Digits that belong to an e-mail behind a phone go with the e-mail."""
    text = said(phone="89161234567", text="8 916 123-45-67 00.00@aaa.ru 8916@bbb.ru")
    assert text == "8 900 000-00-01 user1@example.com user2@example.com"


def test_a_name_somebody_tells_is_masked():
    """Who introduces themselves in a message has a name, though no field says so."""
    assert said(text="Меня зовут Светлана. Светлане звоните вечером") == "Меня зовут Пример. Пример звоните вечером"


def test_characters_nobody_sees_hide_nothing():
    """Zero-width spaces inside a phone or a name, and letters in two pieces, are no way out."""
    text = said(user_name="Андреи\u0306", phone="89161234567", text="8916\u200b123\u200b4567 Андре\u200bй")
    assert text == "89000000001 Пример"


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("user_name", Kind.NAME),
        ("userName", Kind.NAME),
        ("firstName", Kind.NAME),
        ("ФИО", Kind.NAME),
        ("username", Kind.LOGIN),
        ("telegram_login", Kind.LOGIN),
        ("contactPhone", Kind.PHONE),
        ("E-mail", Kind.EMAIL),
        ("delivery_address", Kind.OTHER),
        ("birth_date", Kind.OTHER),
        ("product_name", None),
        ("campaignName", None),
        ("utm_source", None),
        ("city", None),
        ("budget", None),
    ],
)
def test_keys_say_what_is_personal(key, kind):
    """A key in any of the usual spellings tells what its value is; the name of a thing is no person's."""
    assert kind_of_key(key) is kind


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), st.lists, max_leaves=5
    )
)
def test_any_data_can_be_masked(value):
    """Whatever a bot writes beside the usual fields, masking ends, and the record can still be read."""
    read(metadata=masked(metadata={"anything": value, "name": value, "phone": value})["metadata"])


records = st.fixed_dictionaries(
    {"id": st.text("abc:1", min_size=1), "source": st.sampled_from(["telegram", "web"])},
    optional={
        "user_name": st.text(max_size=10),
        "budget": st.integers(0, 10**9) | st.text(max_size=5),
        "messages": st.lists(
            st.fixed_dictionaries({"role": st.just("user"), "text": st.text(max_size=10)}), max_size=3
        ),
        "conversation_history": st.text(max_size=10),
        "metadata": st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=2),
        "updated_at": st.datetimes().map(str),
        "visits": st.integers(),
    },
)


@given(records)
def test_a_record_written_out_reads_back_as_the_same(raw):
    """What a case holds of a record is all of it: read again, it is the same record."""
    one = read(**raw)
    assert read(**as_given(one)) == one
