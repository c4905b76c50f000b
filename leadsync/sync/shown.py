"""Shown: a custom field's value as people read it, the same whether it is about to be written or was read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from leadsync.amocrm.catalogue import CustomField
from leadsync.amocrm.plain_values import moment_of_wire, number_of, number_text

_DATE, _MINUTE = "%d.%m.%Y", "%d.%m.%Y %H:%M"


def shown_values(field: CustomField, values: Sequence[Mapping[str, Any]] | None, zone: ZoneInfo) -> str | None:
    """Options by their labels, dates as days of `zone`, several values with commas; None when nothing stands there."""
    show = _SHOWN.get(field.type, _text)
    return ", ".join(text for one in values or () if (text := show(field, one, zone))) or None


def _text(field: CustomField, value: Mapping[str, Any], zone: ZoneInfo) -> str:
    raw = value.get("value")
    if isinstance(raw, Mapping):
        return ", ".join(str(one) for one in raw.values() if one not in (None, ""))
    return "" if raw is None else str(raw)


def _number(field: CustomField, value: Mapping[str, Any], zone: ZoneInfo) -> str:
    number = number_of(_text(field, value, zone))
    return _text(field, value, zone) if number is None else number_text(number)


def _flag(field: CustomField, value: Mapping[str, Any], zone: ZoneInfo) -> str:
    return "yes" if value.get("value") in (True, "1", "true") else "no"


def _moment(form: str) -> Callable[[CustomField, Mapping[str, Any], ZoneInfo], str]:
    def show(field: CustomField, value: Mapping[str, Any], zone: ZoneInfo) -> str:
        moment = moment_of_wire(value.get("value"), zone)
        return _text(field, value, zone) if moment is None else moment.strftime(form)

    return show


def _option(field: CustomField, value: Mapping[str, Any], zone: ZoneInfo) -> str:
    labels = (one.value for one in field.enums if one.id == value.get("enum_id"))
    return next(labels, None) or _text(field, value, zone) or str(value.get("enum_id") or "")


_SHOWN: Mapping[str, Callable[[CustomField, Mapping[str, Any], ZoneInfo], str]] = {
    **dict.fromkeys(("numeric", "price", "monetary"), _number),
    **dict.fromkeys(("date", "birthday"), _moment(_DATE)),
    **dict.fromkeys(("select", "radiobutton", "multiselect"), _option),
    "checkbox": _flag,
    "date_time": _moment(_MINUTE),
}
