"""Plans made by hand, with everything a plan can hold."""

from __future__ import annotations

from collections import Counter

from leadsync.errors import Place
from leadsync.mapping.desired import Origin
from leadsync.sync.changes import Change, FieldChange, Joined, Kept
from leadsync.sync.results import Plan, RefusedRow

PHONE = Origin("{{ phone or messages | find_phone }}", Place("mappings/telegram.yaml", 7, 11), 7)
PRICE = Origin("{{ budget }}", Place("mappings/telegram.yaml", 14, 11))
AT = 1_795_503_600.0
"""24.11.2026 10:00 in Moscow."""


def rich_plan(value: str = "Иван", key: str = "telegram:1") -> Plan:
    """A plan with every kind of thing; `value` stands wherever a talk's own words can stand."""
    phone = FieldChange("phone", None, "+79161234567", "phone appeared in message 7", PHONE)
    made = [
        Change(key, "contact", "create", None, "new person", (FieldChange("name", None, value, "new"), phone), {}),
        Change(key, "lead", "create", None, "new talk", (FieldChange("price", None, "5000", "new", PRICE),), {}),
        Change(key, "note", "create", None, "the talk", (FieldChange("text", None, f"user: {value}\nbot: да"),), {}),
    ]
    price = FieldChange("price", "5000", "7000", "", PRICE)
    city = FieldChange(value, value, value, value, Origin(value, Place("mappings/telegram.yaml", 22), 3))
    link = {"entity_id": 31205, "to_entity_id": "@contact:telegram:2", "request_id": "link-1"}
    updated = [
        Change("telegram:2", "lead", "update", 31205, "the record changed", (price, city), {"id": 31205}),
        Change("telegram:2", "link", "create", None, "the talk's contact appeared", (), link),
    ]
    kept = Kept("telegram:3", "lead", 31206, "price", value, value, "somebody changed it", value, AT, PRICE)
    lines = {"where": "mappings/telegram.yaml:14:11", "do": "correct the price in the talk"}
    return Plan(
        "redis-dialogs",
        changes=[*made, *updated],
        kept=[kept],
        joined=[
            Joined("telegram:4", 31207, "their open lead"),
            Joined("telegram:5", "@lead:telegram:4", "same"),
        ],
        reasons={"telegram:6": "the lead was deleted in amoCRM; it is not made again"},
        outcomes=Counter(create=1, update=2, unchanged=187, skipped=1, failed=1),
        refused=[RefusedRow("telegram:7", "dialog:7", "lead.price", "not a number", **lines)],
        warnings=["this Redis may forget"],
        reads=12,
        writes=200,
    )
