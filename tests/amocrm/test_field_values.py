"""Field values: the field's type decides what a text becomes, or refuses it without repeating it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadsync.amocrm import CustomField, FieldOption
from leadsync.amocrm.field_values import canonical, encode, plain_text, strip_four_byte
from leadsync.errors import ValueRefused

MOSCOW = ZoneInfo("Europe/Moscow")
MIDNIGHT = 1767128400
"""2025-12-31 00:00 in Moscow."""

PRODUCTS = (
    FieldOption(11, "AI Manager", "manager"),
    FieldOption(12, "AI Lawyer"),
    FieldOption(13, "Да, срочно"),
    FieldOption(14, "Двойник"),
    FieldOption(15, "Двойник"),
)
KINDS = tuple(FieldOption(20 + index, code, code) for index, code in enumerate(("WORK", "MOB")))


def field(kind: str, enums: tuple[FieldOption, ...] = (), **more: Any) -> CustomField:
    """A field of a type, named after it."""
    return CustomField(id=7, name=f"Поле {kind}", code=None, type=kind, entity="leads", enums=enums, **more)


@pytest.mark.parametrize(
    ("kind", "text", "values"),
    [
        ("text", " Москва ", [{"value": "Москва"}]),
        ("textarea", "а\nб" * 200, [{"value": "а\nб" * 200}]),
        ("streetaddress", "ул. Ленина, 1", [{"value": "ул. Ленина, 1"}]),
        ("tracking_data", "telegram", [{"value": "telegram"}]),
        ("url", "https://example.com", [{"value": "https://example.com"}]),
        ("numeric", "1 500,50", [{"value": "1500.5"}]),
        ("price", "100", [{"value": "100"}]),
        ("monetary", "150 000 ₽", [{"value": "150000"}]),
        ("checkbox", "Да", [{"value": True}]),
        ("checkbox", "0", [{"value": False}]),
        ("date", "31.12.2025 18:30", [{"value": MIDNIGHT}]),
        ("birthday", "2025-12-31", [{"value": MIDNIGHT}]),
        ("date_time", "31.12.2025 18:30", [{"value": MIDNIGHT + 66600}]),
        ("select", "AI Lawyer", [{"enum_id": 12}]),
        ("select", "12", [{"enum_id": 12}]),
        ("radiobutton", "manager", [{"enum_id": 11}]),
        ("multiselect", "AI Manager, AI Lawyer", [{"enum_id": 11}, {"enum_id": 12}]),
        ("multiselect", "Да, срочно", [{"enum_id": 13}]),
        ("multiselect", "Да, срочно; 11\nAI Manager", [{"enum_id": 13}, {"enum_id": 11}]),
        ("multitext", "+79161234567", [{"value": "+79161234567", "enum_code": "WORK"}]),
        ("multitext", "a@b.ru;c@d.ru", [{"value": v, "enum_code": "WORK"} for v in ("a@b.ru", "c@d.ru")]),
        ("smart_address", "Москва", [{"value": "Москва", "enum_code": "address_line_1"}]),
        ("smart_address", '{"city":"Омск","zip":""}', [{"value": "Омск", "enum_code": "city"}]),
        ("legal_entity", "ООО Ромашка", [{"value": {"name": "ООО Ромашка"}}]),
        ("legal_entity", '{"name":"ООО","vat_id":"77"}', [{"value": {"name": "ООО", "vat_id": "77"}}]),
        ("text", " \n ", []),
    ],
)
def test_a_text_becomes_what_its_field_takes(kind: str, text: str, values: list[dict[str, Any]]) -> None:
    """Each type has its own wire form."""
    assert (
        encode(field(kind, PRODUCTS if "select" in kind or kind == "radiobutton" else ()), text, zone=MOSCOW) == values
    )


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("text", "х" * 257, "textarea"),
        ("numeric", "сто тысяч секретных", "150000"),
        ("monetary", "1,500 секретных", "150000"),
        ("checkbox", "секретно", "true"),
        ("date", "завтра секретно", "31.12.2025"),
        ("date_time", "завтра секретно", "18:30"),
        ("select", "AI Manger", "did you mean «AI Manager»"),
        ("select", "секретно", "its options are «AI Manager»"),
        ("select", "Двойник", "14, 15"),
        ("multiselect", "AI Manager, секретно", "its options are"),
        ("multiselect", ", ;", "its options are"),
        ("smart_address", '{"planet":"секретно"}', "address_line_1"),
        ("smart_address", "{секретно", "JSON"),
        ("legal_entity", '{"vat_id":"секретно"}', "name"),
        ("items", "секретно", "text field"),
        ("file", "секретно", "text field"),
        ("linked_entity", "секретно", "text field"),
        ("chained_list", "секретно", "text field"),
        ("payer", "секретно", "text field"),
        ("supplier", "секретно", "text field"),
        ("a type of tomorrow", "секретно", "text field"),
    ],
)
def test_a_text_that_does_not_fit_is_refused(kind: str, text: str, said: str) -> None:
    """The error names the field, its type and what to do, and keeps the value to itself."""
    with pytest.raises(ValueRefused) as refused:
        encode(field(kind, PRODUCTS if "select" in kind else ()), text, zone=MOSCOW)
    assert refused.value.field == f"Поле {kind}"
    assert f"({kind})" in str(refused.value)
    assert said in str(refused.value)
    assert "секретн" not in str(refused.value)


def test_a_computed_field_is_refused() -> None:
    """What amoCRM computes cannot be written."""
    with pytest.raises(ValueRefused, match="computed"):
        encode(field("numeric", is_computed=True), "1", zone=MOSCOW)


def test_a_long_list_of_options_is_shown_in_part() -> None:
    """Twenty options are shown, the others counted."""
    options = tuple(FieldOption(index, f"Вариант {index}") for index in range(25))
    with pytest.raises(ValueRefused, match="and 5 more"):
        encode(field("select", options), "?", zone=MOSCOW)


@pytest.mark.parametrize(
    ("codes", "chosen"), [(("WORK", "MOB"), "WORK"), (("SKYPE", "OTHER"), "OTHER"), (("SKYPE", "ICQ"), "SKYPE")]
)
def test_a_contact_way_gets_a_kind_its_field_has(codes: tuple[str, ...], chosen: str) -> None:
    """WORK where there is one; messengers have kinds of their own."""
    options = tuple(FieldOption(index, code, code) for index, code in enumerate(codes, start=1))
    assert encode(field("multitext", options), "x", zone=MOSCOW) == [{"value": "x", "enum_code": chosen}]


@pytest.mark.parametrize(
    ("kind", "one", "same"),
    [
        ("numeric", [{"value": 10000}], [{"value": "10000.0"}]),
        ("numeric", [{"value": 10000.0}], [{"value": "10000"}]),
        ("numeric", [{"value": "нет числа"}], [{"value": "нет числа "}]),
        ("date", [{"value": MIDNIGHT}], [{"value": MIDNIGHT + 3600}]),
        ("date", [{"value": MIDNIGHT}], [{"value": "2025-12-31T00:00:00+03:00"}]),
        ("date", [{"value": "?"}], [{"value": "? "}]),
        ("date_time", [{"value": MIDNIGHT}], [{"value": "2025-12-30T21:00:00Z"}]),
        ("date_time", [{"value": "?"}], [{"value": "? "}]),
        ("select", [{"enum_id": 11}], [{"value": "AI Manager", "enum_id": 11, "enum_code": None}]),
        ("select", [{"enum_id": 11}], [{"value": "AI Manager"}]),
        ("select", [{"enum_id": 11}], [{"enum_code": "manager"}]),
        ("select", [{"value": "Удалённый"}], [{"value": "Удалённый ", "enum_id": None}]),
        ("multiselect", [{"enum_id": 11}, {"enum_id": 12}], [{"enum_id": 12}, {"enum_id": 11}, {"enum_id": 11}]),
        ("text", [{"value": "а\r\nб  "}], [{"value": "а \nб"}]),
        ("text", [{"value": "Привет 👋🏻"}], [{"value": "Привет"}]),
        ("text", [{"value": ""}], None),
        ("text", [{"value": None}], []),
        ("checkbox", [{"value": False}], None),
        ("checkbox", [{"value": True}], [{"value": "1"}]),
        ("multitext", [{"value": "1", "enum_code": "WORK"}], [{"value": "1", "enum_id": 5, "enum_code": "MOB"}]),
        ("phone", [{"value": "+79161234567"}], [{"value": "8 (916) 123-45-67"}]),
        ("phone", [{"value": "нет"}], [{"value": "нет "}]),
        ("email", [{"value": "Ivan@Example.com"}], [{"value": "ivan@example.com"}]),
        ("smart_address", [{"value": "Омск", "enum_code": "city"}], [{"value": "Омск", "enum_id": 3}]),
        ("smart_address", [{"value": "", "enum_code": "city"}], None),
        ("legal_entity", [{"value": {"name": "А", "kpp": None}}], [{"value": {"kpp": "", "name": "А"}}]),
        ("legal_entity", [{"value": None}], None),
        ("chained_list", [{"catalog_id": 1, "catalog_element_id": 2}], [{"catalog_element_id": 2, "catalog_id": 1}]),
    ],
)
def test_equal_values_compare_equal(kind: str, one: Any, same: Any) -> None:
    """What amoCRM shows differently from what was sent is the same value all the same."""
    described = field(kind, PRODUCTS)
    if kind in {"phone", "email"}:
        described = replace(described, type="multitext", code=kind.upper())
    assert canonical(described, one, zone=MOSCOW) == canonical(described, same, zone=MOSCOW)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("numeric", [{"value": "1"}], [{"value": "2"}]),
        ("date", [{"value": MIDNIGHT}], [{"value": MIDNIGHT - 1}]),
        ("select", [{"enum_id": 11}], [{"enum_id": 12}]),
        ("select", [{"enum_id": 14}], [{"enum_id": 15}]),
        ("text", [{"value": "а"}], [{"value": "А"}]),
        ("checkbox", [{"value": True}], None),
        ("smart_address", [{"value": "Омск", "enum_code": "city"}], [{"value": "Омск", "enum_code": "state"}]),
        ("legal_entity", [{"value": {"name": "А"}}], [{"value": {"name": "Б"}}]),
    ],
)
def test_different_values_compare_different(kind: str, one: Any, other: Any) -> None:
    """A person's edit must be seen."""
    described = field(kind, PRODUCTS)
    assert canonical(described, one, zone=MOSCOW) != canonical(described, other, zone=MOSCOW)


@given(st.text())
def test_stripped_text_has_no_character_beyond_four_hex_digits(text: str) -> None:
    """What is left fits into three bytes a character, can be sent, and stays the same when stripped again."""
    stripped = strip_four_byte(text)
    assert all(ord(one) <= 0xFFFF for one in stripped)
    assert strip_four_byte(stripped) == stripped
    stripped.encode()


@given(st.text(alphabet=st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"], exclude_characters="\ufe0f")))
def test_text_without_emoji_is_left_alone(text: str) -> None:
    """Cyrillic, CJK and everything else of the basic plane stays."""
    assert strip_four_byte(text) == text


@given(st.text())
def test_evened_text_is_even(text: str) -> None:
    """Evening a text out twice changes nothing."""
    assert plain_text(plain_text(text)) == plain_text(text)
