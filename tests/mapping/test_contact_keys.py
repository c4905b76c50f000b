"""Phones and e-mails: one person's in any spelling gives one key, and junk gives none."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from leadsync.mapping.contact_keys import email_key, find_emails, find_phones, last_digits, phone_key, phones_in

KEY = "+79161234567"


@pytest.mark.parametrize(
    "text",
    [
        "+79161234567",
        "89161234567",
        "79161234567",
        "9161234567",
        "8 (916) 123-45-67",
        "+7 916 123 45 67",
        "8-916-123-45-67",
        "8.916.123.45.67",
        "tel:+7-916-123-45-67",
        "tel:89161234567",
        "tel:+7-916-123-45-67;ext=5",
        "8 916 123-45-67 доб. 12",
        "+7 (916) 123-45-67 ext. 3",
        "8\u00a0916\u202f123\u201145‑67",
        "\u202a+7 916 123 45 67\u202c",
        "８９１６１２３４５６７",
        "٨٩١٦١٢٣٤٥٦٧",
        "+8 916 123 45 67",
        "007 916 123 45 67",
        "8 10 7 916 123 45 67",
        "+7 (916) 123‒45‒67",
        "Тел.: 8 916 123 45 67 (Иван)",
        "89161234567@c.us",
        "8 916 123-45-67, 8 926 111-22-33",
    ],
)
def test_one_phone_in_any_spelling(text: str) -> None:
    """Country codes, prefixes, extensions, invisible characters and words around it make no difference."""
    assert phone_key(text, "RU") == KEY


@given(
    st.from_regex(r"9[0-9]{9}", fullmatch=True).filter(lambda digits: digits != "9876543210"),
    st.sampled_from(["+7", "8", "7", "", "tel:+7", "007"]),
    st.sampled_from(["", " ", "-", "\u00a0", ".", "\u2011"]),
    st.booleans(),
)
def test_a_phone_has_one_key(digits: str, prefix: str, between: str, brackets: bool) -> None:
    """Any prefix, separator and brackets; also for numbers that no operator gave out yet."""
    code = f"({digits[:3]})" if brackets else digits[:3]
    spelling = between.join([prefix + between + code if prefix else code, digits[3:6], digits[6:8], digits[8:]])
    expected = None if len(set(digits)) == 1 else f"+7{digits}"
    assert phone_key(spelling, "RU") == expected


@given(st.from_regex(r"(\+7|8|7|)[ -]?\(?9[0-9]{2}\)?[ -]?[0-9]{3}[ -]?[0-9]{2}[ -]?[0-9]{2}", fullmatch=True))
@example("+79876543210")
@example("8 (987) 654-32-10")
@example("+79999999999")
def test_a_usual_spelling_is_read_as_any_other(spelling: str) -> None:
    """What is read at a glance has the key that a close look finds, whatever the country."""
    for country in ("RU", "KZ", "US", "IT"):
        assert phone_key(spelling, country) == phone_key(f"\u200b{spelling}", country)


@pytest.mark.parametrize(
    "text",
    [
        *("", None, "-", "+", "123", "нет", "@ivan", "i@example.com", "8 (___) ___-__-__", "01.11.2026", "8" * 300),
        *("123-45-67", "1234567", "0000000000", "11111111111", "+7 999 999 99 99", "1234567890", "8 123 456 78 90"),
    ],
)
def test_junk_is_no_phone(text: str | None) -> None:
    """A placeholder must not make one person of everybody who typed it."""
    assert phone_key(text, "RU") is None


@pytest.mark.parametrize(
    ("text", "country", "key"),
    [
        ("375 29 123-45-67", "RU", "+375291234567"),
        ("+375 (29) 123-45-67", "RU", "+375291234567"),
        ("8 10 375 29 123 45 67", "RU", "+375291234567"),
        ("00 375 29 123 45 67", "RU", "+375291234567"),
        ("8 (701) 123-45-67", "KZ", "+77011234567"),
        ("06 698 12345", "IT", "+390669812345"),
        ("(415) 555-2671", "US", "+14155552671"),
        ("7 812 345 67 89", "RU", "+78123456789"),
    ],
)
def test_phones_of_other_countries(text: str, country: str, key: str) -> None:
    """A country's own habits are read by the default country; a foreign number is known by its code."""
    assert phone_key(text, country) == key


