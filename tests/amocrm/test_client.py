"""The client against an account: what is created, changed, found and read, and how answers are paired."""

from __future__ import annotations

from typing import Any

import pytest
import respx
from pydantic import ValidationError

from leadsync.amocrm import (
    AmoCRMClient,
    AmoCRMNotFound,
    AmoCRMUnknownOutcome,
    AmoCRMValidationError,
    Contact,
    CustomFieldValue,
    Lead,
    Link,
    Note,
)
from leadsync.amocrm.entities import LinkMetadata, NoteParams, Tag
from leadsync.events import Event, LeadCreated
from leadsync.sandbox import Sandbox

from .conftest import Connect

LEADS = "/api/v4/leads"


async def many_leads(amocrm: AmoCRMClient, count: int) -> list[int]:
    """Creates leads by the batch; their ids in order."""
    ids: list[int] = []
    while len(ids) < count:
        batch = [{"name": f"Заявка {len(ids) + index}"} for index in range(min(250, count - len(ids)))]
        ids += (await amocrm.create("leads", batch)).values()
    return ids


async def test_a_contact_and_its_lead(amocrm: AmoCRMClient, heard: list[Event]) -> None:
    """The four calls: a contact with phone and e-mail marked WORK, its lead, a note, and the lead read back."""
    contact_id = await amocrm.create_contact(
        name="Иван", phones=["+79161234567"], emails=["ivan@example.com"], tags=["telegram"]
    )
    lead_id = await amocrm.create_lead(
        name="Заявка", price=50_000, contact_ids=[contact_id], tags=["telegram", "telegram"]
    )
    note_id = await amocrm.add_note(lead_id, "История диалога")
    lead = await amocrm.get_lead(lead_id)
    assert lead is not None
    assert (lead["name"], lead["price"]) == ("Заявка", 50_000)
    assert [(one["id"], one["is_main"]) for one in lead["_embedded"]["contacts"]] == [(contact_id, True)]
    assert [tag["name"] for tag in lead["_embedded"]["tags"]] == ["telegram"]
    contact = await amocrm.get("contacts", contact_id)
    assert contact is not None
    written = {one["field_code"]: one["values"][0] for one in contact["custom_fields_values"]}
    assert (written["PHONE"]["value"], written["PHONE"]["enum_code"]) == ("+79161234567", "WORK")
    assert (written["EMAIL"]["value"], written["EMAIL"]["enum_code"]) == ("ivan@example.com", "WORK")
    assert [(note["id"], note["params"]["text"]) for note in await amocrm.notes_of("leads", lead_id)] == [
        (note_id, "История диалога")
    ]
    assert LeadCreated(lead_id, contact_id) in heard


async def test_a_lead_may_stand_alone(amocrm: AmoCRMClient, sandbox: Sandbox, heard: list[Event]) -> None:
    """A lead without contact, tags and fields is created with nothing but what is set."""
    lead_id = await amocrm.create_lead(name="Заявка")
    assert sandbox.requests[-1].body == [{"name": "Заявка", "request_id": "0"}]
    assert LeadCreated(lead_id, None) in heard


async def test_a_lead_that_does_not_exist_is_none(amocrm: AmoCRMClient) -> None:
    """amoCRM answers 204 for an unknown id."""
    assert await amocrm.get_lead(1) is None


async def test_a_lead_in_its_place(amocrm: AmoCRMClient, sandbox: Sandbox) -> None:
    """Pipeline, status, responsible, company and custom fields arrive."""
    pipeline = next(one for one in sandbox.account.pipelines.values() if not one.is_main)
    (company_id,) = (await amocrm.create("companies", [{"name": "ООО Ромашка"}])).values()
    field = next(one for one in await amocrm.custom_fields("leads") if one["code"] == "UTM_SOURCE")
    lead_id = await amocrm.create_lead(
        pipeline_id=pipeline.id,
        status_id=142,
        responsible_user_id=10_450_986,
        company_ids=[company_id],
        custom_fields=[CustomFieldValue(field_id=field["id"], values=[{"value": "telegram"}])],
    )
    lead = await amocrm.get_lead(lead_id)
    assert lead is not None
    assert (lead["pipeline_id"], lead["status_id"], lead["responsible_user_id"]) == (pipeline.id, 142, 10_450_986)
    assert [one["id"] for one in lead["_embedded"]["companies"]] == [company_id]
    assert lead["custom_fields_values"][0]["values"] == [{"value": "telegram"}]


