"""A shelf of one kind of thing: found by id at once, and listed in any order without sorting all of it each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, Protocol, TypeVar


class Shelved(Protocol):
    """What a shelf can hold: a thing with a growing id and plain facts (`updated_at`, `created_at`)."""

    @property
    def id(self) -> int: ...

    @property
    def facts(self) -> dict[str, Any]: ...


Item = TypeVar("Item", bound=Shelved)
Key = Callable[[Shelved], int]

ORDERS: dict[str, Key] = {
    "updated_at": lambda item: int(item.facts["updated_at"]),
    "created_at": lambda item: int(item.facts["created_at"]),
    # amoCRM promises no order when none is asked for; a scattered one keeps clients from relying on ids.
    "scattered": lambda item: item.id * 2_654_435_761 % 2**32,
}


class Shelf(Generic[Item]):
    """Things by id. Ids only grow, so the order of arrival is the order of ids."""

    def __init__(self) -> None:
        self._items: dict[int, Item] = {}
        self._sorted: dict[str, list[tuple[int, int]]] = {}
        self._changed: dict[str, set[int]] = {}

    def put(self, item: Item) -> None:
        """Adds a thing, or takes note that it changed."""
        self._items[item.id] = item
        self._note(item.id)

    def remove(self, id: int) -> None:
        """Takes a thing off the shelf; KeyError when it is not there."""
        del self._items[id]
        self._note(id)

    def get(self, id: Any) -> Item | None:
        """The thing with that id, or None."""
        return self._items.get(id) if isinstance(id, int) else None

    def clear(self) -> None:
        """Empties the shelf."""
        self._items.clear()
        self._sorted.clear()
        self._changed.clear()

    def ordered(self, by: str, descending: bool = False) -> Iterator[Item]:
        """All things by `id` or by one of ORDERS; equal ones by id."""
        if by == "id":
            items = self._items
            return iter(reversed(items.values()) if descending else items.values())
        pairs = self._fresh(by)
        return (self._items[id] for _, id in (reversed(pairs) if descending else pairs))

    def _note(self, id: int) -> None:
        for changed in self._changed.values():
            changed.add(id)

    def _fresh(self, by: str) -> list[tuple[int, int]]:
        key = ORDERS[by]
        pairs, changed = self._sorted.get(by), self._changed.get(by)
        if pairs is None or changed is None:
            pairs = sorted((key(item), id) for id, item in self._items.items())
        elif changed:
            # Nearly sorted already, which is what list.sort is quickest at.
            pairs = [pair for pair in pairs if pair[1] not in changed]
            pairs.extend((key(self._items[id]), id) for id in sorted(changed) if id in self._items)
            pairs.sort()
        self._sorted[by], self._changed[by] = pairs, set()
        return pairs

    def __getitem__(self, id: int) -> Item:
        return self._items[id]

    def __contains__(self, id: object) -> bool:
        return isinstance(id, int) and id in self._items

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)
