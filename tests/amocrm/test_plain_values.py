"""Text → number, moment, yes or no: what people write is read, and nothing is guessed."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadsync.amocrm.plain_values import midnight, moment_of, moment_of_wire, number_of, number_text, yes_or_no

MOSCOW = ZoneInfo("Europe/Moscow")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("150000", "150000"),
        ("150 000", "150000"),
        ("150\u00a0000\u202f₽", "150000"),
        ("150 000 руб.", "150000"),
        ("50000р", "50000"),
        ("1 500,50", "1500.5"),
        ("1,500.50", "1500.5"),
        ("1.500,50", "1500.5"),
        ("1,500,000", "1500000"),
        ("1.500.000", "1500000"),
        ("1'500'000", "1500000"),
        ("$99", "99"),
        ("$ 1,500.00", "1500"),
        ("1500 USD", "1500"),
        ("-5", "-5"),
        ("−5", "-5"),
        ("+5", "5"),
        ("0,5", "0.5"),
        ("1.500", "1.5"),
        ("0,500", "0.5"),
        ("-0", "0"),
        ("10000.0", "10000"),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, number: str) -> None:
    """Spaces, separators, signs and currencies around one number do not matter."""
    found = number_of(text)
    assert found is not None
    assert number_text(found) == number


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "сто тысяч", "5к", "100-200", "150 00", "1,2,3", "1.2.3", "руб", "-", "+", "²", "٣", "1e9", "nan"),
        *("inf", "1,500", "1.500 руб", "$1,500", "9" * 41, "1,500,00", "1 500 000 000,0,0", "1 500.000.000"),
    ],
)
def test_what_is_not_surely_a_number_is_none(text: str) -> None:
    """Words, ranges and spellings with two meanings are not guessed at."""
    assert number_of(text) is None


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15, places=2))
def test_a_number_survives_its_own_spelling(number: Decimal) -> None:
    """number_of reads what number_text writes."""
    assert number_of(number_text(number)) == number


@given(st.integers(-(10**15), 10**15), st.sampled_from([" ", "\u00a0", "\u202f"]))
def test_grouped_thousands_are_the_same_number(number: int, space: str) -> None:
    """Thousands parted by any space are the same number."""
    assert number_of(f"{number:,}".replace(",", space)) == number


@given(st.text())
def test_no_text_breaks_the_parsers(text: str) -> None:
    """Any text gives a value or None, never another error."""
    assert number_of(text) is None or isinstance(number_of(text), Decimal)
    assert moment_of(text, MOSCOW) is None or isinstance(moment_of(text, MOSCOW), datetime)
    assert yes_or_no(text) in (True, False, None)


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2025-12-31", "2025-12-31T00:00:00+03:00"),
        ("31.12.2025", "2025-12-31T00:00:00+03:00"),
        ("1.2.2025", "2025-02-01T00:00:00+03:00"),
        ("31/12/2025", "2025-12-31T00:00:00+03:00"),
        ("31.12.2025 18:30", "2025-12-31T18:30:00+03:00"),
        ("31.12.2025, 18:30:05", "2025-12-31T18:30:05+03:00"),
        ("2025-12-31 18:30", "2025-12-31T18:30:00+03:00"),
        ("2025-12-31T23:30:00Z", "2026-01-01T02:30:00+03:00"),
        ("1735678800", "2025-01-01T00:00:00+03:00"),
        ("1735678800000", "2025-01-01T00:00:00+03:00"),
    ],
)
def test_moments_are_read_as_people_write_them(text: str, iso: str) -> None:
    """ISO, day first, and Unix times give a moment in the account's zone."""
    found = moment_of(text, MOSCOW)
    assert found is not None
    assert found.isoformat() == iso


@pytest.mark.parametrize("text", ["", "завтра", "31/02/2025", "2025-13-01", "12.2025", "99.99.9999 99:99", "42"])
def test_what_is_not_surely_a_moment_is_none(text: str) -> None:
    """Words and days that do not exist are not guessed at."""
    assert moment_of(text, MOSCOW) is None


@given(st.dates(date(1900, 1, 2), date(2100, 1, 1)))
def test_a_midnight_is_its_own_day(day: date) -> None:
    """The wire form of a day reads back as that day, before 1970 too."""
    moment = moment_of_wire(midnight(day, MOSCOW), MOSCOW)
    assert moment is not None
    assert moment.date() == day


@pytest.mark.parametrize("value", [None, True, 1.5, [], 10**20, "x"])
def test_what_is_no_moment_on_the_wire_is_none(value: object) -> None:
    """Only Unix seconds and RFC 3339 text are moments."""
    assert moment_of_wire(value, MOSCOW) is None


@pytest.mark.parametrize("text", ["true", "YES", " да ", "1", "On"])
def test_yes(text: str) -> None:
    """Words for yes."""
    assert yes_or_no(text) is True


@pytest.mark.parametrize("text", ["false", "no", "Нет", "0", "off"])
def test_no(text: str) -> None:
    """Words for no."""
    assert yes_or_no(text) is False


@pytest.mark.parametrize("text", ["", "может быть", "2", "дада"])
def test_neither(text: str) -> None:
    """Anything else is neither."""
    assert yes_or_no(text) is None
