"""Personal targets: what the mapping makes of a record says what in it is personal, whatever its keys are called."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from leadsync.mapping.desired import Desired, DesiredContact, DesiredValue
from leadsync.mapping.personal_keys import Kind, kind_of_key

_TOKEN = re.compile(r"[^\W\d_]{2,}")
_NAMES = frozenset({"name", "first_name", "last_name"})
_NO_NAMES = frozenset({"id", "source", "product_interest", "messages", "conversation_history", "updated_at"})
_LONGEST_NAME = 4
"""Words of a value that is still taken for a whole name when a contact's name holds one of them."""


def personal_texts(desired: Desired, given: Mapping[str, Any]) -> Iterator[tuple[Kind, str]]:
    """What the record (plain data) gives that goes into the contact's name, phones and personal fields, with its kind.

    What the mapping itself says (`Клиент из Telegram`) is nobody's.
    """
    if desired.contact is not None:
        words = _name_words(desired.contact, given)
        yield Kind.NAME, " ".join(sorted(words))
        for leaf in _leaves({key: value for key, value in given.items() if key not in _NO_NAMES}):
            tokens = _tokens(leaf)
            if tokens & words and len(tokens) <= _LONGEST_NAME:
                yield Kind.NAME, leaf
        yield from ((Kind.PHONE, one.text) for one in desired.contact.phones)
    for part in (desired.contact, desired.lead):
        for value in part.fields if part is not None else ():
            kind = kind_of_key(value.target)
            if kind is not None and value.text not in value.expression:
                yield kind, value.text


def _name_words(contact: DesiredContact, given: Mapping[str, Any]) -> set[str]:
    named = [_said(one) for one in contact.values if one.target in _NAMES]
    return set[str]().union(*named) - _tokens(f"{given.get('id')} {given.get('source')}")


def _said(value: DesiredValue) -> set[str]:
    """The words that the record gave."""
    return _tokens(value.text) - _tokens(value.expression)


def _tokens(text: str) -> set[str]:
    return {token.casefold() for token in _TOKEN.findall(text)}


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif isinstance(value, str):
        yield value
