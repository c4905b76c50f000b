"""Who is linked to whom: leads, contacts and companies, each link seen from both ends.

amoCRM docs: crm_platform/entity-links-api. A lead has one main contact: the first one, until another is made it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

End = tuple[str, int]


@dataclass(slots=True)
class Link:
    """One link between two ends; `is_main` matters between a lead and a contact only."""

    one: End
    other: End
    is_main: bool = False

    def stored(self) -> dict[str, Any]:
        """What is kept in the content file."""
        return {"one": self.one, "other": self.other, "is_main": self.is_main}

    @property
    def name(self) -> str:
        """The link's own id in the content file."""
        return f"{self.one[0]}:{self.one[1]}:{self.other[0]}:{self.other[1]}"


class Links:
    """All links of the account."""

    def __init__(self) -> None:
        self._of: dict[End, dict[End, Link]] = {}

    def between(self, one: End, other: End) -> Link | None:
        """The link of two ends, whichever way round."""
        return self._of.get(one, {}).get(other)

    def of(self, end: End, kind: str | None = None) -> list[tuple[End, Link]]:
        """The other ends linked to one, all or of one kind, in the order they were linked."""
        return [(other, link) for other, link in self._of.get(end, {}).items() if kind in (None, other[0])]

    def add(self, link: Link) -> None:
        """Puts a link where both ends find it."""
        self._of.setdefault(link.one, {})[link.other] = link
        self._of.setdefault(link.other, {})[link.one] = link

    def remove(self, link: Link) -> None:
        """Takes a link away from both ends."""
        del self._of[link.one][link.other]
        del self._of[link.other][link.one]

    def clear(self) -> None:
        """Forgets all of them."""
        self._of.clear()

    def all(self) -> list[Link]:
        """Every link once."""
        return [link for end, links in self._of.items() for link in links.values() if link.one == end]
