"""amochka: look the person up, make the contact, make the lead tied to it, add the note."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from amochka import AmoCRMClient, CacheConfig


class LocalClient(AmoCRMClient):
    """One that may be led to this machine: as released it admits amoCRM's own hosts only."""

    @staticmethod
    def _validate_base_url(base_url: str) -> str:
        return base_url


def bring(client: AmoCRMClient, talk: dict[str, Any]) -> None:
    found = client.fetch_contacts(query=talk["phone"], max_pages=1)
    if found:
        contact_id = found[0]["id"]
    else:
        values = [
            {"field_code": "PHONE", "values": [{"value": talk["phone"], "enum_code": "WORK"}]},
            {"field_code": "EMAIL", "values": [{"value": talk["email"], "enum_code": "WORK"}]},
        ]
        contact_id = client.create_contact({"name": talk["user_name"], "custom_fields_values": values})["id"]
    tied = {"contacts": [{"id": contact_id, "is_main": True}]}
    name = f"Заявка от {talk['user_name']}"
    lead = client.create_lead({"name": name, "price": talk["budget"], "_embedded": tied})
    text = "\n".join(f"{one['role']}: {one['text']}" for one in talk["messages"])
    client.add_entity_note("lead", lead["id"], "common", {"text": text})


def main(url: str, token: str, file: str) -> None:
    tokens = json.dumps({"access_token": token, "expires_at": str(time.time() + 86_400)})
    client = LocalClient(url, tokens, CacheConfig.disabled(), disable_logging=True, rate_limit=1_000_000)
    for line in Path(file).read_text("utf-8").splitlines():
        bring(client, json.loads(line))


main(*sys.argv[1:])
