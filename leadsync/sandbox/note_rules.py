"""What the sandbox refuses of a note (amoCRM docs: crm_platform/events-and-notes)."""

from __future__ import annotations

from typing import Any

from .account import Account
from .drafts import NoteDraft
from .refusals import Mistakes

NOTE_LIMIT = 20_000

_CALL = {"uniq": str, "duration": int, "source": str, "phone": str}
# Per type: the params that must be there with their types; others may be there too.
REQUIRED: dict[str, dict[str, type]] = {
    "common": {"text": str},
    "service_message": {"service": str, "text": str},
    "extended_service_message": {"service": str, "text": str},
    "call_in": _CALL,
    "call_out": _CALL,
    "sms_in": {"text": str, "phone": str},
    "sms_out": {"text": str, "phone": str},
    "message_cashier": {"status": str, "text": str},
    "geolocation": {"text": str, "address": str, "longitude": str, "latitude": str},
    "attachment": {"file_uuid": str, "file_name": str},
}
_ALLOWED = frozenset(
    [
        "id",
        "entity_id",
        "note_type",
        "params",
        "created_by",
        "updated_by",
        "created_at",
        "updated_at",
        "responsible_user_id",
        "request_id",
        "is_need_to_trigger_digital_pipeline",
        "group_id",
        "account_id",
        "is_pinned",
        "_links",
    ]
)
_PHP = {str: "string", int: "int"}


class NoteChecker:
    """Checks the notes of one entity type; `entity_id` comes from the address when it names one entity."""

    def __init__(self, account: Account, kind: str, entity_id: int | None = None, *, new: bool = True) -> None:
        self._account = account
        self._kind = kind
        self._entity_id = entity_id
        self._new = new

    def __call__(self, item: dict[str, Any], request_id: str, mistakes: Mistakes) -> NoteDraft:
        """The draft of one note; worthless if `mistakes` is not empty afterwards."""
        for key in item.keys() - _ALLOWED:
            mistakes.unexpected(key)
        draft = NoteDraft(request_id, 0, {})
        if self._new:
            draft.entity_id = self._entity(item, mistakes)
        elif isinstance(item.get("id"), int):
            draft.id = item["id"]
        else:
            mistakes.missing("id")
        self._authors(item, draft, mistakes)
        self._params(item, draft, mistakes)
        return draft

    def _entity(self, item: dict[str, Any], mistakes: Mistakes) -> int:
        id = self._entity_id if self._entity_id is not None else item.get("entity_id")
        if id is None:
            mistakes.missing("entity_id")
        elif id not in self._account.shelves[self._kind]:
            mistakes.choice("entity_id")
        else:
            return int(id)
        return 0

    def _authors(self, item: dict[str, Any], draft: NoteDraft, mistakes: Mistakes) -> None:
        for key in ("created_by", "responsible_user_id", "created_at", "updated_at"):
            if key not in item:
                continue
            value = item[key]
            if not isinstance(value, int) or isinstance(value, bool):
                mistakes.type(key, "int")
            elif not key.endswith("_at") and value != 0 and value not in self._account.users:
                mistakes.choice(key)
            else:
                draft.facts[key] = value

    def _params(self, item: dict[str, Any], draft: NoteDraft, mistakes: Mistakes) -> None:
        note_type, params = item.get("note_type"), item.get("params")
        if note_type is None:
            mistakes.missing("note_type")
        elif not isinstance(note_type, str) or note_type not in REQUIRED:
            mistakes.choice("note_type")
        elif not isinstance(params, dict):
            mistakes.missing("params") if params is None else mistakes.type("params", "array")
        else:
            self._check_params(REQUIRED[note_type], params, mistakes)
            draft.facts.update(note_type=note_type, params=params)

    def _check_params(self, required: dict[str, type], params: dict[str, Any], mistakes: Mistakes) -> None:
        for key, wanted in required.items():
            if key not in params:
                mistakes.missing(f"params.{key}")
            elif not isinstance(params[key], wanted):
                mistakes.type(f"params.{key}", _PHP[wanted])
        text = params.get("text")
        if isinstance(text, str) and len(text) > NOTE_LIMIT:
            mistakes.long("params.text", NOTE_LIMIT)
