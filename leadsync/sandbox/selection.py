"""Which entities a list request means: search, filters, order and page (amoCRM docs: crm_platform/filters-api).

What amoCRM does not know it ignores, and answers with more than was meant; so does this.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, TypeVar

from .account import Account
from .calls import Call
from .entities import Entity, digits_of
from .fields import Field

DEFAULT_PAGE = 50
# Orders that work, measured on a live account; others are ignored.
ORDERS = {
    "leads": ("id", "created_at", "updated_at"),
    "contacts": ("id", "updated_at"),
    "companies": ("id", "updated_at"),
}

_FILTER = re.compile(r"filter\[(\w+)\](.*)")
_KEYS = re.compile(r"\[(\w*)\]")
_COUNT = re.compile(r"0*[1-9]\d{0,8}", re.ASCII)
_PHONE_LIKE = re.compile(r"[\d\s+().\-]*\d[\d\s+().\-]*")

Item = TypeVar("Item")
Test = Callable[[Entity], bool]


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page of a list; `number` counts from 1."""

    items: list[Item]
    number: int
    limit: int
    has_next: bool


def paged(items: Iterable[Item], call: Call, default: int = DEFAULT_PAGE, largest: int = 250) -> Page[Item]:
    """The page the request asks for; a limit above the largest one is cut without a word."""
    limit = min(_positive(call.param("limit"), default), largest, call.largest_page)
    number = _positive(call.param("page"), 1)
    start = (number - 1) * limit
    found = list(islice(items, start, start + limit + 1))
    return Page(found[:limit], number, limit, len(found) > limit)


def _positive(text: str, default: int) -> int:
    return int(text) if _COUNT.fullmatch(text) else default


def order_of(call: Call, allowed: Iterable[str]) -> tuple[str, bool]:
    """The order asked for, and whether it descends; `scattered` when it is none that works."""
    for key, value in call.query:
        name = key.removeprefix("order[").removesuffix("]")
        if key.startswith("order[") and name in allowed and value.lower() in ("asc", "desc"):
            return name, value.lower() == "desc"
    return "scattered", False


@dataclass(slots=True)
class Condition:
    """What one filter asks: one of `values`, or a number between `low` and `high`."""

    values: list[str] = field(default_factory=list)
    low: float | None = None
    high: float | None = None

    def holds(self, value: Any) -> bool:
        """Whether a value passes."""
        if value is None:
            return False
        if self.values:
            return str(value) in self.values
        if self.low is None and self.high is None:
            return True
        try:
            number = float(value)
        except ValueError:
            return False
        return (self.low is None or number >= self.low) and (self.high is None or number <= self.high)

    def take(self, keys: list[str], value: str) -> None:
        """Takes in `[from]`, `[to]`, `[]`, `[0]` or a bare value; a bound that is no number is ignored."""
        if keys[-1:] in (["from"], ["to"]):
            try:
                number = float(value)
            except ValueError:
                return
            if keys[-1] == "from":
                self.low = number
            else:
                self.high = number
        else:
            self.values.append(value)


def conditions(call: Call) -> dict[str, dict[str, Condition]]:
    """The filters of a request by name, then by the rest of the key (`custom_fields_values` by field id)."""
    found: dict[str, dict[str, Condition]] = {}
    for key, value in call.query:
        if match := _FILTER.fullmatch(key):
            name, keys = match[1], _KEYS.findall(match[2])
            deep = name in ("custom_fields_values", "statuses")
            place = keys[0] if deep and keys else ""
            rest = keys[1:] if deep else keys
            if name == "statuses" and rest:
                place, rest = f"{place}.{rest[0]}", []
            found.setdefault(name, {}).setdefault(place, Condition()).take(rest, value)
    return found


_NUMBERS = ("price", "created_at", "updated_at", "closed_at", "closest_task_at")
_IDS = ("responsible_user_id", "created_by", "updated_by", "pipeline_id")
_LEADS_ONLY = frozenset({"price", "closed_at", "pipeline_id", "statuses"})


def tests_of(call: Call, account: Account, kind: str) -> list[Test]:
    """The filters amoCRM knows, as tests; the id filter is left to `candidates`."""
    tests: list[Test] = []
    for name, places in conditions(call).items():
        if name in _LEADS_ONLY and kind != "leads":
            continue
        if name in (*_NUMBERS, *_IDS, "name") and "" in places:
            tests.append(_fact_test(name, places[""]))
        elif name == "statuses":
            tests.append(_status_test(places))
        elif name == "custom_fields_values":
            known = ((account.fields[kind].get(int(id)), wanted) for id, wanted in places.items() if id.isdecimal())
            tests.extend(_field_test(field, wanted) for field, wanted in known if field and field.type != "multitext")
    return tests


def _fact_test(name: str, wanted: Condition) -> Test:
    return lambda entity: wanted.holds(entity.facts.get(name))


def _status_test(places: dict[str, Condition]) -> Test:
    pairs: dict[str, dict[str, str]] = {}
    for place, condition in places.items():
        number, _, key = place.partition(".")
        pairs.setdefault(number, {})[key] = condition.values[-1]
    wanted = [tuple(pair.items()) for pair in pairs.values()]
    return lambda entity: any(all(str(entity.facts.get(key)) == id for key, id in pair) for pair in wanted)


def _field_test(field: Field, wanted: Condition) -> Test:
    def test(entity: Entity) -> bool:
        values = entity.values.get(field.id)
        if field.type == "checkbox" and wanted.values:
            return ("1" if values else "0") in wanted.values
        return any(
            wanted.holds(value.get("value")) or (wanted.values and str(value.get("enum_id")) in wanted.values)
            for value in values or ()
        )

    return test


def found_by(query: str, account: Account, kind: str) -> Test:
    """The search: a part of a name or of any filled field; digits inside the digits of a phone.

    Leads are also found by a phone of a contact of theirs.
    """
    words = query.casefold().strip()
    digits = digits_of(query) if _PHONE_LIKE.fullmatch(query.strip()) else ""
    related: set[int] = set()
    if kind == "leads" and digits:
        for contact in account.contacts:
            if digits in contact.digits:
                related.update(id for (_, id), _ in account.links.of(("contacts", contact.id), "leads"))

    def test(entity: Entity) -> bool:
        return words in entity.words or (digits != "" and digits in entity.digits) or entity.id in related

    return test


def candidates(call: Call, account: Account, kind: str) -> Iterator[Entity]:
    """Every entity the request means, in its order."""
    shelf = account.shelves[kind]
    by, descending = order_of(call, ORDERS[kind])
    items = shelf.ordered(by, descending)
    wanted_ids: set[str] = set()
    tests: list[Test] = []
    if not call.ignore_filters:
        if "" in (ids := conditions(call).get("id", {})):
            wanted_ids = {id for id in ids[""].values if id.isdecimal()}
        tests = tests_of(call, account, kind)
    if query := call.param("query").strip():
        tests.append(found_by(query, account, kind))
    if call.search_lag and tests:
        newest = account.clock() - call.search_lag
        tests.append(lambda entity: entity.born <= newest)
    if wanted_ids:
        ids_found = {int(id) for id in wanted_ids}
        items = (item for item in items if item.id in ids_found)
    for test in tests:
        items = filter(test, items)
    return items
