"""The filters of mappings, each through a template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from leadsync.mapping.filters import FILTERS
from tests.mapping.made import record, rendered

TALK = [
    {"role": "bot", "text": "Звоните нам: 8 800 555-35-35, info@example.com"},
    {"role": "user", "text": "да", "at": "2026-11-01T09:00:00+00:00"},
    {"role": "user", "text": "мой номер 8 916 123-45-67 и i@example.org"},
    {"role": "user", "text": "или 8 926 765-43-21"},
]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("150 тыс", "150000"),
        ("150 тыс. руб.", "150000"),
        ("150к", "150000"),
        ("150k", "150000"),
        ("1,5 млн", "1500000"),
        ("1.5 млн рублей", "1500000"),
        ("полтора миллиона", "1500000"),
        ("2 млрд", "2000000000"),
        ("150 000 ₽", "150000"),
        ("150\u00a0000 р.", "150000"),
        ("150'000", "150000"),
        ("$1,500.50", "1500.5"),
        ("1.500.000,25 €", "1500000.25"),
        ("150.000", "150000"),
        ("0.500", "0.5"),
        ("1500,5", "1500.5"),
        ("до 200 тыс", "200000"),
        ("~150к", "150000"),
        ("150000", "150000"),
        (150000, "150000"),
        ("от 100 до 150 тыс", "от 100 до 150 тыс"),
        ("100-150 тыс", "100-150 тыс"),
        ("дорого", "дорого"),
        ("1,2,3", "1,2,3"),
        ("1" * 100, "1" * 100),
        ("", ""),
        (None, ""),
    ],
)
def test_money(tmp_path: Path, value: Any, shown: str) -> None:
    """A sum as people write it is a number; what is no single sum stays as it is."""
    assert rendered(tmp_path, "{{ x | money }}", record(x=value)) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [("8 (916) 123-45-67", "+79161234567"), (89161234567, "+79161234567"), ("нет", ""), (None, "")]
)
def test_phone(tmp_path: Path, value: Any, shown: str) -> None:
    """E.164, or nothing."""
    assert rendered(tmp_path, "{{ x | phone }}", record(x=value)) == shown


@pytest.mark.parametrize(("value", "shown"), [("mailto:I@Example.com", "i@example.com"), ("нет", ""), (None, "")])
def test_email(tmp_path: Path, value: Any, shown: str) -> None:
    """A plain address in lower case, or nothing."""
    assert rendered(tmp_path, "{{ x | email }}", record(x=value)) == shown


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("{{ updated_at | datetime }}", "01.11.2026 12:00"),
        ("{{ updated_at | datetime('%H:%M %z') }}", "12:00 +0300"),
        ("{{ updated_at | date }}", "01.11.2026"),
        ("{{ '2026-11-01T23:30:00Z' | date('%Y-%m-%d') }}", "2026-11-02"),
        ("{{ 1793523600 | datetime }}", "01.11.2026 12:00"),
        ("{{ 'вчера' | datetime }}", "вчера"),
        ("{{ none | datetime }}", ""),
        ("{{ metadata.when | date }}", ""),
    ],
)
def test_times(tmp_path: Path, template: str, shown: str) -> None:
    """Times are shown in the project's zone; none is nothing."""
    assert rendered(tmp_path, template, record(updated_at="2026-11-01T09:00:00+00:00")) == shown


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("{{ source | lookup('source_names') }}", "Telegram Bot"),
        ("{{ 'web' | lookup('source_names') }}", ""),
        ("{{ 'web' | lookup('source_names', 'Сайт') }}", "Сайт"),
        ("{{ user_name | lookup('source_names') }}", ""),
    ],
)
def test_lookup(tmp_path: Path, template: str, shown: str) -> None:
    """A row of a table; without such a row nothing, or what the template says instead."""
    assert rendered(tmp_path, template) == shown


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("{{ messages | find_phone }}", "+79161234567"),
        ("{{ messages | find_email }}", "i@example.org"),
        ("{{ conversation_history | find_phone }}", "+78005553535"),
        ("{{ messages | map(attribute='text') | find_email }}", "info@example.com"),
        ("{{ messages[:2] | find_phone }}", ""),
        ("{{ phone or messages | find_phone }}", "+79161234567"),
        ("{{ none | find_phone }}", ""),
        ("{{ 12 | find_email }}", ""),
    ],
)
def test_finding(tmp_path: Path, template: str, shown: str) -> None:
    """In messages only the client's own count: the firm's phone is nobody's; in a text the first one counts."""
    assert rendered(tmp_path, template, record(messages=TALK)) == shown


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("Иван Петров", "Иван", "Петров"),
        ("Иван", "Иван", ""),
        ("Петров Иван Сергеевич", "Иван", "Петров"),
        ("Иван Сергеевич Петров", "Иван", "Петров"),
        ("Иван Сергеевич", "Иван", "Сергеевич"),
        ("Роман Абрамович", "Роман", "Абрамович"),
        ("Мария Анна ван дер Берг", "Мария", "Анна ван дер Берг"),
        ("Петров, Иван", "Иван", "Петров"),
        ("", "", ""),
        (None, "", ""),
    ],
)
def test_names(tmp_path: Path, name: str | None, first: str, last: str) -> None:
    """A patronymic tells which word is which; otherwise the first name comes first."""
    one = record(user_name=name)
    assert rendered(tmp_path, "{{ user_name | first_name }}|{{ user_name | last_name }}", one) == f"{first}|{last}"


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("{{ 'раз два три' | truncate_words(2) }}", "раз два…"),
        ("{{ 'раз, два' | truncate_words(1) }}", "раз…"),
        ("{{ 'раз  два ' | truncate_words(2) }}", "раз  два"),
        ("{{ 'раз два' | truncate_words(1, ' →') }}", "раз →"),
        ("{{ 'раз два' | truncate_words(0) }}", "…"),
        ("{{ none | truncate_words }}", ""),
    ],
)
def test_truncate_words(tmp_path: Path, template: str, shown: str) -> None:
    """So many words, and a sign that there were more."""
    assert rendered(tmp_path, template) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<b>очень</b> надо &amp; срочно", "очень надо & срочно"),
        ("a < b > c &lt;d&gt;", "a < b > c <d>"),
        ("раз<br/>два<p>три</p>четыре", "раз\nдватри\nчетыре"),
        ("<script>alert(1)</script>да<style>b{}</style><!-- тайна -->", "да"),
        ("<script>без конца", "без конца"),
        ("**жирно** и `код`, ~~нет~~ __да__ a_b_c 2**3", "жирно и код, нет да a_b_c 2**3"),
        ("[сайт](https://example.com/a) и [это](не ссылка)", "сайт (https://example.com/a) и [это](не ссылка)"),
        ("раз\n\n\n\n  два&nbsp;  \n", "раз\n\n  два"),
        ("", ""),
        (None, ""),
    ],
)
def test_plain(tmp_path: Path, text: str | None, shown: str) -> None:
    """Markup goes, meaning stays; a lone sign is no markup."""
    assert rendered(tmp_path, "{{ x | plain }}", record(x=text)) == shown


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_nothing_in_nothing_out(tmp_path: Path, name: str) -> None:
    """Every filter takes none and a missing key, and makes nothing of them."""
    argument = "('source_names')" if name == "lookup" else ""
    assert rendered(tmp_path, f"{{{{ none | {name}{argument} }}}}{{{{ metadata.x | {name}{argument} }}}}") == ""