async def test_a_note_too_long_is_refused_before_it_is_sent(amocrm: AmoCRMClient, sandbox: Sandbox) -> None:
    """20 001 characters never reach amoCRM."""
    with pytest.raises(ValidationError):
        await amocrm.add_note(1, "х" * 20_001)
    assert len(sandbox.requests) == 0


async def test_batches_are_paired_by_request_id(amocrm: AmoCRMClient) -> None:
    """Ids come back under the request ids given, or under the index."""
    items: list[Any] = [Lead(name="А", request_id="k1"), {"name": "Б"}, Lead(name="В", request_id="k3")]
    ids = await amocrm.create("leads", items)
    assert list(ids) == ["k1", "1", "k3"]
    found = await amocrm.get_many("leads", ids.values(), filters=True)
    assert [found[one]["name"] for one in ids.values()] == ["А", "Б", "В"]


async def test_a_shuffled_answer_is_paired_all_the_same(connect: Connect, sandbox: Sandbox) -> None:
    """The order of an answer means nothing."""
    answer = {
        "_embedded": {"leads": [{"id": 2, "request_id": "b"}, {"id": 3, "request_id": 1}, {"id": 1, "request_id": "a"}]}
    }
    with respx.mock(base_url=sandbox.url) as forged:
        forged.post(LEADS).respond(json=answer)
        ids = await connect().create("leads", [{"request_id": "a"}, {}, {"request_id": "b"}])
    assert ids == {"a": 1, "1": 3, "b": 2}


@pytest.mark.parametrize(
    "answered",
    [
        [],
        [{"id": 1, "request_id": "a"}],
        [{"id": 1, "request_id": "a"}, {"id": 2, "request_id": "a"}, {"id": 3, "request_id": "b"}],
        [{"id": 1, "request_id": "a"}, {"id": None, "request_id": "b"}],
        [{"id": 1}, {"id": 2}],
        ["a", "b"],
        None,
    ],
)
async def test_an_answer_that_does_not_name_every_item_is_unknown(
    connect: Connect, sandbox: Sandbox, answered: Any
) -> None:
    """An item without exactly one id in the answer may or may not exist: the batch must be looked for."""
    with respx.mock(base_url=sandbox.url) as forged:
        forged.post(LEADS).respond(json={"_embedded": {"leads": answered}})
        forged.post(f"{LEADS}/complex").respond(json=answered)
        for create in (lambda items: connect().create("leads", items), connect().create_complex):
            with pytest.raises(AmoCRMUnknownOutcome):
                await create([{"request_id": "a"}, {"request_id": "b"}])


async def test_complex_leads_come_with_their_contacts(amocrm: AmoCRMClient) -> None:
    """One request makes lead and contact; the results are paired by request_id."""
    phone = CustomFieldValue.phone("+79161234567").wire()
    items = [
        {
            "name": "А",
            "request_id": "a",
            "_embedded": {"contacts": [{"name": "Иван", "custom_fields_values": [phone]}]},
        },
        {"name": "Б"},
    ]
    made = await amocrm.create_complex(items)
    lead = await amocrm.get_lead(made["a"].lead_id)
    assert lead is not None
    assert [one["id"] for one in lead["_embedded"]["contacts"]] == [made["a"].contact_id]
    assert made["1"].contact_id is None
    assert not made["a"].merged


async def test_a_merged_complex_lead_is_paired_by_every_name(connect: Connect, sandbox: Sandbox) -> None:
    """Duplicate control may answer two items with one lead."""
    answer = [{"id": 7, "contact_id": 8, "company_id": 9, "request_id": ["a", "b"], "merged": True}]
    with respx.mock(base_url=sandbox.url) as forged:
        forged.post(f"{LEADS}/complex").respond(json=answer)
        made = await connect().create_complex([{"request_id": "a"}, {"request_id": "b"}])
    assert made["a"] == made["b"]
    assert (made["a"].lead_id, made["a"].contact_id, made["a"].company_id, made["a"].merged) == (7, 8, 9, True)


async def test_notes_by_the_batch(amocrm: AmoCRMClient) -> None:
    """Notes of several leads go in one request, and are found newest first above a mark."""
    leads = await many_leads(amocrm, 2)
    notes = [Note(entity_id=one, params=NoteParams(text="Привет"), request_id=f"n{one}") for one in leads]
    ids = await amocrm.create_notes("leads", notes)
    assert list(ids) == [f"n{one}" for one in leads]
    mark, newest = sorted(ids.values())
    pages = [page async for page in amocrm.newest_notes("leads", until_id=mark)]
    assert [[note["id"] for note in page] for page in pages] == [[newest]]


