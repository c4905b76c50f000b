"""aioamocrm: look the person up, make the contact, make the lead tied to it, add the note."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from aioamocrm import AmoCRMClient, Contact, Embedded, Lead, LongLivedToken, Note


def contact_of(talk: dict[str, Any]) -> Contact:
    contact = Contact(name=talk["user_name"])
    contact.set_field("PHONE", talk["phone"], enum_code="WORK")
    contact.set_field("EMAIL", talk["email"], enum_code="WORK")
    return contact


def lead_of(talk: dict[str, Any], contact_id: int) -> Lead:
    embedded = Embedded(contacts=[Contact(id=contact_id)])
    return Lead(name=f"Заявка от {talk['user_name']}", price=talk["budget"], embedded=embedded)


def note_of(talk: dict[str, Any], lead_id: int) -> Note:
    return Note.common(lead_id, "\n".join(f"{one['role']}: {one['text']}" for one in talk["messages"]))


async def found(amo: AmoCRMClient, talk: dict[str, Any]) -> int | None:
    digits = "".join(one for one in talk["phone"] if one.isdecimal())
    page = await amo.contacts.get_page(query=digits)
    return page.items[0].id if page.items else None


async def bring(amo: AmoCRMClient, talk: dict[str, Any]) -> None:
    contact_id = await found(amo, talk)
    if contact_id is None:
        [made] = await amo.contacts.create([contact_of(talk)])
        contact_id = made.id
    [lead] = await amo.leads.create([lead_of(talk, contact_id)])
    await amo.leads.notes.create([note_of(talk, lead.id)])


async def bring_in_batches(amo: AmoCRMClient, talks: list[dict[str, Any]]) -> None:
    """As somebody would who knows the limits: one search a talk, and writes by 250."""
    contact_ids = [await found(amo, talk) for talk in talks]
    new = [number for number, id in enumerate(contact_ids) if id is None]
    made = await amo.contacts.create([contact_of(talks[number]) for number in new], batch_size=250)
    for number, one in zip(new, made, strict=True):
        contact_ids[number] = one.id
    wanted = [lead_of(talk, id or 0) for talk, id in zip(talks, contact_ids, strict=True)]
    leads = await amo.leads.create(wanted, batch_size=250)
    await amo.leads.notes.create(
        [note_of(talk, one.id) for talk, one in zip(talks, leads, strict=True)], batch_size=250
    )


async def main(url: str, token: str, talks: list[dict[str, Any]], way: str = "natural") -> None:
    async with AmoCRMClient(base_url=url, auth=LongLivedToken(token), rate_limit=None) as amo:
        if way == "batches":
            await bring_in_batches(amo, talks)
        else:
            for talk in talks:
                await bring(amo, talk)


read = [json.loads(line) for line in Path(sys.argv[3]).read_text("utf-8").splitlines()]
asyncio.run(main(sys.argv[1], sys.argv[2], read, *sys.argv[4:]))
