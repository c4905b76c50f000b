"""A custom field's value as it is written and as it reads back: the two shapes differ in amoCRM.

Numbers come back as strings, dates as the midnight of the account's zone, options with their id and code
(amoCRM docs: crm_platform/custom-fields; read shapes from recordings).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from .fields import ADDRESS_PARTS, Field
from .refusals import Mistakes

TEXT_LIMIT = 256
LEGAL_KEYS = frozenset(
    [
        "name",
        "entity_type",
        "vat_id",
        "kpp",
        "tax_registration_reason_code",
        "address",
        "real_address",
        "bank_account_number",
        "director",
        "bank_code",
        "unp",
        "bin",
        "egrpou",
        "mfo",
        "oked",
        "external_uid",
    ]
)
FILE_KEYS = frozenset({"file_uuid", "version_uuid", "file_name", "file_size", "is_deleted"})

Read = dict[str, Any]


def _text(field: Field, item: Mapping[str, Any], path: str, mistakes: Mistakes, zone: ZoneInfo) -> Read | None:
    value = item.get("value")
    if not isinstance(value, str):
        mistakes.type(f"{path}.value", "string")
        return None
    if field.type == "text" and len(value) > TEXT_LIMIT:
        mistakes.long(f"{path}.value", TEXT_LIMIT)
    return {"value": value} if value else None


def _number(field: Field, item: Mapping[str, Any], path: str, mistakes: Mistakes, zone: ZoneInfo) -> Read | None:
    value = item.get("value")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        mistakes.type(f"{path}.value", "numeric")
        return None
    if value == "":
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        mistakes.type(f"{path}.value", "numeric")
        return None
    return {"value": format(number.normalize(), "f")}


def _flag(field: Field, item: Mapping[str, Any], path: str, mistakes: Mistakes, zone: ZoneInfo) -> Read | None:
    value = item.get("value")
    if not isinstance(value, bool):
        mistakes.type(f"{path}.value", "bool")
        return None
    return {"value": True} if value else None


def _moment(field: Field, item: Mapping[str, Any], path: str, mistakes: Mistakes, zone: ZoneInfo) -> Read | None:
    at = _instant(item.get("value"), zone)
    if at is None:
        mistakes.type(f"{path}.value", "int")
        return None
    if field.type != "date_time":
        at = at.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return {"value": int(at.timestamp())}


def _instant(value: Any, zone: ZoneInfo) -> datetime | None:
    """Unix seconds or RFC 3339 text, as a moment with a zone; None for anything else."""
    try:
        if isinstance(value, str):
            at = datetime.fromisoformat(value)
            return at if at.tzinfo else None
        if isinstance(value, int) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, zone)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def _choice(field: Field, item: Mapping[str, Any], path: str, mistakes: Mistakes, zone: ZoneInfo) -> Read | None:
    for key, name in (("enum_id", "id"), ("enum_code", "code"), ("value", "label")):
        if key in item:
            option = field.option(**{name: item[key]})
            if option is None:
                mistakes.choice(f"{path}.{key}")
                return None
            return {"value": option.value, "enum_id": option.id, "enum_code": option.code}
    mistakes.missing(f"{path}.value")
    return None


def _coded_text(field: Field, item: Mapping[str, Any], path: str, mistakes: Mistakes, zone: ZoneInfo) -> Read | None:
    value = item.get("value")
    if not isinstance(value, str):
        mistakes.type(f"{path}.value", "string")
        return None
    option = field.options[0]
    for key in ("enum_id", "enum_code"):
        if key in item:
            named = field.option(id=item[key]) if key == "enum_id" else field.option(code=item[key])
            if named is None:
                mistakes.choice(f"{path}.{key}")
                return None
            option = named
    return {"value": value, "enum_id": option.id, "enum_code": option.code} if value else None


def _address(field: Field, item: Mapping[str, Any], path: str, mistakes: Mistakes, zone: ZoneInfo) -> Read | None:
    value, number, code = item.get("value"), item.get("enum_id"), item.get("enum_code")
    if not isinstance(value, str):
        mistakes.type(f"{path}.value", "string")
        return None
    if number is None and code in ADDRESS_PARTS:
        number = ADDRESS_PARTS.index(code) + 1
    if not isinstance(number, int) or not 1 <= number <= len(ADDRESS_PARTS):
        mistakes.choice(f"{path}.{'enum_id' if 'enum_id' in item else 'enum_code'}")
        return None
    return {"value": value, "enum_id": number, "enum_code": ADDRESS_PARTS[number - 1]}


def _record(required: str, keys: frozenset[str]) -> Reader:
    def read(field: Field, item: Mapping[str, Any], path: str, mistakes: Mistakes, zone: ZoneInfo) -> Read | None:
        value = item.get("value")
        if not isinstance(value, dict):
            mistakes.type(f"{path}.value", "array")
            return None
        if required not in value:
            mistakes.missing(f"{path}.value.{required}")
        for key in value:
            if key not in keys:
                mistakes.unexpected(f"{path}.value.{key}")
        return {"value": dict(value)}

    return read


def _element(field: Field, item: Mapping[str, Any], path: str, mistakes: Mistakes, zone: ZoneInfo) -> Read | None:
    for key in ("catalog_id", "catalog_element_id"):
        if not isinstance(item.get(key), int):
            mistakes.type(f"{path}.{key}", "int")
            return None
    return dict(item)


Reader = Callable[[Field, Mapping[str, Any], str, Mistakes, ZoneInfo], Read | None]

_PLAIN = frozenset({"value"})
_ENUM = frozenset({"value", "enum_id", "enum_code"})
_READERS: dict[str, tuple[Reader, frozenset[str]]] = {
    **dict.fromkeys(("text", "textarea", "streetaddress", "tracking_data", "url"), (_text, _PLAIN)),
    **dict.fromkeys(("numeric", "monetary"), (_number, _PLAIN)),
    **dict.fromkeys(("date", "date_time", "birthday"), (_moment, _PLAIN)),
    **dict.fromkeys(("select", "radiobutton", "multiselect"), (_choice, _ENUM)),
    "checkbox": (_flag, _PLAIN),
    "multitext": (_coded_text, _ENUM),
    "smart_address": (_address, _ENUM),
    "legal_entity": (_record("name", LEGAL_KEYS), _PLAIN),
    "file": (_record("file_uuid", FILE_KEYS), _PLAIN),
    "chained_list": (_element, frozenset({"catalog_id", "catalog_element_id"})),
}
_SEVERAL = frozenset({"multiselect", "multitext", "smart_address", "chained_list", "legal_entity"})


def read_values(field: Field, values: Sequence[Any], path: str, mistakes: Mistakes, zone: ZoneInfo) -> list[Read]:
    """The sent values of one field in the shape they will read back; what is wrong with them goes to `mistakes`.

    `path` names the list (`custom_fields_values.0.values`). A field of one value keeps the first it was sent.
    """
    reader, keys = _READERS[field.type]
    kept: list[Read] = []
    for index, item in enumerate(values):
        here = f"{path}.{index}"
        if not isinstance(item, dict):
            mistakes.type(here, "array")
            continue
        extra = [key for key in item if key not in keys or (key == "enum_code" and item[key] is None)]
        for key in extra:
            mistakes.unexpected(f"{here}.{key}")
        if not extra and (read := reader(field, item, here, mistakes, zone)) is not None:
            kept.append(read)
    return kept if field.type in _SEVERAL else kept[:1]
