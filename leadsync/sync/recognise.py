"""Recognise: whether an entity or a note in the CRM is one that we sent. Pure: no clock, no network.

An entity that says exactly what was sent fits best; then one that says more, as a person or the CRM may have added
something since; then one that was changed since and still says half of it. It belongs to whatever it fits best.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from leadsync.amocrm.catalogue import Catalogue, CustomField
from leadsync.amocrm.field_values import canonical, strip_four_byte

EntityName = Literal["contacts", "leads"]

NAMES = frozenset({"name", "first_name", "last_name"})
SETTINGS = ("pipeline_id", "status_id", "responsible_user_id")


Fit = tuple[int, int]
"""How well an entity fits an item, comparable; NO_FIT is the least."""

NO_FIT: Fit = (0, 0)
CHANGED, WITHIN, EXACT = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Shape:
    """What an item or an entity says, comparable: `values` by slot, `settings` by name.

    `touched` is true for an entity that was changed after it was made.
    """

    values: frozenset[tuple[str, str]]
    settings: Mapping[str, int]
    contacts: frozenset[int] = frozenset()
    tags: frozenset[str] = frozenset()
    touched: bool = False

    def fit(self, other: Shape) -> Fit:
        """How well the other may be what became of this one."""
        kept = len(self.values & other.values)
        if not self.contacts <= other.contacts:
            return NO_FIT
        if kept == len(self.values) and self._says_it_all(other):
            return EXACT, kept
        if not kept:
            return NO_FIT
        if kept == len(self.values):
            return WITHIN, kept
        return (CHANGED, kept) if other.touched and self._half_of_it(kept) else NO_FIT

    def may_become(self, other: Shape) -> bool:
        """Whether the other, which is just being sent, might fit this one once it is there, changed perhaps."""
        return self.contacts <= other.contacts and self._half_of_it(len(self.values & other.values))

    def in_force(self, other: Shape) -> bool:
        """Whether the other holds everything this one says, stage, responsible and tags included."""
        return (
            self.values <= other.values
            and self.contacts <= other.contacts
            and self.tags <= other.tags
            and self.settings.items() <= other.settings.items()
        )

    def slots_in_force(self, other: Shape) -> frozenset[str]:
        """The slots in which the other holds what this one says."""
        found = {slot for slot, _ in self.values & other.values}
        same = {name for name, value in self.settings.items() if other.settings.get(name) == value}
        found |= {"stage"} if {"pipeline_id", "status_id"} <= same else set()
        found |= {"responsible"} if "responsible_user_id" in same else set()
        return frozenset(found)

    def _half_of_it(self, kept: int) -> bool:
        """Whether so many values, with the contacts, are half of what it says."""
        return 2 * (kept + len(self.contacts)) >= len(self.values) + len(self.contacts)

    def _says_it_all(self, other: Shape) -> bool:
        # The CRM names what has no name, and parts of a name by itself.
        more = {slot for slot, _ in other.values - self.values} - NAMES
        return not more and self.in_force(other) and self.contacts == other.contacts and self.tags == other.tags


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
            _is_touched(body),
        )

    def _values(self, body: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
        values = {name: text for name in NAMES if (text := plain(body.get(name)))}
        if body.get("price"):
            values["price"] = str(body["price"])
        for one in body.get("custom_fields_values") or ():
            field = self._field(one)
            # A field that was deleted in the account meanwhile cannot tell anything.
            meaning = canonical(field, one["values"], zone=self._zone) if field else None
            if field and meaning:
                values[f"cf:{field.id}"] = meaning
        return frozenset(values.items())

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

    def fit(self, other: NoteShape) -> Fit:
        """Notes are the same or they are not."""
        return (EXACT, 1) if self == other else NO_FIT

    def may_become(self, other: NoteShape) -> bool:
        """Whether they are the same."""
        return self == other


Look = TypeVar("Look", Shape, NoteShape)


def pair(items: Mapping[str, Look], there: Mapping[int, Look], rivals: Iterable[Look] = ()) -> dict[str, int]:
    """Which entity answers for which item, by request_id and id: each at most once, the best fit and the oldest first.

    `rivals` are what others have sent and not found yet: what fits one of them better is theirs.
    """
    theirs = list(rivals)
    fits: list[tuple[Fit, int, int, str]] = []
    for id_, entity in there.items():
        least = max((rival.fit(entity) for rival in theirs), default=NO_FIT)
        for order, (name, look) in enumerate(items.items()):
            fit = look.fit(entity)
            if fit > NO_FIT and fit >= least:
                fits.append((fit, -order, -id_, name))
    found: dict[str, int] = {}
    taken: set[int] = set()
    for _, _, id_, name in sorted(fits, reverse=True):
        if name not in found and -id_ not in taken:
            found[name] = -id_
            taken.add(-id_)
    return found


def _is_touched(body: Mapping[str, Any]) -> bool:
    def differ(made: str, changed: str) -> bool:
        return body.get(made) is not None and body.get(changed) not in (None, body[made])

    return differ("created_at", "updated_at") or differ("created_by", "updated_by")


def plain(text: Any) -> str:
    """A text but for what amoCRM may change of it: emoji, line ends, runs of spaces."""
    return " ".join(strip_four_byte(str(text or "")).split())
