"""The words of a new mapping that end up in the CRM, in the language of the account's people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wording:
    """Words in a lead's name and in a note; `key_field` is the name proposed for the field that holds the key."""

    customer: str
    lead_from: str
    somebody: str
    history: str
    continued: str
    key_field: str
    website: str


RUSSIAN = Wording(
    customer="Клиент",
    lead_from="Заявка от",
    somebody="клиента",
    history="История диалога",
    continued="Продолжение диалога",
    key_field="ID диалога",
    website="Сайт",
)

ENGLISH = Wording(
    customer="Customer",
    lead_from="Lead from",
    somebody="a customer",
    history="The conversation",
    continued="The conversation goes on",
    key_field="Conversation ID",
    website="Website",
)


def wording_of(domain: str) -> Wording:
    """Russian for amocrm.ru, English for the others."""
    return RUSSIAN if domain == "amocrm.ru" else ENGLISH
