"""The body of a write request before its items are looked at: parsed, a list of objects, not too many.

Whole-request refusals from Kommo docs http-codes ("Request data can not be empty", "Limit 250 per page").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import orjson

from .refusals import Mistakes, empty, invalid, problem

BATCH_LIMIT = 250
COMPLEX_LIMIT = 50

Checked = TypeVar("Checked")


def parse(body: bytes) -> Any:
    """The JSON of a body; 400 when it is empty or does not parse."""
    if not body.strip():
        raise empty()
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise problem(400, "Syntax error") from None


def items_of(body: bytes, limit: int = BATCH_LIMIT) -> list[Any]:
    """The items of a batch; 400 for an empty one or no array, 422 for too many."""
    items = parse(body)
    if not items:
        raise empty()
    if not isinstance(items, list):
        mistakes = Mistakes()
        mistakes.type("", "array")
        raise invalid({"0": mistakes})
    if len(items) > limit:
        raise problem(422, f"Limit {limit} per page")
    return items


def object_of(body: bytes) -> dict[str, Any]:
    """The object of a single write; 400 for an empty one or anything else."""
    item = parse(body)
    if not item:
        raise empty()
    if not isinstance(item, dict):
        mistakes = Mistakes()
        mistakes.type("", "array")
        raise invalid({"0": mistakes})
    return item


def request_id_of(item: Any, index: int) -> str:
    """What names the item in the answer: its request_id as a string, or its index."""
    name = item.get("request_id") if isinstance(item, dict) else None
    return str(index) if name is None else str(name)


def check_all(items: list[Any], check: Callable[[dict[str, Any], str, Mistakes], Checked]) -> list[Checked]:
    """Every item checked; 400 naming all bad ones if there is any, so that nothing of the batch is applied."""
    checked: list[Checked] = []
    refused: dict[str, Mistakes] = {}
    for index, item in enumerate(items):
        mistakes, name = Mistakes(), request_id_of(item, index)
        if not isinstance(item, dict):
            mistakes.type("", "array")
        else:
            checked.append(check(item, name, mistakes))
        if mistakes:
            refused.setdefault(name, Mistakes()).extend(mistakes)
    if refused:
        raise invalid(refused)
    return checked


def cut_at_emoji(value: Any) -> Any:
    """The same JSON with every text cut at its first character outside the basic plane (amocrm-api-php issue 221)."""
    if isinstance(value, str):
        return next((value[:at] for at, letter in enumerate(value) if ord(letter) > 0xFFFF), value)
    if isinstance(value, list):
        return [cut_at_emoji(item) for item in value]
    if isinstance(value, dict):
        return {key: cut_at_emoji(item) for key, item in value.items()}
    return value
