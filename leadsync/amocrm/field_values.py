"""A custom field's value: text → what is written, and anything written or read → one comparable text. Pure.

Source of the shapes: amoCRM docs, crm_platform/custom-fields (amocrm-api.md §4). Text never turns into a typed value by
itself: the field's type decides, and a text that does not surely fit is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

import orjson

from leadsync.amocrm.catalogue import CustomField, FieldOption
from leadsync.amocrm.entities import WORK
from leadsync.amocrm.near_names import meant, nearest
from leadsync.amocrm.plain_values import midnight, moment_of, moment_of_wire, number_of, number_text, yes_or_no
from leadsync.errors import ValueRefused

Values = list[dict[str, Any]]

LONGEST_TEXT = 256
"""Characters of a `text` field through the API; one more and amoCRM refuses the whole entity (issues 224, 400)."""

ADDRESS_PARTS = ("address_line_1", "address_line_2", "city", "state", "zip", "country")
"""Codes of a smart_address; its enum ids are 1 to 6 in this order."""

LEGAL_KEYS = frozenset(
    {"name", "entity_type", "vat_id", "kpp", "tax_registration_reason_code", "address", "real_address"}
    | {"bank_account_number", "director", "bank_code", "unp", "bin", "egrpou", "mfo", "oked", "external_uid"}
)

_SHOWN_OPTIONS = 20
_FOUR_BYTES = re.compile("[\U00010000-\U0010ffff\ud800-\udfff][\ufe0e\ufe0f\u200d]*|\ufe0f")
_NOT_DIGIT = re.compile(r"\D")
_LIST_SEPARATORS = re.compile(r"[\n;]")
_TRAILING = re.compile(r"[ \t\u00a0]+(?=\n|$)")


class OptionNotFound(ValueRefused):
    """A text is no option of its field, as far as the catalogue knows: the account may have it by now."""


def encode(field: CustomField, text: str, *, zone: ZoneInfo) -> Values:
    """The `values` to write into `field` for a text; `zone` is the account's, whose midnights are amoCRM's dates.

    A blank text gives an empty list: there is nothing to send. Raises ValueRefused naming the field and what to do,
    never the value.
    """
    if field.is_computed:
        _refuse(field, "is computed by amoCRM", "take it out of the mapping")
    encoder = _ENCODERS.get(field.type)
    if encoder is None:
        _refuse(field, "cannot be filled from a text", "take it out of the mapping, or use a text field")
    plain = text.strip()
    return encoder(field, plain, zone) if plain else []


def strip_four_byte(text: str) -> str:
    """The text without characters beyond U+FFFF (emoji), at the first of which amoCRM may cut a value (issue 221).

    Halves of such a character, which cannot be sent at all, go too.
    """
    if text.isascii():
        return text
    try:
        # No character takes four bytes: that is known in a tenth of the time it takes to look for one.
        if "\ufe0f" not in text and len(text.encode("utf-16-le")) == 2 * len(text):
            return text
    except UnicodeEncodeError:
        pass
    return _FOUR_BYTES.sub("", text)


def plain_text(text: str) -> str:
    """A text for comparing: what amoCRM may change by itself (emoji, line ends, spaces at an end) is evened out."""
    even = strip_four_byte(text).replace("\r\n", "\n").replace("\r", "\n")
    return _TRAILING.sub("", even).strip()


def canonical(field: CustomField, values: list[dict[str, Any]] | None, *, zone: ZoneInfo) -> str | None:
    """One text for what is written and for what is read back: equal texts, equal values. None: nothing stands there.

    An unticked checkbox is nothing: it reads back as absent (amocrm-api.md §4).
    """
    comparer = _COMPARERS.get(field.type, _same_json)
    found = {text for one in values or () if (text := comparer(field, one, zone))}
    return "\n".join(sorted(found)) or None


# text → values


def _text(field: CustomField, text: str, zone: ZoneInfo) -> Values:
    if field.type == "text" and len(text) > LONGEST_TEXT:
        _refuse(field, f"takes {LONGEST_TEXT} characters, not {len(text)}", "make it a textarea, or shorten the text")
    return _one(text)


def _number(field: CustomField, text: str, zone: ZoneInfo) -> Values:
    number = number_of(text)
    if number is None:
        _refuse(field, "takes a number", "write digits, such as 150000 or 1500.50")
    return _one(number_text(number))


def _flag(field: CustomField, text: str, zone: ZoneInfo) -> Values:
    flag = yes_or_no(text)
    if flag is None:
        _refuse(field, "takes yes or no", "give one of true, false, yes, no, да, нет, 1, 0")
    return _one(flag)


def _day(field: CustomField, text: str, zone: ZoneInfo) -> Values:
    moment = moment_of(text, zone)
    if moment is None:
        _refuse(field, "takes a date", "write it as 2025-12-31 or 31.12.2025")
    return _one(midnight(moment.date(), zone))


def _moment(field: CustomField, text: str, zone: ZoneInfo) -> Values:
    moment = moment_of(text, zone)
    if moment is None:
        _refuse(field, "takes a date and time", "write it as 2025-12-31 18:30 or 31.12.2025 18:30")
    return _one(int(moment.timestamp()))


def _option(field: CustomField, text: str, zone: ZoneInfo) -> Values:
    return [{"enum_id": _chosen(field, text).id}]


def _options(field: CustomField, text: str, zone: ZoneInfo) -> Values:
    ids = dict.fromkeys(_chosen(field, part).id for part in _option_texts(field, text))
    if not ids:
        _refuse(field, "takes options", _offered(field))
    return [{"enum_id": one} for one in ids]


def _coded(field: CustomField, text: str, zone: ZoneInfo) -> Values:
    code = _kind(field)
    parts = dict.fromkeys(part.strip() for part in _LIST_SEPARATORS.split(text) if part.strip())
    return [{"value": part, "enum_code": code} for part in parts]


def _address(field: CustomField, text: str, zone: ZoneInfo) -> Values:
    parts = _object(field, text, known=ADDRESS_PARTS) if text.startswith("{") else {ADDRESS_PARTS[0]: text}
    return [{"value": str(value), "enum_code": code} for code, value in parts.items()]


def _legal_entity(field: CustomField, text: str, zone: ZoneInfo) -> Values:
    entity = _object(field, text, known=LEGAL_KEYS) if text.startswith("{") else {"name": text}
    if not entity.get("name"):
        _refuse(field, "takes a company with a name", 'give {"name": …} or the name alone')
    return _one(entity)


_ENCODERS: Mapping[str, Callable[[CustomField, str, ZoneInfo], Values]] = {
    **dict.fromkeys(("text", "textarea", "streetaddress", "tracking_data", "url"), _text),
    **dict.fromkeys(("numeric", "price", "monetary"), _number),
    **dict.fromkeys(("date", "birthday"), _day),
    **dict.fromkeys(("select", "radiobutton"), _option),
    "checkbox": _flag,
    "date_time": _moment,
    "multiselect": _options,
    "multitext": _coded,
    "smart_address": _address,
    "legal_entity": _legal_entity,
}


def _one(value: Any) -> Values:
    return [{"value": value}]


def _chosen(field: CustomField, text: str) -> FieldOption:
    found = (
        [one for one in field.enums if one.value.strip() == text]
        or [one for one in field.enums if one.code and one.code == text]
        or [one for one in field.enums if str(one.id) == text]
    )
    if not found:
        near = nearest(text, [one.value for one in field.enums])
        do = (f"{meant(text, near)} " if near is not None else "") + _offered(field)
        raise OptionNotFound(_said(field, "has no such option"), field=field.name, do=do)
    if len(found) > 1:
        ids = ", ".join(str(one.id) for one in found)
        _refuse(field, "has several options of that label", f"give one of the ids {ids}")
    return found[0]


def _offered(field: CustomField) -> str:
    shown = ", ".join(f"«{one.value}»" for one in field.enums[:_SHOWN_OPTIONS])
    more = len(field.enums) - _SHOWN_OPTIONS
    return f"its options are {shown or 'none'}" + (f" and {more} more" if more > 0 else "")


def _option_texts(field: CustomField, text: str) -> Iterator[str]:
    """The labels in a text; a comma parts them unless the label itself has one."""
    labels = {one.value.strip() for one in field.enums}
    for line in [text] if text in labels else _LIST_SEPARATORS.split(text):
        parts = [line] if line.strip() in labels else line.split(",")
        yield from (part.strip() for part in parts if part.strip())


def _kind(field: CustomField) -> str:
    """WORK where the field has it; messengers (IM) of some accounts do not."""
    codes = [one.code for one in field.enums if one.code]
    if not codes or WORK in codes:
        return WORK
    return "OTHER" if "OTHER" in codes else codes[0]


def _object(field: CustomField, text: str, *, known: tuple[str, ...] | frozenset[str]) -> dict[str, Any]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        _refuse(field, "takes a JSON object here, and this is none", f"use the keys {', '.join(sorted(known))}")
    given = {key: value for key, value in found.items() if value not in (None, "")}
    if not given or not given.keys() <= set(known):
        _refuse(field, "does not know one of the keys, or none is filled", f"use the keys {', '.join(sorted(known))}")
    return given


def _refuse(field: CustomField, what: str, do: str) -> NoReturn:
    raise ValueRefused(_said(field, what), field=field.name, do=do)


def _said(field: CustomField, what: str) -> str:
    return f"the field «{field.name}» ({field.type}) {what}"


# values → one text


def _same_text(field: CustomField, value: dict[str, Any], zone: ZoneInfo) -> str:
    raw = value.get("value")
    return "" if raw is None else plain_text(str(raw))


def _same_coded(field: CustomField, value: dict[str, Any], zone: ZoneInfo) -> str:
    """A phone by its last ten digits, since amoCRM and people spell it anew; an e-mail in any case."""
    text = _same_text(field, value, zone)
    if field.code == "PHONE":
        return _NOT_DIGIT.sub("", text)[-10:] or text
    return text.casefold() if field.code == "EMAIL" else text


def _same_number(field: CustomField, value: dict[str, Any], zone: ZoneInfo) -> str:
    number = number_of(str(value.get("value", "")))
    return _same_text(field, value, zone) if number is None else number_text(number)


def _same_flag(field: CustomField, value: dict[str, Any], zone: ZoneInfo) -> str:
    return "true" if yes_or_no(str(value.get("value"))) else ""


def _same_day(field: CustomField, value: dict[str, Any], zone: ZoneInfo) -> str:
    moment = moment_of_wire(value.get("value"), zone)
    return _same_text(field, value, zone) if moment is None else moment.date().isoformat()


def _same_moment(field: CustomField, value: dict[str, Any], zone: ZoneInfo) -> str:
    moment = moment_of_wire(value.get("value"), zone)
    return _same_text(field, value, zone) if moment is None else str(int(moment.timestamp()))


def _same_option(field: CustomField, value: dict[str, Any], zone: ZoneInfo) -> str:
    for one in field.enums:
        if one.id == value.get("enum_id"):
            return str(one.id)
    for one in field.enums:
        if one.value == value.get("value") or (one.code and one.code == value.get("enum_code")):
            return str(one.id)
    return str(value.get("enum_id") or plain_text(str(value.get("value") or "")))


def _same_part(field: CustomField, value: dict[str, Any], zone: ZoneInfo) -> str:
    number, text = value.get("enum_id"), _same_text(field, value, zone)
    code = value.get("enum_code")
    if not code and isinstance(number, int) and 1 <= number <= len(ADDRESS_PARTS):
        code = ADDRESS_PARTS[number - 1]
    return f"{code}={text}" if text else ""


def _same_json(field: CustomField, value: dict[str, Any], zone: ZoneInfo) -> str:
    raw = value.get("value", value)
    if isinstance(raw, dict):
        raw = {key: plain_text(str(one)) for key, one in raw.items() if one not in (None, "")}
    return orjson.dumps(raw, option=orjson.OPT_SORT_KEYS).decode() if raw else ""


_COMPARERS: Mapping[str, Callable[[CustomField, dict[str, Any], ZoneInfo], str]] = {
    **dict.fromkeys(("text", "textarea", "streetaddress", "tracking_data", "url"), _same_text),
    "multitext": _same_coded,
    **dict.fromkeys(("numeric", "price", "monetary"), _same_number),
    **dict.fromkeys(("date", "birthday"), _same_day),
    **dict.fromkeys(("select", "radiobutton", "multiselect"), _same_option),
    "checkbox": _same_flag,
    "date_time": _same_moment,
    "smart_address": _same_part,
    "legal_entity": _same_json,
}