def test_what_the_search_of_the_crm_takes() -> None:
    """The last ten digits stand in every spelling."""
    assert last_digits(KEY) == "9161234567"
    assert last_digits("+37112345") == "37112345"


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("Мой номер +7(910)0007919, звоните после обеда", ["+79100007919"]),
        ("89161234567 или 8-926-765-43-21, и ещё раз 8 916 123 45 67", [KEY, "+79267654321"]),
        ("пишите на 8\u00a0916\u00a0123‑45‑67", [KEY]),
        ("цена 9 161 234 567 руб", []),
        ("бюджет: 9161234567", []),
        ("стоит 9161234567₽", []),
        ("заказ № 9161234567", []),
        ("Номер заказа: 9161234567", []),
        ("ИНН 9161234567", []),
        ("order #9161234567", []),
        ("встреча 01.11.2026 12:30", []),
        ("2026-11-01 09:00:00 и 150 000 руб", []),
        ("карта 4081 7810 0999 1000 4312", []),
        ("123-45-67", []),
        ("по заказу 55 звоните: +7 916 123-45-67", [KEY]),
        ("", []),
    ],
)
def test_phones_in_a_free_text(text: str, keys: list[str]) -> None:
    """Dates, sums, accounts and the numbers of orders are no phones."""
    assert find_phones(text, "RU") == keys


def test_a_huge_text_is_searched_for_its_first_phone_only() -> None:
    """Who needs one phone pays for one; and a text of nothing but numbers ends."""
    assert next(phones_in("8 916 123 45 67, " * 50_000, "RU")) == KEY
    assert find_phones("1 " * 200_000, "RU") == []


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Ivan@Example.COM", "ivan@example.com"),
        ("  mailto:ivan.petrov+crm@mail.example.co.uk ", "ivan.petrov+crm@mail.example.co.uk"),
        ("Иван Петров <i@example.com>", "i@example.com"),
        ("<i@example.com>", "i@example.com"),
        ("i@example.com.", "i@example.com"),
        ("i@example.com, j@example.com", "i@example.com"),
        ("i@пример.рф", "i@пример.рф"),
        ("i@xn--e1afmkfd.xn--p1ai", "i@пример.рф"),
        ("i@xn--\u00ad-.com", None),
        ("i@xn--a-ecp.ru", "i@xn--a-ecp.ru"),
        ("i\u200b@example.com", "i@example.com"),
        ("", None),
        (None, None),
        ("-", None),
        ("i@", None),
        ("@example.com", None),
        ("i@localhost", None),
        ("i@example..com", None),
        ("i@-example.com", None),
        ("i" * 300 + "@example.com", None),
    ],
)
def test_an_e_mail_has_one_key(text: str | None, key: str | None) -> None:
    """Case, `mailto:`, a name around it and the spelling of its domain make no difference."""
    assert email_key(text) == key


@given(
    st.emails(domains=st.just("example.com")).filter(
        lambda address: address[0].isalnum() and not set(address) & set("'`")
    )
)
def test_the_case_of_an_e_mail_does_not_matter(address: str) -> None:
    """One key for any case."""
    assert email_key(address.upper()) == email_key(address) == address.lower()


def test_e_mails_in_a_free_text() -> None:
    """Each once, without the punctuation around it."""
    assert find_emails("пишите (i@example.com), I@EXAMPLE.com или на j@example.org!") == [
        "i@example.com",
        "j@example.org",
    ]
    assert find_emails("без собаки") == []
