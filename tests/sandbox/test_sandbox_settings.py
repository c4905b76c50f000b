"""The account, pipelines, users, custom fields, and addresses that are there to be empty."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from crm import Api

from leadsync.sandbox import Sandbox
from leadsync.sandbox.starter import ACCOUNT_ID, ADMIN_ID

BORIS = 10_450_986


async def test_the_account_shows_the_parts_asked_for(api: Api) -> None:
    """Parts stand at top level or in `_embedded`, and only when they are asked for; unknown ones are ignored."""
    plain = (await api.get("account")).json()
    assert (plain["id"], plain["name"], plain["currency"]) == (ACCOUNT_ID, "sandbox", "RUB")
    assert plain["current_user_id"] == ADMIN_ID
    assert not {"_embedded", "amojo_id", "version", "timezone"} & plain.keys()
    wanted = "amojo_id,uuid,version,drive_url,is_api_filter_enabled,entity_names,users_groups,datetime_settings,nothing"
    full = (await api.get("account", **{"with": wanted})).json()
    assert full["is_api_filter_enabled"] is True
    assert full["_embedded"].keys() == {"users_groups", "datetime_settings"}
    assert full["_embedded"]["datetime_settings"]["timezone"] == "Europe/Moscow"


async def test_pipelines_ignore_pages(api: Api) -> None:
    """All pipelines come whatever page and limit say."""
    body = (await api.get("leads/pipelines", page=5, limit=1)).json()
    assert [pipeline["name"] for pipeline in body["_embedded"]["pipelines"]] == ["Воронка", "Повторные продажи"]
    for pipeline in body["_embedded"]["pipelines"]:
        statuses = pipeline["_embedded"]["statuses"]
        assert statuses[0]["type"] == 1
        assert [(status["id"], status["sort"]) for status in statuses[-2:]] == [(142, 10_000), (143, 11_000)]


async def test_a_pipeline_and_its_statuses_can_be_read_alone(api: Api) -> None:
    """The links in the list lead to the same bodies."""
    (first, _) = (await api.get("leads/pipelines")).json()["_embedded"]["pipelines"]
    assert (await api.http.get(first["_links"]["self"]["href"])).json() == first
    status = first["_embedded"]["statuses"][1]
    assert (await api.http.get(status["_links"]["self"]["href"])).json() == status
    listed = (await api.get(f"leads/pipelines/{first['id']}/statuses")).json()
    assert listed["_embedded"]["statuses"] == first["_embedded"]["statuses"]
    for path in ("leads/pipelines/1", "leads/pipelines/1/statuses", f"leads/pipelines/{first['id']}/statuses/1"):
        assert (await api.get(path)).status_code == 404


async def test_users_are_shown_to_administrators_only(sandbox: Sandbox, api: Api) -> None:
    """Three users, one of them inactive; a plain user's token answers 403."""
    users = (await api.get("users")).json()["_embedded"]["users"]
    assert [(user["email"], user["rights"]["is_admin"], user["rights"]["is_active"]) for user in users] == [
        ("anna@example.com", True, True),
        ("boris@example.com", False, True),
        ("vera@example.com", False, False),
    ]
    assert (await api.get(f"users/{BORIS}")).json()["name"] == "Борис"
    assert (await api.get("users/1")).status_code == 404
    headers = {"Authorization": f"Bearer {sandbox.oauth.long_lived(BORIS)}"}
    async with httpx.AsyncClient(base_url=sandbox.url, headers=headers) as plain:
        answer = await plain.get("/api/v4/users")
        assert (answer.status_code, answer.json()["title"]) == (403, "Forbidden")
        assert (await plain.get("/api/v4/account")).json()["current_user_id"] == BORIS


async def test_custom_fields_come_in_pages(api: Api) -> None:
    """The list counts items and pages; an empty page is 204."""
    body = (await api.get("leads/custom_fields", limit=10, page=2)).json()
    fields = body["_embedded"]["custom_fields"]
    assert (body["_total_items"], body["_page"], body["_page_count"], len(fields)) == (35, 2, 4, 10)
    assert body["_links"]["next"]["href"].endswith("limit=10&page=3")
    assert (await api.get("leads/custom_fields", limit=10, page=9)).status_code == 204


async def test_predefined_tracking_fields_are_addressed_by_code(api: Api) -> None:
    """A new account has nineteen tracking fields, and cannot lose them."""
    fields = (await api.get("leads/custom_fields")).json()["_embedded"]["custom_fields"]
    tracking = [field for field in fields if field["type"] == "tracking_data"]
    assert len(tracking) == 19
    assert {"UTM_SOURCE", "_YM_UID", "FBCLID"} <= {field["code"] for field in tracking}
    assert {(field["is_predefined"], field["is_deletable"]) for field in tracking} == {(True, False)}


