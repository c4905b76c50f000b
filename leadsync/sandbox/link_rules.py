"""What the sandbox refuses of a link (amoCRM docs: crm_platform/entity-links-api)."""

from __future__ import annotations

from typing import Any

from .account import Account
from .drafts import LinkDraft
from .entities import KINDS
from .refusals import Mistakes

_ALLOWED = frozenset({"entity_id", "entity_type", "to_entity_id", "to_entity_type", "metadata", "request_id"})


class LinkChecker:
    """Checks links that start at one kind; `entity_id` comes from the address when it names one entity."""

    def __init__(self, account: Account, kind: str, entity_id: int | None = None) -> None:
        self._account = account
        self._kind = kind
        self._entity_id = entity_id

    def __call__(self, item: dict[str, Any], request_id: str, mistakes: Mistakes) -> LinkDraft:
        """The draft of one link; worthless if `mistakes` is not empty afterwards."""
        for key in item.keys() - _ALLOWED:
            mistakes.unexpected(key)
        to_kind, to_id, metadata = item.get("to_entity_type"), item.get("to_entity_id"), item.get("metadata")
        from_id = self._entity_id if self._entity_id is not None else item.get("entity_id")
        if from_id not in self._account.shelves[self._kind]:
            mistakes.choice("entity_id")
        if to_kind not in KINDS or to_kind == self._kind:
            mistakes.choice("to_entity_type")
        elif to_id not in self._account.shelves[to_kind]:
            mistakes.choice("to_entity_id")
        if metadata is not None and not isinstance(metadata, dict):
            mistakes.type("metadata", "array")
        return LinkDraft(from_id or 0, str(to_kind), to_id or 0, metadata if isinstance(metadata, dict) else None)
