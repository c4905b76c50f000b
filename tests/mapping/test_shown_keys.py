"""A key in a log names no person."""

from __future__ import annotations

import pytest

from leadsync.mapping.shown_keys import shown_key

PLAIN = [
    "telegram:42",
    "avito:42:7",
    "web:123456",
    "42",
    "talks:42",
    "push:telegram:42",
    f"web:{'0123456789abcdef' * 2}",
]
PLAIN += ["web:0b5cf7b5-87cc-4b6f-9f0c-3f5a86e4a2c1", "telegram:123456789012345678"]

PERSONAL = ["whatsapp:79161234567", "telegram:+79161234567", "79161234567", "telegram:9161234567", "telegram:Иван"]
PERSONAL += ["web:ivan@example.com", "ivan:42", "telegram:ivan_petrov", "telegram:8 916 123-45-67", "dialog:42", ""]
PERSONAL += ["web:deadbeef", "telegram:42 Иван", "web:4111 1111 1111 1111", "telegram:٤٢", "telegram:42\n"]


@pytest.mark.parametrize("key", PLAIN)
def test_numbers_of_a_channel_are_shown(key: str) -> None:
    """A channel, or a source of the project, with ids that are no phones stands there as it is."""
    assert shown_key(key, "RU", ["talks"]) == key


@pytest.mark.parametrize("key", PERSONAL)
def test_anything_else_is_a_digest(key: str) -> None:
    """Of whatever may be a name, a phone, an e-mail or a login there is a digest: the same for the same key."""
    shown = shown_key(key, "RU", ["talks"])
    assert shown[0] == "#"
    assert len(shown) == 13
    assert shown == shown_key(key, "RU")
    assert shown != shown_key(key + "1", "RU")


def test_the_country_reads_phones() -> None:
    """What is a phone somewhere is none elsewhere."""
    assert shown_key("web:20301234", "DK").startswith("#")
    assert shown_key("web:2030123", "RU") == "web:2030123"