async def test_a_refused_batch_makes_nothing(amocrm: AmoCRMClient, sandbox: Sandbox) -> None:
    """One bad item refuses the whole request, and is named."""
    bad = {"name": "Б", "request_id": "bad", "custom_fields_values": [{"field_id": 1, "values": [{"value": "x"}]}]}
    with pytest.raises(AmoCRMValidationError) as refused:
        await amocrm.create("leads", [{"name": "А", "request_id": "good"}, bad])
    assert list(refused.value.items) == ["bad"]
    assert len(sandbox.account.leads) == 0


async def test_a_change_names_what_it_did(amocrm: AmoCRMClient) -> None:
    """Ids that exist are changed, the ones that do not are named; the good ones are not sent again."""
    one, other = await many_leads(amocrm, 2)
    whole = await amocrm.update("leads", [Lead(id=one, price=1), {"id": other, "price": 2}])
    assert (whole.updated, dict(whole.missing)) == (frozenset({one, other}), {})
    partly = await amocrm.update("leads", [{"id": one, "price": 3}, {"id": 99, "price": 4}])
    assert partly.updated == frozenset({one})
    assert partly.missing == {99: "Lead not found"}
    lead = await amocrm.get_lead(one)
    assert lead is not None
    assert lead["price"] == 3


async def test_a_change_without_its_answer_is_unknown(connect: Connect, sandbox: Sandbox) -> None:
    """An answer that leaves an id out does not say that it was changed."""
    with respx.mock(base_url=sandbox.url) as forged:
        forged.patch(LEADS).respond(json={"_embedded": {"leads": [{"id": 1}]}})
        with pytest.raises(AmoCRMUnknownOutcome, match="1 of 2"):
            await connect().update("leads", [{"id": 1}, {"id": 2}])


@pytest.mark.parametrize("items", [[{"name": "x"}], [{"id": "7"}], [{"id": 1}, {"id": 1}], []])
async def test_a_change_needs_ids(amocrm: AmoCRMClient, sandbox: Sandbox, items: list[dict[str, Any]]) -> None:
    """A change without an id of its own would create: it is not sent."""
    with pytest.raises(ValueError, match=r"id|batch"):
        await amocrm.update("leads", items)
    assert len(sandbox.requests) == 0


@pytest.mark.parametrize("count", [0, 251])
async def test_a_batch_has_a_size(amocrm: AmoCRMClient, count: int) -> None:
    """Nothing and more than 250 are the caller's mistake."""
    with pytest.raises(ValueError, match="1 to 250"):
        await amocrm.create("leads", [{}] * count)


async def test_a_complex_batch_is_smaller(amocrm: AmoCRMClient) -> None:
    """leads/complex takes 50."""
    with pytest.raises(ValueError, match="1 to 50"):
        await amocrm.create_complex([{}] * 51)


async def test_a_request_id_stands_once(amocrm: AmoCRMClient) -> None:
    """Two items of one name could not be told apart."""
    with pytest.raises(ValueError, match="twice"):
        await amocrm.create("leads", [{"request_id": "1"}, {}])


async def test_links_are_made_and_read(amocrm: AmoCRMClient) -> None:
    """A link made is a link read; what is tied to nothing is there with nothing."""
    one, other = await many_leads(amocrm, 2)
    contact_id = await amocrm.create_contact(name="Иван")
    link = Link(entity_id=one, to_entity_id=contact_id, to_entity_type="contacts", metadata=LinkMetadata(is_main=True))
    await amocrm.link("leads", [link])
    links = await amocrm.links("leads", [one, other])
    assert [(tie["to_entity_id"], tie["metadata"]["main_contact"]) for tie in links[one]] == [(contact_id, True)]
    assert links[other] == []


async def test_an_unlinkable_end_is_refused(amocrm: AmoCRMClient) -> None:
    """A link to a contact that does not exist is an error of that item."""
    (one,) = await many_leads(amocrm, 1)
    with pytest.raises((AmoCRMValidationError, AmoCRMNotFound)):
        await amocrm.link("leads", [Link(entity_id=one, to_entity_id=5, to_entity_type="contacts")])


async def test_a_search_finds_or_finds_nothing(amocrm: AmoCRMClient) -> None:
    """A hit is a list of entities; nobody found is an empty list, not a crash on 204."""
    contact_id = await amocrm.create_contact(name="Иван", phones=["+79161234567"])
    assert [one["id"] for one in await amocrm.search("contacts", "9161234567", ("leads",))] == [contact_id]
    assert await amocrm.search("contacts", "9990000000") == []


