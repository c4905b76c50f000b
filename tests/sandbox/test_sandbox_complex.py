"""`POST /api/v4/leads/complex`."""

from __future__ import annotations

from typing import Any

import pytest
from crm import Api, phone

from leadsync.sandbox import Sandbox
from leadsync.sandbox.settings import WON


def item(number: str = "+79161234567", **lead: Any) -> dict[str, Any]:
    """A lead with a new contact of that phone."""
    return {**lead, "_embedded": {"contacts": [{"name": "Иван", "custom_fields_values": phone(number)}]}}


async def compound(api: Api, *items: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await api.post("leads/complex", list(items))
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()
    return rows


async def test_lead_contact_and_company_are_made_and_linked(api: Api) -> None:
    """All three are linked to each other; request_id comes back in a list."""
    parts = {"contacts": [{"first_name": "Иван"}], "companies": [{"name": "ООО"}], "tags": [{"name": "бот"}]}
    (row,) = await compound(api, {"name": "Сделка", "price": 5, "request_id": "k1", "_embedded": parts})
    assert (row["request_id"], row["merged"]) == (["k1"], False)
    links = api.sandbox.account.links
    contact, company = ("contacts", row["contact_id"]), ("companies", row["company_id"])
    link = links.between(("leads", row["id"]), contact)
    assert link is not None
    assert link.is_main
    assert links.between(("leads", row["id"]), company)
    assert links.between(contact, company)
    lead = (await api.get(f"leads/{row['id']}")).json()
    assert [tag["name"] for tag in lead["_embedded"]["tags"]] == ["бот"]


async def test_existing_people_are_linked_by_id(api: Api) -> None:
    """A contact and a company given by id are used, not made."""
    (contact,) = await api.make("contacts", {})
    (company,) = await api.make("companies", {})
    parts = {"contacts": [{"id": contact}], "companies": [{"id": company}]}
    (row,) = await compound(api, {"name": "Сделка", "_embedded": parts})
    assert (row["contact_id"], row["company_id"]) == (contact, company)
    assert len(api.sandbox.account.contacts) == 1


async def test_a_lead_alone_is_possible(api: Api) -> None:
    """Without a contact and a company both ids are null."""
    (row,) = await compound(api, {"name": "Сделка"})
    assert (row["contact_id"], row["company_id"]) == (None, None)


async def test_metadata_makes_an_unsorted_lead(api: Api) -> None:
    """With metadata the lead lands among the unsorted, whatever status was sent."""
    sent = item(status_id=58_962_662)
    sent["_embedded"]["metadata"] = {"category": "forms", "form_id": "1"}
    (row,) = await compound(api, sent)
    lead = (await api.get(f"leads/{row['id']}")).json()
    assert lead["status_id"] == api.sandbox.account.status("Неразобранное").id
    assert (await api.get(f"contacts/{row['contact_id']}")).json()["is_unsorted"] is True


async def test_fifty_are_the_most(api: Api) -> None:
    """51 leads answer 422 and nothing is made."""
    assert len(await compound(api, *[{}] * 50)) == 50
    answer = await api.post("leads/complex", [{}] * 51)
    assert (answer.status_code, answer.json()["detail"]) == (422, "Limit 50 per page")


@pytest.mark.parametrize(
    ("embedded", "mistake"),
    [
        ({"contacts": [{}, {}]}, ("TooMany", "_embedded.contacts")),
        ({"companies": [{}, {}]}, ("TooMany", "_embedded.companies")),
        ({"contacts": {}, "companies": "x"}, ("InvalidType", "_embedded.companies")),
        ({"contacts": [{"id": 1}]}, ("NotSupportedChoice", "_embedded.contacts.0.id")),
        ({"contacts": [{"name": 5}]}, ("InvalidType", "_embedded.contacts.0.name")),
        (
            {"contacts": [{"custom_fields_values": [{"field_code": "NO", "values": []}]}]},
            ("NotSupportedChoice", "_embedded.contacts.0.custom_fields_values.0.field_code"),
        ),
        (
            {"contacts": [{"custom_fields_values": [{"field_code": "POSITION", "values": []}] * 41}]},
            ("TooMany", "_embedded.contacts.0.custom_fields_values"),
        ),
    ],
)
async def test_bad_parts_are_refused(api: Api, embedded: dict[str, Any], mistake: tuple[str, str]) -> None:
    """Mistakes inside a contact or company have their full path; nothing is made."""
    assert await api.errors("leads/complex", {"_embedded": embedded}) == {mistake}
    assert len(api.sandbox.account.leads) == 0


async def test_more_than_forty_fields_of_a_lead_are_refused(api: Api) -> None:
    """40 values per entity pass, 41 do not."""
    fields = [{"field_code": "FROM", "values": [{"value": "x"}]}]
    assert len(await compound(api, {"custom_fields_values": fields * 40})) == 1
    assert await api.errors("leads/complex", {"custom_fields_values": fields * 41}) == {
        ("TooMany", "custom_fields_values")
    }


async def test_without_duplicate_control_the_same_person_is_made_again(api: Api) -> None:
    """By default nothing is ever merged."""
    (first,) = await compound(api, item())
    (second,) = await compound(api, item())
    assert first["id"] != second["id"]
    assert first["contact_id"] != second["contact_id"]
    assert not second["merged"]


async def test_duplicate_control_merges_into_the_open_lead_of_the_same_phone(sandbox: Sandbox, api: Api) -> None:
    """The old ids come back, the lead is changed, a new phone is appended, the status stays."""
    (first,) = await compound(api, item(name="Была", status_id=58_962_662))
    sandbox.switches.duplicate_control = True
    again = item("8 (916) 123-45-67", name="Стала", request_id="k")
    (row,) = await compound(api, again)
    assert (row["id"], row["contact_id"], row["company_id"]) == (first["id"], first["contact_id"], None)
    assert (row["merged"], row["request_id"]) == (True, ["k"])
    lead = (await api.get(f"leads/{row['id']}")).json()
    assert (lead["name"], lead["status_id"]) == ("Стала", 58_962_662)
    phones = (await api.get(f"contacts/{row['contact_id']}")).json()["custom_fields_values"][0]["values"]
    assert [value["value"] for value in phones] == ["+79161234567", "8 (916) 123-45-67"]


async def test_two_items_merged_into_one_lead_share_a_row(sandbox: Sandbox, api: Api) -> None:
    """Rows are fewer than items: the answer cannot be paired by position."""
    (first,) = await compound(api, item())
    sandbox.switches.duplicate_control = True
    rows = await compound(api, item(request_id="a"), {"request_id": "b"}, item(request_id="c"))
    assert [(row["request_id"], row["merged"]) for row in rows] == [(["a", "c"], True), (["b"], False)]
    assert rows[0]["id"] == first["id"]


async def test_duplicate_control_leaves_alone_what_it_should(sandbox: Sandbox, api: Api) -> None:
    """Closed leads, other pipelines, strangers, people without a phone, and more than three hits are not merged."""
    sandbox.switches.duplicate_control = True
    await compound(api, item("+71111111111", status_id=WON))
    await compound(api, item("+72222222222", pipeline_id=7_055_602))
    await api.make("contacts", *[{"custom_fields_values": phone("+73333333333")}] * 4)
    nameless = {"_embedded": {"contacts": [{"name": "Иван"}]}}
    numbers = ("+71111111111", "+72222222222", "+73333333333", "+74444444444")
    rows = await compound(api, *map(item, numbers), nameless, nameless)
    assert [row["merged"] for row in rows] == [False] * 6
