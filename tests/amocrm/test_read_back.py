"""What is written compares equal to what is read back, for every type of field and any text: else a run never ends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadsync.amocrm import AmoCRMClient, CustomField, FieldOption, LongLivedToken, NoBudget
from leadsync.amocrm.field_values import canonical, encode, strip_four_byte
from leadsync.sandbox import Sandbox, Switches
from leadsync.sandbox.starter import content

MOSCOW = ZoneInfo("Europe/Moscow")
NOT_FROM_TEXT = {"file", "chained_list"}
FIELDS = {
    field.id: CustomField(
        id=field.id,
        name=field.name,
        code=field.code,
        type=field.type,
        entity=field.entity,  # type: ignore[arg-type]
        enums=tuple(FieldOption(option.id, option.value, option.code) for option in field.options),
    )
    for field in content().fields
    if field.type not in NOT_FROM_TEXT
}

WORDS = st.text(min_size=1, max_size=120)
NAMES = WORDS.filter(lambda text: not text.strip().startswith("{"))
MOMENTS = st.datetimes(datetime.fromisoformat("1901-01-01"), datetime.fromisoformat("2100-01-01")).map(
    lambda one: one.isoformat(" ", "seconds")
)
DAYS = st.dates(date(1901, 1, 1), date(2100, 1, 1)).map(lambda one: one.strftime("%d.%m.%Y"))
NUMBERS = st.decimals(-(10**12), 10**12, allow_nan=False, allow_infinity=False, places=3).map(
    lambda one: f"{one:,}".replace(",", " ")
)
PLAIN = {
    **dict.fromkeys(("text", "textarea", "streetaddress", "tracking_data", "url", "multitext"), WORDS),
    **dict.fromkeys(("smart_address", "legal_entity"), NAMES),
    **dict.fromkeys(("numeric", "monetary"), NUMBERS),
    **dict.fromkeys(("date", "birthday"), DAYS | MOMENTS),
    "date_time": MOMENTS,
    "checkbox": st.sampled_from(["да", "нет", "true", "0"]),
}


def texts(field: CustomField) -> st.SearchStrategy[str]:
    """Texts that a field of this type takes."""
    if field.type in PLAIN:
        return PLAIN[field.type]
    option = st.sampled_from([text for one in field.enums for text in (one.value, str(one.id))])
    return st.lists(option, min_size=1).map("; ".join) if field.type == "multiselect" else option


async def compared(texts_by_field: Mapping[int, str], switches: Switches) -> dict[str, tuple[str | None, str | None]]:
    """Writes one entity of each type with these texts; what was sent and what is read, as canonical, by field."""
    found: dict[str, tuple[str | None, str | None]] = {}
    async with (
        Sandbox(rate=0, switches=switches) as sandbox,
        AmoCRMClient(sandbox.url, LongLivedToken(sandbox.long_lived_token()), budget=NoBudget()) as amocrm,
    ):
        for entity in ("leads", "contacts", "companies"):
            sent = {
                field: values
                for id, text in texts_by_field.items()
                if (field := FIELDS[id]).entity == entity
                and (values := encode(field, strip_four_byte(text), zone=MOSCOW))
            }
            fields = [{"field_id": field.id, "values": values} for field, values in sent.items()]
            (made,) = (await amocrm.create(entity, [{"custom_fields_values": fields}])).values()  # type: ignore[arg-type]
            read = await amocrm.get(entity, made)  # type: ignore[arg-type]
            assert read is not None
            back = {one["field_id"]: one["values"] for one in read["custom_fields_values"] or ()}
            for field, values in sent.items():
                pair = (canonical(field, values, zone=MOSCOW), canonical(field, back.get(field.id), zone=MOSCOW))
                found[f"{field.entity} {field.name} ({field.type})"] = pair
    return found


def test_every_type_of_a_field_is_tried() -> None:
    """The account of the sandbox has every type that a text can fill and an account's lead or person can have."""
    assert {field.type for field in FIELDS.values()} == {*PLAIN, "select", "radiobutton", "multiselect"}


@pytest.mark.parametrize("cut_at_emoji", [False, True])
@settings(max_examples=25)
@given(filled=st.fixed_dictionaries({id: texts(field) for id, field in FIELDS.items()}))
def test_what_is_written_compares_equal_to_what_is_read(filled: dict[int, str], cut_at_emoji: bool) -> None:
    """canonical(encode(text)) is canonical(what the CRM shows for it), where emoji are cut and where they are not."""
    pairs = asyncio.run(compared(filled, Switches(cut_at_emoji=cut_at_emoji)))
    assert {name: sent for name, (sent, _) in pairs.items()} == {name: read for name, (_, read) in pairs.items()}