async def test_a_field_is_made_changed_and_deleted(api: Api) -> None:
    """POST and PATCH answer 201, DELETE 204; options left out of a change are dropped."""
    item = {"name": "Офис", "type": "select", "sort": 7, "enums": [{"value": "Тула"}, {"value": "Орёл"}]}
    answer = await api.post("leads/custom_fields", [item])
    (field,) = answer.json()["_embedded"]["custom_fields"]
    assert (answer.status_code, field["name"], field["sort"], field["request_id"]) == (201, "Офис", 7, "0")
    kept = field["enums"][1]
    change = {"name": "Город офиса", "enums": [{"id": kept["id"], "value": "Орёл"}, {"value": "Уфа"}]}
    answer = await api.patch(f"leads/custom_fields/{field['id']}", change)
    changed = answer.json()
    assert (answer.status_code, changed["name"]) == (201, "Город офиса")
    assert [option["value"] for option in changed["enums"]] == ["Орёл", "Уфа"]
    assert changed["enums"][0]["id"] == kept["id"]
    answer = await api.patch("leads/custom_fields", [{"id": field["id"], "name": "Офис"}])
    assert answer.json()["_embedded"]["custom_fields"][0]["name"] == "Офис"
    assert (await api.http.delete(f"/api/v4/leads/custom_fields/{field['id']}")).status_code == 204
    assert (await api.get(f"leads/custom_fields/{field['id']}")).status_code == 404


async def test_values_of_a_deleted_field_are_no_longer_read(api: Api) -> None:
    """A field that is gone takes its values out of sight."""
    (id,) = await api.make("leads", {"custom_fields_values": [{"field_code": "FROM", "values": [{"value": "x"}]}]})
    await api.http.delete(f"/api/v4/leads/custom_fields/{api.field('FROM')}")
    assert (await api.get(f"leads/{id}")).json()["custom_fields_values"] is None


@pytest.mark.parametrize(
    ("kind", "item", "mistake"),
    [
        ("leads", {"type": "text"}, ("FieldMissing", "name")),
        ("leads", {"name": 5, "type": "text"}, ("InvalidType", "name")),
        ("leads", {"name": "x", "type": "emoji"}, ("NotSupportedChoice", "type")),
        ("leads", {"name": "x", "type": "multitext", "enums": [{"value": "a"}]}, ("NotSupportedChoice", "type")),
        ("contacts", {"name": "x", "type": "tracking_data"}, ("NotSupportedChoice", "type")),
        ("leads", {"name": "x", "type": "text", "code": "UTM_SOURCE"}, ("NotSupportedChoice", "code")),
        ("leads", {"name": "x", "type": "select"}, ("FieldMissing", "enums")),
        ("leads", {"name": "x", "type": "select", "enums": "a"}, ("InvalidType", "enums")),
        ("leads", {"name": "x", "type": "select", "enums": [{}]}, ("FieldMissing", "enums.0.value")),
        (
            "leads",
            {"name": "x", "type": "select", "enums": [{"id": 1, "value": "a"}]},
            ("NotSupportedChoice", "enums.0.id"),
        ),
    ],
)
async def test_a_bad_field_is_refused(api: Api, kind: str, item: dict[str, Any], mistake: tuple[str, str]) -> None:
    """Type, code and options are checked before a field is made."""
    assert await api.errors(f"{kind}/custom_fields", item) == {mistake}


async def test_bad_changes_of_fields_are_refused(api: Api) -> None:
    """A change needs an id, a known one, and a name that is a text."""
    assert await api.errors("leads/custom_fields", {"sort": 1}, "PATCH") == {("FieldMissing", "id")}
    id = api.field("Город")
    assert await api.errors("leads/custom_fields", {"id": id, "name": 5}, "PATCH") == {("InvalidType", "name")}
    answer = await api.patch("leads/custom_fields", [{"id": 1, "name": "x"}])
    assert answer.json() == {"errors": {"1": "Custom field not found"}}


async def test_what_this_account_does_not_have(api: Api) -> None:
    """Catalogs and events are empty; events mind an unknown `with`; loss reasons are listed."""
    assert (await api.get("catalogs")).status_code == 204
    assert (await api.get("events", **{"with": "lead_name"})).status_code == 204
    answer = await api.get("events", **{"with": "everything"})
    assert answer.status_code == 400
    assert "Invalid with parameter given" in answer.text
    reasons = (await api.get("leads/loss_reasons")).json()["_embedded"]["loss_reasons"]
    assert reasons[0] == {"id": 18_764_247, "name": "Слишком дорого"}
