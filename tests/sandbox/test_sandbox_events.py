"""The events of the account: what was deleted, when, and how the list is asked."""

from __future__ import annotations

import pytest
from crm import Api, Clock

from leadsync.sandbox import Sandbox


async def deleted(api: Api, kind: str, count: int = 1) -> list[int]:
    """Makes entities and deletes them, as a person does; their ids."""
    made = await api.make(kind, *({"name": f"Лишний {number}"} for number in range(count)))
    for one in made:
        api.sandbox.account.remove(kind, one)
    return made


async def test_a_deletion_is_an_event(api: Api, clock: Clock) -> None:
    """A deleted contact leaves one event, in the shape of the documentation, with an id that is a text."""
    (gone,) = await deleted(api, "contacts")
    answer = await api.get("events")
    (event,) = answer.json()["_embedded"]["events"]
    assert isinstance(event.pop("id"), str)
    assert event.pop("_links")["self"]["href"].startswith(f"{api.sandbox.url}/api/v4/events/")
    assert event == {
        "type": "contact_deleted",
        "entity_id": gone,
        "entity_type": "contact",
        "created_by": 0,
        "created_at": int(clock.now),
        "value_after": [],
        "value_before": [],
        "account_id": api.sandbox.account.id,
    }


async def test_no_events(api: Api) -> None:
    """An account in which nothing was deleted answers 204."""
    assert (await api.get("events")).status_code == 204


async def test_the_newest_first_and_a_hundred_a_page(api: Api) -> None:
    """Events come newest first; a limit above 100 is cut to 100, and `next` leads to the rest."""
    gone = await deleted(api, "contacts", 120)
    first = (await api.get("events", limit=250)).json()
    rest = (await api.get("events", limit=250, page=2)).json()
    assert [one["entity_id"] for one in first["_embedded"]["events"]] == gone[:19:-1]
    assert [one["entity_id"] for one in rest["_embedded"]["events"]] == gone[19::-1]
    assert ("next" in first["_links"], "next" in rest["_links"]) == (True, False)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("filter[type][]=contact_deleted", ["contacts", "contacts"]),
        ("filter[type]=contact_deleted,lead_deleted", ["contacts", "leads", "contacts"]),
        ("filter[type][]=entity_merged&filter[type][]=lead_deleted", ["leads"]),
        ("filter[created_at][from]=1764000100", ["contacts", "leads"]),
        ("filter[created_at][from]=1764000050&filter[created_at][to]=1764000150", ["leads"]),
        ("filter[created_at]=1764000000", ["contacts"]),
        ("filter[entity]=lead", ["leads"]),
        ("filter[created_by]=7", []),
    ],
)
async def test_filters(api: Api, clock: Clock, query: str, found: list[str]) -> None:
    """Events are found by type, time, entity and author."""
    for kind in ("contacts", "leads", "contacts"):
        await deleted(api, kind)
        clock.move(100)
    answer = await api.http.get(f"/api/v4/events?{query}")
    shown = [] if answer.status_code == 204 else answer.json()["_embedded"]["events"]
    assert [f"{one['entity_type']}s" for one in shown] == found


async def test_an_unknown_with_is_refused(api: Api) -> None:
    """Unlike other lists this one refuses a `with` that it does not know."""
    assert (await api.get("events", **{"with": "contact_name"})).status_code == 204
    assert (await api.get("events", **{"with": "weather"})).status_code == 400


async def test_filters_that_are_ignored(api: Api) -> None:
    """Where filters are ignored every event comes, whatever was asked for."""
    await deleted(api, "leads")
    api.sandbox.faults.add("GET /api/v4/events filters_ignored")
    answer = await api.http.get("/api/v4/events?filter[type][]=contact_deleted")
    assert [one["type"] for one in answer.json()["_embedded"]["events"]] == ["lead_deleted"]


async def test_a_forbidden_list(sandbox: Sandbox, api: Api) -> None:
    """A user without the right gets 403 with a JSON body, not the page of a ban."""
    sandbox.faults.add("GET /api/v4/events forbidden")
    answer = await api.get("events")
    assert (answer.status_code, answer.json()["title"]) == (403, "Forbidden")


async def test_a_reset_forgets_events(sandbox: Sandbox, api: Api) -> None:
    """A reset account has no past."""
    await deleted(api, "contacts")
    sandbox.replica.reset()
    sandbox.switches.rate = 0
    assert (await api.get("events")).status_code == 204


async def test_a_page_may_be_shorter_than_asked(sandbox: Sandbox, api: Api) -> None:
    """With `largest_page` every list gives fewer a page, and `next` alone says whether more follow."""
    await api.make("contacts", *({"name": f"Контакт {number}"} for number in range(5)))
    sandbox.switches.largest_page = 2
    pages = [(await api.get("contacts", page=number, limit=250)).json() for number in (1, 2, 3)]
    assert [len(one["_embedded"]["contacts"]) for one in pages] == [2, 2, 1]
    assert ["next" in one["_links"] for one in pages] == [True, True, False]
