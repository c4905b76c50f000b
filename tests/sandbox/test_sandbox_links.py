"""Links and tags."""

from __future__ import annotations

from typing import Any

import pytest
from crm import Api

from leadsync.sandbox import Sandbox


@pytest.fixture
async def lead(api: Api) -> int:
    """A lead nobody is linked to."""
    (id,) = await api.make("leads", {})
    return id


async def linked(api: Api, lead: int) -> list[tuple[int, bool]]:
    body = (await api.get(f"leads/{lead}/links")).json()
    return [(link["to_entity_id"], link["metadata"]["main_contact"]) for link in body["_embedded"]["links"]]


def to(id: int, kind: str = "contacts", **metadata: Any) -> dict[str, Any]:
    return {"to_entity_id": id, "to_entity_type": kind, **({"metadata": metadata} if metadata else {})}


async def test_the_first_contact_is_the_main_one_until_another_is_made_it(api: Api, lead: int) -> None:
    """Main is written as is_main and read as main_contact; there is exactly one."""
    one, two = await api.make("contacts", {}, {})
    answer = await api.post(f"leads/{lead}/link", [to(one), to(two)])
    (first, _) = answer.json()["_embedded"]["links"]
    assert first == {
        "entity_id": lead,
        "entity_type": "leads",
        "to_entity_id": one,
        "to_entity_type": "contacts",
        "metadata": None,
    }
    assert await linked(api, lead) == [(one, True), (two, False)]
    await api.post(f"leads/{lead}/link", [to(two, is_main=True)])
    assert await linked(api, lead) == [(one, False), (two, True)]


async def test_when_the_main_contact_goes_the_next_one_takes_its_place(api: Api, lead: int) -> None:
    """Unlinking answers 204, also for what is not linked."""
    one, two = await api.make("contacts", {}, {})
    await api.post(f"leads/{lead}/link", [to(one), to(two)])
    assert (await api.post(f"leads/{lead}/unlink", [to(one)])).status_code == 204
    assert await linked(api, lead) == [(two, True)]
    assert (await api.post(f"leads/{lead}/unlink", [to(one)])).status_code == 204
    await api.post(f"leads/{lead}/unlink", [to(two)])
    assert await linked(api, lead) == []


async def test_a_link_is_seen_from_both_ends(api: Api, lead: int) -> None:
    """A contact shows its leads, a company reads without metadata."""
    (contact,) = await api.make("contacts", {})
    (company,) = await api.make("companies", {})
    await api.post(f"contacts/{contact}/link", [to(lead, "leads"), to(company, "companies")])
    body = (await api.get(f"contacts/{contact}/links")).json()
    assert body["_total_items"] == 2
    assert {(link["to_entity_type"], link["to_entity_id"]) for link in body["_embedded"]["links"]} == {
        ("leads", lead),
        ("companies", company),
    }
    assert body["_embedded"]["links"][1]["metadata"] is None
    assert await linked(api, lead) == [(contact, True)]


async def test_mass_forms_name_their_entity_in_each_item(api: Api) -> None:
    """link, unlink and links work over many entities at once."""
    one, two = await api.make("leads", {}, {})
    (contact,) = await api.make("contacts", {})
    items = [{"entity_id": id, **to(contact)} for id in (one, two)]
    assert (await api.post("leads/link", items)).json()["_total_items"] == 2
    url = f"/api/v4/leads/links?filter[entity_id][]={one}&filter[entity_id][]={two}"
    rows = (await api.http.get(url)).json()["_embedded"]["links"]
    assert [(row["entity_id"], row["entity_type"], row["to_entity_id"]) for row in rows] == [
        (one, "leads", contact),
        (two, "leads", contact),
    ]
    assert (await api.post("leads/unlink", items[:1])).status_code == 204
    assert (await api.http.get(url)).json()["_total_items"] == 1
    assert (await api.get("leads/links")).json()["_total_items"] == 0


async def test_linking_again_is_harmless_unless_the_account_minds(sandbox: Sandbox, api: Api, lead: int) -> None:
    """By default a link is made once; with the switch the second try answers Kommo's 500 and changes nothing."""
    one, two = await api.make("contacts", {}, {})
    for _ in range(2):
        assert (await api.post(f"leads/{lead}/link", [to(one)])).status_code == 200
    sandbox.switches.relink_fails = True
    answer = await api.post(f"leads/{lead}/link", [to(two), to(one)])
    assert (answer.status_code, answer.json()["detail"]) == (500, "An unknown error occurred.")
    assert await linked(api, lead) == [(one, True)]


@pytest.mark.parametrize(
    ("item", "mistake"),
    [
        ({"to_entity_id": 1, "to_entity_type": "contacts"}, ("NotSupportedChoice", "to_entity_id")),
        ({"to_entity_id": 1, "to_entity_type": "people"}, ("NotSupportedChoice", "to_entity_type")),
        ({"to_entity_id": 1, "to_entity_type": "leads"}, ("NotSupportedChoice", "to_entity_type")),
        ({"to": 5, "to_entity_type": "people"}, ("FieldNotExpected", "to")),
    ],
)
async def test_a_bad_link_is_refused(api: Api, lead: int, item: dict[str, Any], mistake: tuple[str, str]) -> None:
    """Both ends must exist and differ in kind."""
    assert mistake in await api.errors(f"leads/{lead}/link", item)


async def test_links_of_nobody(api: Api) -> None:
    """The list answers 404, linking is refused at entity_id, and metadata must be an object."""
    assert (await api.get("leads/1/links")).status_code == 404
    found = await api.errors("leads/1/link", {**to(1), "metadata": "main"})
    assert found >= {("NotSupportedChoice", "entity_id"), ("InvalidType", "metadata")}


async def test_tags_are_made_once(api: Api) -> None:
    """Posting a name that exists answers with its id; ids differ between entity types."""
    first = (await api.post("leads/tags", [{"name": "бот", "color": "EBEBEB"}, {"name": "чат"}])).json()
    again = (await api.post("leads/tags", [{"name": "бот", "request_id": "t"}])).json()
    other = (await api.post("contacts/tags", [{"name": "бот"}])).json()
    (tag,) = again["_embedded"]["tags"]
    assert tag == {"id": first["_embedded"]["tags"][0]["id"], "name": "бот", "color": "EBEBEB", "request_id": "t"}
    assert other["_embedded"]["tags"][0]["id"] != tag["id"]


async def test_tags_are_listed_and_found(api: Api) -> None:
    """By a part of the name, by the whole name, by id."""
    made = (await api.post("leads/tags", [{"name": "Бот"}, {"name": "Чат"}])).json()["_embedded"]["tags"]
    for query in ("query=бо", "filter[name]=Бот", f"filter[id][]={made[0]['id']}"):
        body = (await api.http.get(f"/api/v4/leads/tags?{query}")).json()
        assert [tag["name"] for tag in body["_embedded"]["tags"]] == ["Бот"]
    assert await api.errors("leads/tags", {"color": "x"}) == {("FieldMissing", "name")}
    assert await api.errors("leads/tags", {"name": 5}) == {("InvalidType", "name")}
