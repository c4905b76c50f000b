"""Lists: pages, order, filters, search."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from crm import Api, Clock, phone

from leadsync.sandbox import Sandbox
from leadsync.sandbox.settings import LOST, WON


async def test_pages_follow_next_to_the_end(api: Api) -> None:
    """`next` repeats the query with the next page and is missing on the last one; all ids come exactly once."""
    made = await api.make("leads", *[{}] * 7)
    url, seen, pages = "/api/v4/leads?limit=3&with=contacts", [], []
    while url:
        body = (await api.http.get(url)).json()
        seen += [lead["id"] for lead in body["_embedded"]["leads"]]
        pages.append(body)
        url = body["_links"].get("next", {}).get("href", "")
    assert sorted(seen) == made
    assert [body["_page"] for body in pages] == [1, 2, 3]
    assert pages[0]["_links"]["next"]["href"].endswith("/api/v4/leads?limit=3&with=contacts&page=2")
    assert set(pages[0]["_links"]) == {"self", "next"}
    assert set(pages[2]["_links"]) == {"self", "first", "prev"}
    assert pages[1]["_links"]["self"]["href"].endswith("?limit=3&with=contacts&page=2")


async def test_links_of_items_repeat_the_query(api: Api) -> None:
    """Every item's self link carries the list's query string."""
    (id,) = await api.make("leads", {})
    (lead,) = (await api.http.get("/api/v4/leads?page=1&limit=2")).json()["_embedded"]["leads"]
    assert lead["_links"]["self"]["href"] == f"{api.sandbox.url}/api/v4/leads/{id}?page=1&limit=2"


async def test_a_page_holds_fifty_unless_asked_and_never_above_250(api: Api) -> None:
    """The default is 50; a limit above 250 is cut without a word; nonsense is the default."""
    await api.make("contacts", *[{}] * 250)
    await api.make("contacts", *[{}] * 10)
    for query, expected in (("", 50), ("limit=500", 250), ("limit=0", 50), ("limit=all", 50), ("limit=7&page=x", 7)):
        assert len(await api.ids("contacts", query)) == expected
    assert await api.ids("contacts", "page=9") == []
    bare = (await api.get("contacts")).json()["_links"]
    assert bare["next"]["href"].endswith("/api/v4/contacts?page=2")


async def test_orders_that_work_and_one_that_does_not(api: Api, clock: Clock) -> None:
    """id, updated_at and (leads only) created_at order; anything else is ignored."""
    first, second, third = await api.make("leads", {"created_at": 30}, {"created_at": 10}, {"created_at": 20})
    clock.move(5)
    await api.patch(f"leads/{second}", {"price": 1})
    assert await api.ids("leads", "order[id]=desc") == [third, second, first]
    assert await api.ids("leads", "order%5Bid%5D=asc") == [first, second, third]
    assert await api.ids("leads", "order[created_at]=asc") == [second, third, first]
    assert await api.ids("leads", "order[updated_at]=desc") == [second, third, first]
    unordered = await api.ids("leads")
    for query in ("order[name]=asc", "order[id]=down", "order[price]=desc"):
        assert await api.ids("leads", query) == unordered


async def test_contacts_are_not_ordered_by_creation(api: Api) -> None:
    """created_at orders leads only."""
    await api.make("contacts", *[{"created_at": 100 - n} for n in range(20)])
    assert await api.ids("contacts", "order[created_at]=asc") == await api.ids("contacts")


async def test_without_an_order_ids_are_scattered_but_stay(api: Api, clock: Clock) -> None:
    """A list without an order is not by id, and comes the same way twice, also after a change."""
    made = await api.make("leads", *[{}] * 20)
    unordered = await api.ids("leads")
    assert unordered not in (made, made[::-1])
    clock.move(1)
    await api.patch(f"leads/{made[3]}", {"price": 5})
    more = await api.make("leads", {})
    assert [id for id in await api.ids("leads") if id not in more] == unordered


async def test_embedded_parts_come_when_asked_for(api: Api) -> None:
    """contacts, leads and loss_reason are there with `with` only; the main contact is marked."""
    first, second = await api.make("contacts", {}, {})
    linked = {"contacts": [{"id": first}, {"id": second, "is_main": True}]}
    (lead,) = await api.make("leads", {"status_id": LOST, "loss_reason_id": 18_764_247, "_embedded": linked})
    plain = (await api.get(f"leads/{lead}")).json()["_embedded"]
    assert plain == {"tags": [], "companies": []}
    full = (await api.get(f"leads/{lead}", **{"with": "contacts,loss_reason"})).json()["_embedded"]
    assert [(contact["id"], contact["is_main"]) for contact in full["contacts"]] == [(first, False), (second, True)]
    assert [reason["id"] for reason in full["loss_reason"]] == [18_764_247]
    contact = (await api.get(f"contacts/{first}", **{"with": "leads"})).json()["_embedded"]
    assert [item["id"] for item in contact["leads"]] == [lead]
    assert "is_main" not in contact["leads"][0]


@pytest.fixture
async def leads(api: Api, clock: Clock) -> tuple[int, int, int]:
    """Three leads that differ in everything that can be filtered by."""

    def values(budget: str, city: str, source: str, agreed: bool, day: int) -> list[dict[str, Any]]:
        named = {"Бюджет": budget, "Город": city, "Источник": source, "Согласие": agreed, "Дата встречи": day}
        return [{"field_id": api.field(name), "values": [{"value": value}]} for name, value in named.items()]

    made = []
    for number, item in enumerate(
        (
            {"name": "а", "price": 10, "custom_fields_values": values("10", "Тула", "Веб-чат", True, 86_400)},
            {"name": "б", "price": 20, "custom_fields_values": values("20", "Орёл", "Telegram Bot", False, 10**9)},
            {"name": "в", "price": 30, "status_id": WON, "responsible_user_id": 10_450_986},
        )
    ):
        clock.move(100 * number)
        made += await api.make("leads", item)
    return made[0], made[1], made[2]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("filter[name]=б", "1"),
        ("filter[name][]=а&filter[name][]=в", "02"),
        ("filter[price]=20", "1"),
        ("filter[price][from]=20", "12"),
        ("filter[price][from]=11&filter[price][to]=29", "1"),
        ("filter[price][from]=many", "012"),
        ("filter[responsible_user_id][]=10450986", "2"),
        ("filter[pipeline_id]=7028886", "012"),
        ("filter[pipeline_id]=7055602", ""),
        ("filter[statuses][0][pipeline_id]=7028886&filter[statuses][0][status_id]=142", "2"),
        ("filter[statuses][0][pipeline_id]=7055602&filter[statuses][0][status_id]=142", ""),
        ("filter[created_at][from]=1764000050", "12"),
        ("filter[updated_at][to]=1764000050", "0"),
        ("filter[closed_at][from]=1", "2"),
        ("filter[custom_fields_values][{Бюджет}][]=10", "0"),
        ("filter[custom_fields_values][{Бюджет}][from]=15&filter[custom_fields_values][{Бюджет}][to]=25", "1"),
        ("filter[custom_fields_values][{Город}][]=Орёл", "1"),
        ("filter[custom_fields_values][{Город}][from]=5", ""),
        ("filter[custom_fields_values][{Источник}][]=Веб-чат", "0"),
        ("filter[custom_fields_values][{Источник}][]={option}", "1"),
        ("filter[custom_fields_values][{Согласие}][]=1", "0"),
        ("filter[custom_fields_values][{Согласие}][]=0", "12"),
        ("filter[custom_fields_values][{Дата встречи}][to]=100000", "0"),
        ("filter[custom_fields_values][1][]=10", "012"),
        ("filter[contacts][id]=5", "012"),
        ("pipeline_id=7055602", "012"),
        ("filter[price]=20&filter[name]=а", ""),
    ],
)
async def test_filters(api: Api, leads: tuple[int, int, int], query: str, expected: str) -> None:
    """Known filters narrow the list and add up; unknown ones are ignored and everything comes back."""
    for name in ("Бюджет", "Город", "Источник", "Согласие", "Дата встречи"):
        query = query.replace(f"{{{name}}}", str(api.field(name)))
    option = api.sandbox.account.fields["leads"].named("Источник").option(label="Telegram Bot")
    assert option is not None
    query = query.replace("{option}", str(option.id))
    assert await api.ids("leads", f"order[id]=asc&{query}") == [leads[int(number)] for number in expected]


async def test_ids_are_filtered_in_every_spelling_but_with_commas(api: Api, leads: tuple[int, int, int]) -> None:
    """`filter[id]`, `[]` and numbered brackets work; joined by commas they are ignored."""
    first, second, _ = leads
    for query in (f"filter[id][]={first}&filter[id][]={second}", f"filter[id][0]={first}&filter[id][1]={second}"):
        assert await api.ids("leads", f"order[id]=asc&{query}") == [first, second]
    assert await api.ids("leads", f"filter[id]={second}") == [second]
    assert len(await api.ids("leads", f"filter[id]={first},{second}")) == 3


async def test_filters_of_leads_mean_nothing_to_contacts(api: Api) -> None:
    """price, statuses and pipeline_id are ignored on contacts, and so is a filter by phone."""
    made = await api.make("contacts", {"custom_fields_values": phone("+71")}, {})
    asked = f"filter[custom_fields_values][{api.field('PHONE', 'contacts')}][]=%2B71"
    for query in ("filter[price]=5", "filter[pipeline_id]=5", "filter[statuses][0][status_id]=5", asked):
        assert sorted(await api.ids("contacts", query)) == made


async def test_without_the_paid_option_every_filter_is_ignored(sandbox: Sandbox, api: Api) -> None:
    """Without is_api_filter_enabled everything comes back, even for an id; the search still works."""
    await api.make("leads", {"name": "альфа"}, {"name": "бета"})
    sandbox.switches.is_api_filter_enabled = False
    assert len(await api.ids("leads", "filter[id]=1&filter[name]=альфа")) == 2
    assert (await api.get("account", **{"with": "is_api_filter_enabled"})).json()["is_api_filter_enabled"] is False
    assert len(await api.ids("leads", "query=альфа")) == 1


async def test_search_looks_into_names_and_filled_fields(api: Api) -> None:
    """`query` is a part of a name or of any value, in any case; an empty one means everything."""
    field = [{"field_id": api.field("Город"), "values": [{"value": "Набережные Челны"}]}]
    one, two = await api.make("leads", {"name": "Заявка от Анны"}, {"custom_fields_values": field})
    assert await api.ids("leads", "query=" + quote("анн")) == [one]
    assert await api.ids("leads", "query=" + quote("ЧЕЛНЫ")) == [two]
    assert await api.ids("leads", "query=" + quote("нет такого")) == []
    assert sorted(await api.ids("leads", "query=")) == [one, two]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("9161234567", True),
        ("%2B7 916 123-45-67", True),
        ("916123", True),
        ("89161234567", False),
        ("(916) 123", True),
        ("123-45-67 Иван", False),
    ],
)
async def test_phones_are_searched_by_their_digits(api: Api, query: str, found: bool) -> None:
    """Formatting does not matter, the prefix does: +7 and 8 are different; ten digits find both."""
    (id,) = await api.make("contacts", {"custom_fields_values": phone("+7 (916) 123-45-67")})
    assert await api.ids("contacts", f"query={query}") == ([id] if found else [])


async def test_leads_are_found_by_the_phone_of_their_contact(api: Api) -> None:
    """A search among leads also knows the phones of linked contacts."""
    (contact,) = await api.make("contacts", {"custom_fields_values": phone("+79161234567")})
    (lead, _) = await api.make("leads", {"_embedded": {"contacts": [{"id": contact}]}}, {})
    assert await api.ids("leads", "query=9161234567") == [lead]


async def test_search_follows_changes(api: Api) -> None:
    """A changed value is found by its new text and no longer by the old one."""
    (id,) = await api.make("contacts", {"custom_fields_values": phone("+79161234567")})
    await api.patch(f"contacts/{id}", {"custom_fields_values": phone("+79167654321")})
    assert await api.ids("contacts", "query=9167654321") == [id]
    assert await api.ids("contacts", "query=9161234567") == []
