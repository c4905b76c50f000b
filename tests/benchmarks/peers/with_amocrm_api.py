"""amocrm-api: look the person up, make the contact, make the lead, tie them, add the note."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from amocrm.v2 import Contact as BareContact
from amocrm.v2 import Lead, custom_field, tokens
from amocrm.v2.interaction import BaseInteraction


class Contact(BareContact):
    """As its documentation has people name their fields."""

    phone = custom_field.ContactPhoneField("Телефон")
    email = custom_field.ContactEmailField("Email")


def bring(talk: dict[str, Any]) -> None:
    digits = "".join(one for one in talk["phone"] if one.isdecimal())
    contact = next(iter(Contact.objects.filter(query=digits)), None)
    if contact is None:
        contact = Contact(name=talk["user_name"], phone=talk["phone"], email=talk["email"])
        contact.create()
    lead = Lead(name=f"Заявка от {talk['user_name']}", price=talk["budget"])
    lead.create()
    lead.contacts.append(contact, main=True)
    lead.notes(text="\n".join(f"{one['role']}: {one['text']}" for one in talk["messages"])).create()


def main(url: str, token: str, file: str) -> None:
    BaseInteraction._get_url = lambda self, path: f"{url}/api/v4/{path}"
    storage = tokens.MemoryTokensStorage()
    storage.save_tokens(token, "")
    tokens.default_token_manager("client", "secret", "firm", "https://example.com", storage=storage)
    for line in Path(file).read_text("utf-8").splitlines():
        bring(json.loads(line))


main(*sys.argv[1:])
