"""Record and Message: what every source hands over, whatever a bot wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from functools import cached_property
from hashlib import blake2b
from typing import Any

DIGEST_SIZE = 8
"""Bytes of a message's digest; two different messages of one talk share one with a chance of 1 in 2**64."""


@dataclass(frozen=True)
class Message:
    """One message of a talk. `role` is `user`, `bot`, `manager` or as given; `at` is aware, or None when unknown."""

    role: str
    text: str
    at: datetime | None = None

    @cached_property
    def digest(self) -> bytes:
        """Who said what and when, in 8 bytes: the identity of a message, whatever its index in the talk."""
        moment = "" if self.at is None else str(self.at.timestamp())
        return blake2b(f"{self.role}\0{moment}\0{self.text}".encode(), digest_size=DIGEST_SIZE).digest()


@dataclass(frozen=True, slots=True)
class Record:
    """One talk. `budget` is a whole number where it reads as one, else the text as given; `extra` holds unknown keys."""

    id: str
    source: str
    user_name: str | None = None
    phone: str | None = None
    email: str | None = None
    product_interest: str | None = None
    budget: int | str | None = None
    messages: tuple[Message, ...] = ()
    conversation_history: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    updated_at: datetime | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any], *, zone: tzinfo) -> Record:
        """Read a record from decoded JSON; a time without a zone is in `zone`. Raises UnreadableRecord with its field."""
        ...
