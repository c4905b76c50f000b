"""Custom field values: every type as it is written, as it reads back, and as it is refused."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from crm import Api
from hypothesis import given
from hypothesis import strategies as st

from leadsync.sandbox.fields import TYPES, Field
from leadsync.sandbox.refusals import Mistakes
from leadsync.sandbox.values import read_values

NOON = 1_711_962_000  # 2024-04-01 12:00 in Moscow
MIDNIGHT = 1_711_918_800
MOSCOW = ZoneInfo("Europe/Moscow")


async def written(api: Api, kind: str, field: str, values: list[Any]) -> Any:
    """The values of a field as they read back after writing; None when it reads as unfilled."""
    sent = [{"field_id": api.field(field, kind), "values": values}]
    (id,) = await api.make(kind, {"custom_fields_values": sent})
    read = (await api.get(f"{kind}/{id}")).json()["custom_fields_values"]
    return read[0]["values"] if read else None


async def refused(api: Api, kind: str, field: str, values: list[Any]) -> set[tuple[str, str]]:
    sent = [{"field_id": api.field(field, kind), "values": values}]
    found = await api.errors(kind, {"custom_fields_values": sent})
    return {(code, path.removeprefix("custom_fields_values.0.values.")) for code, path in found}


@pytest.mark.parametrize(
    ("field", "sent", "read"),
    [
        ("Город", "Москва", "Москва"),
        ("Комментарий", "а" * 1_000, "а" * 1_000),
        ("UTM_SOURCE", "vk", "vk"),
        ("Сайт", "https://example.com", "https://example.com"),
        ("Адрес", "Тверская, 1", "Тверская, 1"),
        ("Бюджет", "1.50", "1.5"),
        ("Бюджет", 10_000, "10000"),
        ("Бюджет", 0.5, "0.5"),
        ("Сумма договора", "100", "100"),
        ("Согласие", True, True),
        ("Дата встречи", NOON, MIDNIGHT),
        ("Дата встречи", "2024-04-01T23:30:00+03:00", MIDNIGHT),
        ("Дата встречи", "2024-03-31T22:30:00+00:00", MIDNIGHT),
        ("Время звонка", NOON, NOON),
        ("Время звонка", "2024-04-01T12:00:00+03:00", NOON),
    ],
)
async def test_plain_values_read_back(api: Api, field: str, sent: Any, read: Any) -> None:
    """Numbers read as strings, dates as the midnight of the account's zone, times as seconds."""
    assert await written(api, "leads", field, [{"value": sent}]) == [{"value": read}]


@pytest.mark.parametrize(("field", "sent"), [("Согласие", False), ("Город", ""), ("Бюджет", "")])
async def test_empty_values_leave_a_field_unfilled(api: Api, field: str, sent: Any) -> None:
    """A cleared checkbox and an empty text are absent on reading."""
    assert await written(api, "leads", field, [{"value": sent}]) is None


async def test_options_are_named_by_label_id_or_code(api: Api) -> None:
    """A select reads with label, enum_id and enum_code, however it was written; the first of several counts."""
    option = api.sandbox.account.fields["leads"].named("Источник").options[2]
    read = [{"value": "Веб-чат", "enum_id": option.id, "enum_code": None}]
    assert await written(api, "leads", "Источник", [{"value": "Веб-чат"}]) == read
    assert await written(api, "leads", "Источник", [{"enum_id": option.id}]) == read
    assert await written(api, "leads", "Источник", [{"value": "Веб-чат"}, {"value": "Telegram Bot"}]) == read
    several = await written(api, "leads", "Интересы", [{"value": "Продажи"}, {"value": "Аналитика"}])
    assert [value["value"] for value in several] == ["Продажи", "Аналитика"]
    assert (await written(api, "leads", "Тариф", [{"value": "Рост"}]))[0]["value"] == "Рост"


async def test_an_option_with_a_code_is_found_by_it(api: Api) -> None:
    """enum_code names an option that has one."""
    enums = [{"value": "Москва", "code": "msk"}, {"value": "Казань", "code": "kzn"}]
    await api.post("leads/custom_fields", [{"name": "Офис", "type": "select", "enums": enums}])
    (value,) = await written(api, "leads", "Офис", [{"enum_code": "kzn"}])
    assert (value["value"], value["enum_code"]) == ("Казань", "kzn")


async def test_phones_carry_a_code(api: Api) -> None:
    """A phone or e-mail without a code is WORK; codes and ids name the others."""
    option = api.sandbox.account.fields["contacts"].named("Телефон").option(code="MOB")
    assert option is not None
    sent = [
        {"value": "+71"},
        {"value": "+72", "enum_code": "MOB"},
        {"value": "+73", "enum_id": option.id},
        {"value": ""},
    ]
    read = await written(api, "contacts", "PHONE", sent)
    assert [(value["value"], value["enum_code"]) for value in read] == [("+71", "WORK"), ("+72", "MOB"), ("+73", "MOB")]
    (mail,) = await written(api, "companies", "EMAIL", [{"value": "a@example.com", "enum_code": "PRIV"}])
    assert mail["enum_code"] == "PRIV"


