"""Recognise: whether an entity or a note in the CRM is one that we sent. Pure: no clock, no network.

An entity that looks exactly like an item is taken for it first. One that holds all that was sent and more may be ours
too, with something a person or the CRM added since; but then it must not be what somebody else has just sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from leadsync.amocrm.catalogue import Catalogue, CustomField
from leadsync.amocrm.field_values import canonical, strip_four_byte

EntityName = Literal["contacts", "leads"]

NAMES = ("name", "first_name", "last_name")
SETTINGS = ("pipeline_id", "status_id", "responsible_user_id")


@dataclass(frozen=True, slots=True)
class Shape:
    """What an item or an entity says, comparable: `values` by slot, `settings` by name."""

    values: Mapping[str, str]
    settings: Mapping[str, int]
    contacts: frozenset[int] = frozenset()
    tags: frozenset[str] = frozenset()

    def within(self, other: Shape) -> bool:
        """Whether the other holds everything this one says; the stage and the like may have moved on."""
        there = other.values
        return all(there.get(slot) == value for slot, value in self.values.items()) and self.contacts <= other.contacts

    def in_force(self, other: Shape) -> bool:
        """Whether the other holds everything this one says, stage, responsible and tags included."""
        return (
            self.within(other)
            and self.tags <= other.tags
            and all(other.settings.get(name) == one for name, one in self.settings.items())
        )

    def equals(self, other: Shape) -> bool:
        """Whether the other says this and nothing else, but for settings that were left to the CRM."""
        return (
            self.in_force(other)
            and self.contacts == other.contacts
            and self.tags == other.tags
            and self._without_names(self.values) == self._without_names(other.values)
        )

    @staticmethod
    def _without_names(values: Mapping[str, str]) -> dict[str, str]:
        # The CRM names what has no name, and parts of a name by itself.
        return {slot: value for slot, value in values.items() if slot not in NAMES}


class Shapes:
    """Reads shapes of one entity type, from what is sent (create or update) and from what the CRM shows."""

    def __init__(self, catalogue: Catalogue, zone: ZoneInfo, entity: EntityName) -> None:
        self._zone = zone
        self._by_id = {one.id: one for one in catalogue.fields if one.entity == entity}
        self._by_code = {one.code: one for one in self._by_id.values() if one.code}

    def of(self, body: Mapping[str, Any]) -> Shape:
        """The shape of an item or of an entity."""
        embedded = body.get("_embedded") or {}
        tags = [*(embedded.get("tags") or ()), *(body.get("tags_to_add") or ())]
        return Shape(
            self._values(body),
            {name: int(body[name]) for name in SETTINGS if body.get(name) is not None},
            frozenset(int(one["id"]) for one in embedded.get("contacts") or ()),
            frozenset(str(one["name"]) for one in tags),
        )

    def _values(self, body: Mapping[str, Any]) -> dict[str, str]:
        values = {name: text for name in NAMES if (text := plain(body.get(name)))}
        if body.get("price"):
            values["price"] = str(body["price"])
        for one in body.get("custom_fields_values") or ():
            field = self._field(one)
            # A field that was deleted in the account meanwhile cannot tell anything.
            meaning = canonical(field, one["values"], zone=self._zone) if field else None
            if field and meaning:
                values[f"cf:{field.id}"] = meaning
        return values

    def _field(self, value: Mapping[str, Any]) -> CustomField | None:
        return self._by_id.get(value.get("field_id") or 0) or self._by_code.get(value.get("field_code") or "")


@dataclass(frozen=True, slots=True)
class NoteShape:
    """A note, comparable: whose it is, and its text but for what amoCRM drops."""

    entity_id: int
    text: str

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> NoteShape:
        """The shape of a note as sent or as read."""
        return cls(int(body["entity_id"]), plain((body.get("params") or {}).get("text")))

    def within(self, other: NoteShape) -> bool:
        """Whether they are the same."""
        return self == other

    def equals(self, other: NoteShape) -> bool:
        """Whether they are the same."""
        return self == other


Look = TypeVar("Look", Shape, NoteShape)


def pair(items: Mapping[str, Look], there: Mapping[int, Look], rivals: Iterable[Look] = ()) -> dict[str, int]:
    """Which entity answers for which item, by request_id and id: each at most once, the oldest first.

    `rivals` are what others have sent and not found yet: what looks exactly like one of them is theirs.
    """
    left = dict(sorted(there.items()))
    found: dict[str, int] = {}
    for name, look in items.items():
        _take(name, next((id_ for id_, one in left.items() if look.equals(one)), None), found, left)
    theirs = list(rivals)
    left = {id_: one for id_, one in left.items() if not any(rival.equals(one) for rival in theirs)}
    for name, look in items.items():
        if name not in found:
            _take(name, next((id_ for id_, one in left.items() if look.within(one)), None), found, left)
    return found


def _take(name: str, id_: int | None, found: dict[str, int], left: dict[int, Look]) -> None:
    if id_ is not None:
        found[name] = id_
        del left[id_]


def plain(text: Any) -> str:
    """A text but for what amoCRM may change of it: emoji, line ends, runs of spaces."""
    return " ".join(strip_four_byte(str(text or "")).split())