@pytest.mark.parametrize("query", ["", " \n"])
async def test_an_empty_search_is_refused(amocrm: AmoCRMClient, query: str) -> None:
    """An empty query would give the account's first contacts."""
    with pytest.raises(ValueError, match="whole account"):
        await amocrm.search("contacts", query)


async def test_a_search_is_bounded(amocrm: AmoCRMClient, sandbox: Sandbox) -> None:
    """A query that finds everybody is read up to its bound."""
    await many_leads(amocrm, 600)
    assert len(await amocrm.search("leads", "Заявка", most_pages=2)) == 500
    assert len(await amocrm.search("leads", "Заявка")) == 600


async def test_pages_go_to_the_end(amocrm: AmoCRMClient) -> None:
    """Every entity comes once, in order."""
    ids = await many_leads(amocrm, 530)
    pages = [page async for page in amocrm.pages("leads", with_=("contacts",))]
    assert [len(page) for page in pages] == [250, 250, 30]
    assert [one["id"] for page in pages for one in page] == sorted(ids)


async def test_a_short_page_is_no_end(connect: Connect, sandbox: Sandbox) -> None:
    """Reading stops where there is no next link, not at a page that is short or empty."""
    more = {"next": {"href": "x"}}
    answers = [
        {"_links": more, "_embedded": {"leads": [{"id": 1}]}},
        {"_links": more, "_embedded": {"leads": []}},
        {"_links": {}, "_embedded": {"leads": [{"id": 2}]}},
    ]
    with respx.mock(base_url=sandbox.url) as forged:
        forged.get(LEADS).mock(side_effect=[respx.MockResponse(json=one) for one in answers])
        pages = [page async for page in connect().pages("leads")]
    assert pages == [[{"id": 1}], [{"id": 2}]]


async def test_the_newest_end_at_the_mark(amocrm: AmoCRMClient, sandbox: Sandbox) -> None:
    """Reading back stops with the page that holds the mark."""
    ids = sorted(await many_leads(amocrm, 600))
    before = len(sandbox.requests)
    found = [one["id"] async for page in amocrm.newest("leads", until_id=ids[400]) for one in page]
    assert found == ids[:400:-1]
    assert len(sandbox.requests) - before == 1
    assert [page async for page in amocrm.newest("leads", until_id=ids[-1])] == []


@pytest.mark.parametrize("filters", [True, False])
async def test_many_are_read_by_id(amocrm: AmoCRMClient, sandbox: Sandbox, filters: bool) -> None:
    """With filters fifty at a time, without one by one; ids that do not exist are left out."""
    ids = await many_leads(amocrm, 60)
    before = len(sandbox.requests)
    found = await amocrm.get_many("leads", [*ids, 1], with_=("contacts",), filters=filters)
    assert sorted(found) == sorted(ids)
    assert all("contacts" in one["_embedded"] for one in found.values())
    assert len(sandbox.requests) - before == (2 if filters else 61)


async def test_ignored_filters_are_noticed(amocrm: AmoCRMClient, sandbox: Sandbox) -> None:
    """An account that ignores the filter answers with strangers: they are left out and the ids are read singly."""
    ids = await many_leads(amocrm, 300)
    sandbox.faults.add(f"GET {LEADS} filters_ignored")
    found = await amocrm.get_many("leads", ids[-3:], filters=True)
    assert sorted(found) == sorted(ids[-3:])


async def test_the_first_error_of_many_reads_is_told(amocrm: AmoCRMClient, sandbox: Sandbox) -> None:
    """A read that fails for good ends the others, and is raised as itself."""
    sandbox.switches.banned = True
    with pytest.raises(Exception, match="blocked") as raised:
        await amocrm.get_many("leads", [1, 2, 3], filters=False)
    assert not isinstance(raised.value, ExceptionGroup)


@pytest.mark.parametrize("answer", [[], 7])
async def test_an_account_of_another_shape_is_empty(connect: Connect, sandbox: Sandbox, answer: Any) -> None:
    """JSON that is no object is not an account."""
    with respx.mock(base_url=sandbox.url) as forged:
        forged.get("/api/v4/account").respond(json=answer)
        assert await connect().account() == {}


def test_what_is_not_set_is_not_sent() -> None:
    """`_embedded` goes by its own name, and None goes nowhere."""
    contact = Contact(first_name="Иван", tags_to_add=[Tag(name="a")])
    assert contact.wire() == {"first_name": "Иван", "tags_to_add": [{"name": "a"}]}