async def test_addresses_and_requisites(api: Api) -> None:
    """Parts of an address are named by number or code, requisites are a small record."""
    sent = [{"value": "Казань", "enum_code": "city"}, {"value": "420000", "enum_id": 5}]
    read = await written(api, "contacts", "Адрес", sent)
    assert [(value["enum_id"], value["enum_code"]) for value in read] == [(3, "city"), (5, "zip")]
    firm = {"name": "ООО", "entity_type": 2, "vat_id": "7700000000"}
    assert await written(api, "contacts", "Реквизиты", [{"value": firm}]) == [{"value": firm}]
    assert await written(api, "contacts", "День рождения", [{"value": NOON}]) == [{"value": MIDNIGHT}]
    file = {"file_uuid": "u", "file_name": "договор.pdf"}
    assert await written(api, "leads", "Документ", [{"value": file}]) == [{"value": file}]
    element = {"catalog_id": 1, "catalog_element_id": 2}
    assert await written(api, "leads", "Товары", [element]) == [element]


@pytest.mark.parametrize(
    ("kind", "field", "value", "mistake"),
    [
        ("leads", "Город", {"value": 5}, ("InvalidType", "0.value")),
        ("leads", "Город", {"value": "а" * 257}, ("TooLong", "0.value")),
        ("leads", "Город", {"value": "а", "enum_id": 5}, ("FieldNotExpected", "0.enum_id")),
        ("leads", "Город", {"value": "а", "enum_code": None}, ("FieldNotExpected", "0.enum_code")),
        ("leads", "Бюджет", {"value": "много"}, ("InvalidType", "0.value")),
        ("leads", "Бюджет", {"value": "NaN"}, ("InvalidType", "0.value")),
        ("leads", "Бюджет", {"value": True}, ("InvalidType", "0.value")),
        ("leads", "Согласие", {"value": "да"}, ("InvalidType", "0.value")),
        ("leads", "Дата встречи", {"value": "01.04.2024"}, ("InvalidType", "0.value")),
        ("leads", "Дата встречи", {"value": "2024-04-01T00:00:00"}, ("InvalidType", "0.value")),
        ("leads", "Время звонка", {"value": 10**15}, ("InvalidType", "0.value")),
        ("leads", "Источник", {"value": "веб-чат"}, ("NotSupportedChoice", "0.value")),
        ("leads", "Источник", {"enum_id": 1}, ("NotSupportedChoice", "0.enum_id")),
        ("leads", "Источник", {"enum_code": "x"}, ("NotSupportedChoice", "0.enum_code")),
        ("leads", "Источник", {}, ("FieldMissing", "0.value")),
        ("leads", "Документ", {"value": {"file_name": "x"}}, ("FieldMissing", "0.value.file_uuid")),
        ("leads", "Товары", {"catalog_id": 1}, ("InvalidType", "0.catalog_element_id")),
        ("contacts", "PHONE", {"value": 79160000000}, ("InvalidType", "0.value")),
        ("contacts", "PHONE", {"value": "+7", "enum_code": "SATELLITE"}, ("NotSupportedChoice", "0.enum_code")),
        ("contacts", "PHONE", {"value": "+7", "enum": "WORK"}, ("FieldNotExpected", "0.enum")),
        ("contacts", "Адрес", {"value": 5, "enum_id": 1}, ("InvalidType", "0.value")),
        ("contacts", "Адрес", {"value": "x", "enum_id": 7}, ("NotSupportedChoice", "0.enum_id")),
        ("contacts", "Адрес", {"value": "x"}, ("NotSupportedChoice", "0.enum_code")),
        ("contacts", "Реквизиты", {"value": "ООО"}, ("InvalidType", "0.value")),
        ("contacts", "Реквизиты", {"value": {"name": "x", "iban": "y"}}, ("FieldNotExpected", "0.value.iban")),
    ],
)
async def test_bad_values_are_refused(api: Api, kind: str, field: str, value: Any, mistake: tuple[str, str]) -> None:
    """Each type refuses what is not its own."""
    assert await refused(api, kind, field, [value]) == {mistake}


async def test_reading_gives_the_fields_name_code_and_type(api: Api) -> None:
    """A filled field reads with all four attributes; those that are not filled are left out."""
    sent = [{"field_code": "UTM_SOURCE", "values": [{"value": "vk"}]}]
    (id,) = await api.make("leads", {"custom_fields_values": sent})
    (read,) = (await api.get(f"leads/{id}")).json()["custom_fields_values"]
    assert read == {
        "field_id": api.field("UTM_SOURCE"),
        "field_name": "utm_source",
        "field_code": "UTM_SOURCE",
        "field_type": "tracking_data",
        "values": [{"value": "vk"}],
    }


def test_every_type_is_in_the_starting_account_and_can_be_read() -> None:
    """No type of custom field is without a reader, whatever it is sent."""
    for type in TYPES:
        field = Field(1, "leads", "поле", type)
        mistakes = Mistakes()
        assert read_values(field, [{"чужое": 1}], "values", mistakes, MOSCOW) == []
        assert [mistake.path for mistake in mistakes] == ["values.0.чужое"]


async def test_the_starting_account_has_a_field_of_every_type(api: Api) -> None:
    """Every type leads, contacts and companies can have is there to be tried."""
    books = api.sandbox.account.fields.values()
    assert {field.type for book in books for field in book} == TYPES


@given(st.integers(631_152_000, 2_840_140_800), st.timezones())
def test_any_moment_reads_as_a_midnight_of_the_account(second: int, zone: ZoneInfo) -> None:
    """A date written in any zone reads as the midnight of that moment's day in the account's zone."""
    field, mistakes = Field(1, "leads", "Дата", "date"), Mistakes()
    moment = datetime.fromtimestamp(second, zone)
    (read,) = read_values(field, [{"value": moment.isoformat()}], "values", mistakes, MOSCOW)
    found = datetime.fromtimestamp(read["value"], MOSCOW)
    assert not mistakes
    assert found.date() == moment.astimezone(MOSCOW).date()
    assert (found.hour, found.minute, found.second) == (0, 0, 0)
