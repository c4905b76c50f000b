"""Recorded: a case made of a real record: the record as a source hands it over, masked, and all that came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from leadsync.mapping.desired import DesiredContact, DesiredLead, DesiredValue
from leadsync.mapping.masking import mask_record
from leadsync.mapping.personal_keys import Kind
from leadsync.mapping.personal_targets import personal_texts
from leadsync.mapping.trial import Bench, Outcome
from leadsync.records import Message, Record

_SOME_PHONE = "+79000000001"


def recorded_case(record: Record, bench: Bench, *, country: str) -> dict[str, Any]:
    """The case of a record, as plain data for YAML: `name`, the masked `record`, and the whole outcome as `expect`."""
    given = as_given(record)
    masked = mask_record(given, country=country, known=_known(given, bench))
    outcome = bench.run_raw(masked)
    return {"name": f"recorded: {outcome.key or masked['id']}", "record": masked, "expect": expectation(outcome)}


def _known(given: Mapping[str, Any], bench: Bench) -> list[tuple[Kind, str]]:
    """What the mapping makes a name or the like of; with a phone, for without one it makes no contact."""
    desired = bench.run_raw({**given, "phone": given.get("phone") or _SOME_PHONE}).desired
    return [] if desired is None else list(personal_texts(desired, given))


def as_given(record: Record) -> dict[str, Any]:
    """A record as plain data that reads back as the same record; what is none or empty is left out."""
    raw: dict[str, Any] = {
        "id": record.id,
        "source": record.source,
        "user_name": record.user_name,
        "phone": record.phone,
        "email": record.email,
        "product_interest": record.product_interest,
        "budget": record.budget,
        "messages": [_message(one) for one in record.messages],
        "conversation_history": record.conversation_history,
        "metadata": _plain(record.metadata),
        "updated_at": _time(record.updated_at),
    }
    extra: dict[str, Any] = _plain(record.extra)
    return {name: value for name, value in raw.items() if value not in (None, [], {})} | extra


def _message(message: Message) -> dict[str, Any]:
    raw = {"role": message.role, "text": message.text}
    return raw if message.at is None else raw | {"at": _time(message.at)}


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _plain(value: Any) -> Any:
    """Data as YAML and JSON know it."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, str | int | float | None) else str(value)


def expectation(outcome: Outcome) -> dict[str, Any]:
    """Everything an outcome says, in the words of `expect`."""
    said: dict[str, Any] = {} if outcome.key is None else {"key": outcome.key}
    if outcome.skipped:
        return said | {"skipped": True}
    if outcome.refused is not None:
        error = outcome.refused
        return said | {"refused": f"{error.field}: {error.what}" if error.field else error.what}
    desired = outcome.desired
    if desired is None:
        return said
    said["contact"] = "none" if desired.contact is None else _part(desired.contact)
    said["lead"] = "none" if desired.lead is None else _part(desired.lead)
    said["note"] = "none" if desired.note is None else desired.note.text
    return said


def _part(part: DesiredContact | DesiredLead) -> dict[str, Any]:
    said: dict[str, Any] = _texts(part.values)
    if isinstance(part, DesiredContact):
        said |= {"phone": _one_or_many([one.text for one in part.phones])} if part.phones else {}
        said |= {"email": _one_or_many([one.text for one in part.emails])} if part.emails else {}
    said |= {"tags": list(part.tags)} if part.tags else {}
    return said | ({"fields": _texts(part.fields)} if part.fields else {})


def _texts(values: Sequence[DesiredValue]) -> dict[str, Any]:
    return {one.target: one.text for one in values}


def _one_or_many(texts: list[str]) -> str | list[str]:
    return texts[0] if len(texts) == 1 else texts
