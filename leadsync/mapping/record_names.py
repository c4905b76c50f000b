"""What templates may name of a record: Jinja's functions, what the record brings, and the fields of every record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leadsync.mapping.talk import history_text
from leadsync.records import Record


def record_names(record: Record, functions: Mapping[str, Any], *, history: bool) -> dict[str, Any]:
    """The names with their values, the later kinds over the earlier; `history`: the talk as text is asked for."""
    return {
        **functions,
        **record.extra,
        "id": record.id,
        "source": record.source,
        "user_name": record.user_name,
        "phone": record.phone,
        "email": record.email,
        "product_interest": record.product_interest,
        "budget": record.budget,
        "messages": record.messages,
        "all_messages": record.messages,
        "conversation_history": talk_text(record) if history else None,
        "continued": False,
        "metadata": record.metadata,
        "updated_at": record.updated_at,
    }


def talk_text(record: Record) -> str:
    """The talk as text: as the record brings it, else made from its messages."""
    return record.conversation_history or history_text(record.messages)
