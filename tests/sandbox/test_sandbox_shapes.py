"""Our answers have the shapes of the recorded ones in fixtures/: same keys at every level, same JSON types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from crm import Api, phone

from leadsync.sandbox import Sandbox

RECORDED = Path(__file__).with_name("fixtures")
# Only on some pages: a list's links depend on where it is cut.
PAGE_LINKS = {"next", "first", "prev"}


def recorded(name: str) -> Any:
    (path,) = RECORDED.glob(f"{name}_*.json")
    return orjson.loads(path.read_bytes())["response"]


def shape(value: Any) -> Any:
    """Dictionaries keep their keys, lists become one merged element, leaves a set of type names."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items() if key not in PAGE_LINKS}
    if isinstance(value, list):
        merged: Any = set()
        for inner in value:
            merged = merge(merged, shape(inner))
        return [merged] if value else set()
    return set() if value is None else {type(value).__name__}


def merge(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return {key: merge(one.get(key, set()), other.get(key, set())) for key in one.keys() | other.keys()}
    if isinstance(one, list) and isinstance(other, list):
        return [merge(one[0], other[0])]
    if isinstance(one, set) and isinstance(other, set):
        return one | other
    return one or other


def assert_alike(ours: Any, theirs: Any, where: str = "") -> None:
    """Unknown on one side (null, an empty list) fits anything."""
    if not ours or not theirs:
        return
    assert type(ours) is type(theirs), where
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys(), f"{where}: {sorted(ours.keys() ^ theirs.keys())}"
        for key in ours:
            assert_alike(ours[key], theirs[key], f"{where}.{key}")
    elif isinstance(ours, list):
        assert_alike(ours[0], theirs[0], f"{where}[]")
    else:
        assert ours & theirs, f"{where}: {ours} is not {theirs}"


def assert_recorded(answer: httpx.Response, name: str, drop: set[str] = frozenset()) -> None:
    theirs = recorded(name)
    assert answer.status_code == theirs["status"]
    assert answer.headers["content-type"] == theirs["headers"]["Content-Type"]
    body = answer.json()
    if drop:
        body = {key: value for key, value in body.items() if key not in drop}
    assert_alike(shape(body), shape(theirs["body"]))


@pytest.fixture
async def filled(api: Api) -> Api:
    """An account with a lead that has a contact, a company, a tag and fields of several types."""
    (company,) = await api.make("companies", {"name": "ООО"})
    contacts = await api.make("contacts", {"name": "Иван", "custom_fields_values": phone("+79160000001")}, {})
    await api.post(f"contacts/{contacts[0]}/link", [{"to_entity_id": company, "to_entity_type": "companies"}])
    values = [
        {"field_code": "UTM_REFERRER", "values": [{"value": "https://example.com"}]},
        {"field_id": api.field("Бюджет"), "values": [{"value": 14012}]},
        {"field_id": api.field("Источник"), "values": [{"value": "Веб-чат"}]},
        {"field_id": api.field("Дата встречи"), "values": [{"value": 1_711_918_800}]},
    ]
    linked = {"contacts": [{"id": id} for id in contacts], "companies": [{"id": company}]}
    await api.make("leads", {"name": "Сделка", "custom_fields_values": values, "_embedded": linked}, {"name": "Вторая"})
    return api


async def test_created_contacts_read_like_the_recording(api: Api) -> None:
    """POST contacts answers 200 with id, both flags, request_id and link."""
    assert_recorded(await api.post("contacts", [{"name": "Иван"}]), "01")


async def test_a_complex_lead_reads_like_the_recording(api: Api) -> None:
    """POST leads/complex answers a bare array whose request_id is a list."""
    answer = await api.post("leads/complex", [{"name": "Сделка", "_embedded": {"contacts": [{"name": "Иван"}]}}])
    assert_recorded(answer, "02")


async def test_created_notes_read_like_the_recording(api: Api) -> None:
    """POST notes answers id, entity_id, request_id and link."""
    (lead,) = await api.make("leads", {"name": "Сделка"})
    note = {"note_type": "common", "params": {"text": "Здравствуйте"}}
    assert_recorded(await api.post(f"leads/{lead}/notes", [note]), "03")


async def test_pipelines_read_like_the_recording(api: Api) -> None:
    """Pipelines come with their statuses inside and a total."""
    assert_recorded(await api.get("leads/pipelines"), "06")


async def test_the_list_of_custom_fields_counts_items_and_pages(api: Api) -> None:
    """Around custom fields the keys are those of the recording; inside, leads have keys of their own."""
    ours, theirs = (await api.get("leads/custom_fields", limit=250, page=1)).json(), recorded("07")["body"]
    assert ours.keys() == theirs.keys()
    field, known = ours["_embedded"]["custom_fields"][0], theirs["_embedded"]["custom_fields"][0]
    assert known.keys() - field.keys() == {"catalog_id", "is_visible", "is_required"}


async def test_users_read_like_the_recording(api: Api) -> None:
    """Users come with rights, and their links end in a slash and the query."""
    answer = await api.get("users", page=1, limit=250)
    assert_recorded(answer, "09")
    user = answer.json()["_embedded"]["users"][0]
    assert user["_links"]["self"]["href"].endswith(f"/api/v4/users/{user['id']}/?page=1&limit=250")


@pytest.mark.parametrize(("query", "name"), [("page=1&limit=250", "10"), ("with=contacts&page=1&limit=250", "12")])
async def test_lists_of_leads_read_like_the_recordings(filled: Api, query: str, name: str) -> None:
    """A page of leads has the recorded keys, without and with contacts."""
    assert_recorded(await filled.http.get(f"/api/v4/leads?{query}"), name)


async def test_leads_with_tracking_data_read_like_the_recording(filled: Api) -> None:
    """Values of tracking, numeric and select fields have the recorded keys; that list had no `_page`."""
    assert_recorded(await filled.http.get("/api/v4/leads?limit=1&page=1&order[id]=asc"), "11", drop={"_page"})


async def test_a_contact_reads_like_the_recording(filled: Api) -> None:
    """A single contact has its company and a phone with enum_id and enum_code."""
    first = min(contact.id for contact in filled.sandbox.account.contacts)
    assert_recorded(await filled.get(f"contacts/{first}"), "13")


async def test_the_account_reads_like_the_recording(api: Api) -> None:
    """The account has the recorded keys, with the part that was asked for at top level."""
    assert_recorded(await api.get("account", **{"with": "amojo_id"}), "15")


@pytest.mark.parametrize(
    ("method", "path", "body", "name"),
    [
        ("POST", "leads", [{"status_id": [], "custom_fields_values": [{"field_id": 1, "values": []}]}], "20"),
        ("POST", "leads", [], "24"),
        ("PATCH", "leads", [{"id": 999999999, "name": "нет"}], "25"),
    ],
)
async def test_refused_writes_read_like_the_recordings(api: Api, method: str, path: str, body: Any, name: str) -> None:
    """Refusals of a write have the recorded bodies."""
    answer = await api.http.request(method, f"/api/v4/{path}", json=body)
    assert_recorded(answer, name)
    if name == "25":
        assert answer.json() == recorded("25")["body"]


async def test_wrong_options_are_refused_like_the_recordings(api: Api) -> None:
    """A label no option has, and a key that does not belong, are named by path exactly as recorded."""
    city, source = api.field("Город"), api.field("Источник")
    (lead,) = await api.make("leads", {"name": "Сделка"})
    bad = [
        {"field_id": city, "values": [{"value": "Москва"}]},
        {"field_id": source, "values": [{"value": "Почта"}]},
    ]
    answer = await api.patch("leads", [{"id": lead}, {"id": lead, "custom_fields_values": bad}])
    assert answer.json() == recorded("21")["body"]
    echoed = {"field_id": source, "values": [{"value": "Веб-чат", "enum_code": None}]}
    answer = await api.patch(f"leads/{lead}", {"custom_fields_values": [echoed]})
    assert answer.json() == recorded("23")["body"]


async def test_a_stale_option_id_is_refused_like_the_recording(api: Api) -> None:
    """Options of a field cannot be changed by an id the field does not have."""
    enums = [{"id": 1, "value": "Почта"}]
    answer = await api.patch("leads/custom_fields", [{"id": api.field("Источник"), "enums": enums}])
    assert answer.status_code == 400
    assert answer.json() == recorded("22")["body"]


async def test_refusals_before_the_route_are_the_recorded_bodies(sandbox: Sandbox, api: Api) -> None:
    """401, 402 and Kommo's 429 are word for word the recorded bodies."""
    async with httpx.AsyncClient(base_url=sandbox.url) as stranger:
        answer = await stranger.get("/api/v4/account")
    assert (answer.status_code, answer.json()) == (401, recorded("26")["body"])
    sandbox.switches.payment_required = True
    answer = await api.get("leads")
    assert (answer.status_code, answer.json()) == (402, recorded("27")["body"])
    sandbox.switches.update({"payment_required": False, "kommo_429": True, "rate": 1})
    await api.get("leads")
    answer = await api.get("leads")
    assert (answer.status_code, answer.json()) == (429, recorded("29")["body"])


@pytest.mark.parametrize("name", ["30", "31"])
async def test_refused_tokens_read_like_the_recordings(sandbox: Sandbox, api: Api, name: str) -> None:
    """A spent refresh token and an old code are refused word for word as recorded."""
    oauth = sandbox.oauth
    form = {"client_id": oauth.client_id, "client_secret": oauth.client_secret, "redirect_uri": oauth.redirect_uri}
    if name == "30":
        refresh = oauth.pair(1)["refresh_token"]
        oauth.revoke(refresh)
        form.update(grant_type="refresh_token", refresh_token=refresh)
    else:
        code = oauth.code(1)
        oauth.expire(code)
        form.update(grant_type="authorization_code", code=code)
    answer = await api.http.post("/oauth2/access_token", json=form)
    assert (answer.status_code, answer.json()) == (recorded(name)["status"], recorded(name)["body"])
