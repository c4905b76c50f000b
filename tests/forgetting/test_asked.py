"""Who is asked for, and how they are recognised in what was stored: in any spelling, and nobody else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadsync.errors import ConfigurationError
from leadsync.forgetting.asked import Asked, Mentions

PHONE, EMAIL = "phone:+79161234567", "email:ivan@example.com"
BETWEEN = st.sampled_from(["", " ", "-", "(", ") ", ".", "\u00a0", "\u2011", "\u200b"])


@st.composite
def spelled(draw: st.DrawFn) -> str:
    """The phone as somebody may write it."""
    start = draw(st.sampled_from(["+7", "8", "7", "", "007", "+ 7"]))
    return start + "".join(draw(BETWEEN) + digit for digit in "9161234567")


@given(spelled(), st.sampled_from(["", "тел. ", "+", "звоните "]), st.sampled_from(["", ", спасибо", " до 18"]))
def test_a_phone_is_found_in_any_spelling(phone: str, before: str, after: str) -> None:
    """With its code, with a trunk 8, with neither; with whatever people put between the digits; inside a text."""
    assert Mentions([PHONE]).in_text(before + phone + after)


@pytest.mark.parametrize(
    "text",
    ["", "9161234568", "79161234567890", "12379161234567", "916-123", "9,1,6,1,2,3", "9161 и 234567 шт", "2026-11-23"],
)
def test_other_numbers_are_nobody(text: str) -> None:
    """A longer number, another one, or its digits spread over a sentence are not the phone."""
    assert not Mentions([PHONE]).in_text(text)


@pytest.mark.parametrize(
    "text", ["Ivan@Example.COM", "<ivan@example.com>", "пишите: ivan@example.com.", "mailto:ivan@example.com"]
)
def test_an_email_is_found_in_any_spelling(text: str) -> None:
    """In any case, inside a text, with what stands around it."""
    assert Mentions([EMAIL]).in_text(text)


@pytest.mark.parametrize("text", ["xivan@example.com", "ivan@example.com.ru", "ivan at example.com", "@example.com"])
def test_other_addresses_are_nobody(text: str) -> None:
    """An address that only holds theirs is somebody else's."""
    assert not Mentions([EMAIL]).in_text(text)


def test_a_phone_of_another_country_is_found() -> None:
    """Short national numbers too, with their code, with a zero, and alone; digits of another script are digits."""
    mentions = Mentions(["phone:+3725123456", "phone:+442071838750"])
    for text in ("+372 5123 456", "5123456", "020 7183 8750", "+44 (0) 20 7183 8750", "٥١٢٣٤٥٦"):
        assert mentions.in_text(text), text
    assert not mentions.in_text("15123456")


def test_data_is_looked_through() -> None:
    """Texts, numbers and names at any depth."""
    mentions = Mentions([PHONE, EMAIL])
    for data in ({"a": [{"b": "8 916 1234567"}]}, [79161234567], {"+79161234567": None}, ("x", {"y": EMAIL[6:]})):
        assert mentions.in_data(data), data
    assert not mentions.in_data({"a": [1, None, True, "x"], "b": {"c": 2.5}})
    assert not Mentions([]).in_data({"a": "+79161234567"})


def test_whoever_is_asked_for_is_read() -> None:
    """Phones and e-mails become contact keys, whatever the spelling."""
    asked = Asked.of(["8 (916) 123-45-67"], ["Ivan@Example.com"], ["telegram:1"], "RU")
    assert asked == Asked(frozenset({PHONE, EMAIL}), frozenset({"telegram:1"}))


@pytest.mark.parametrize(("phones", "emails"), [(["secret"], []), ([], ["secret"])])
def test_what_cannot_be_read_is_refused(phones: list[str], emails: list[str]) -> None:
    """A slip of the keyboard ends with 78 and is not repeated: it is somebody's."""
    with pytest.raises(ConfigurationError) as told:
        Asked.of(phones, emails, [], "RU")
    assert told.value.exit_code == 78
    assert "secret" not in str(told.value)
