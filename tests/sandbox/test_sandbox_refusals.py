"""What is refused, with which code and at which path."""

from __future__ import annotations

from typing import Any

import pytest
from crm import Api

from leadsync.sandbox.settings import LOST

INACTIVE = 10_451_210


@pytest.mark.parametrize(
    ("item", "mistake"),
    [
        ({"colour": "red"}, ("FieldNotExpected", "colour")),
        ({"name": 5}, ("InvalidType", "name")),
        ({"name": None}, ("InvalidType", "name")),
        ({"price": "100"}, ("InvalidType", "price")),
        ({"price": 1.5}, ("InvalidType", "price")),
        ({"price": True}, ("InvalidType", "price")),
        ({"created_at": "2025-01-01"}, ("InvalidType", "created_at")),
        ({"status_id": 1}, ("NotSupportedChoice", "status_id")),
        ({"pipeline_id": 1}, ("NotSupportedChoice", "pipeline_id")),
        ({"pipeline_id": 7_055_602, "status_id": 58_962_658}, ("NotSupportedChoice", "status_id")),
        ({"responsible_user_id": 1}, ("NotSupportedChoice", "responsible_user_id")),
        ({"responsible_user_id": 0}, ("NotSupportedChoice", "responsible_user_id")),
        ({"responsible_user_id": INACTIVE}, ("NotSupportedChoice", "responsible_user_id")),
        ({"created_by": 1}, ("NotSupportedChoice", "created_by")),
        ({"loss_reason_id": 18_764_247}, ("NotSupportedChoice", "loss_reason_id")),
        ({"status_id": LOST, "loss_reason_id": 1}, ("NotSupportedChoice", "loss_reason_id")),
        ({"tags_to_add": "бот"}, ("InvalidType", "tags_to_add")),
        ({"tags_to_add": ["бот"]}, ("InvalidType", "tags_to_add.0")),
        ({"tags_to_add": [{"name": 5}]}, ("InvalidType", "tags_to_add.0.name")),
        ({"tags_to_add": [{}]}, ("FieldMissing", "tags_to_add.0.name")),
        ({"_embedded": {"tags": [{"id": 1}]}}, ("NotSupportedChoice", "_embedded.tags.0.id")),
        ({"_embedded": {"contacts": [{"id": 1}]}}, ("NotSupportedChoice", "_embedded.contacts.0.id")),
        ({"_embedded": {"contacts": [{"name": "Иван"}]}}, ("FieldMissing", "_embedded.contacts.0.id")),
        ({"_embedded": {"companies": [{"id": 1}]}}, ("NotSupportedChoice", "_embedded.companies.0.id")),
        ({"custom_fields_values": {}}, ("InvalidType", "custom_fields_values")),
        ({"custom_fields_values": [5]}, ("InvalidType", "custom_fields_values.0")),
        ({"custom_fields_values": [{"values": []}]}, ("NotSupportedChoice", "custom_fields_values.0.field_id")),
        (
            {"custom_fields_values": [{"field_id": 1, "values": []}]},
            ("NotSupportedChoice", "custom_fields_values.0.field_id"),
        ),
        (
            {"custom_fields_values": [{"field_code": "NO", "values": []}]},
            ("NotSupportedChoice", "custom_fields_values.0.field_code"),
        ),
        (
            {"custom_fields_values": [{"field_code": "FROM", "values": "x"}]},
            ("InvalidType", "custom_fields_values.0.values"),
        ),
        (
            {"custom_fields_values": [{"field_code": "FROM", "values": ["x"]}]},
            ("InvalidType", "custom_fields_values.0.values.0"),
        ),
        (
            {"custom_fields_values": [{"field_code": "FROM", "values": [], "sort": 1}]},
            ("FieldNotExpected", "custom_fields_values.0.sort"),
        ),
    ],
)
async def test_a_bad_lead_is_refused(api: Api, item: dict[str, Any], mistake: tuple[str, str]) -> None:
    """Each mistake has its code, and a path inside the item."""
    assert await api.errors("leads", item) == {mistake}


@pytest.mark.parametrize(
    ("kind", "item", "mistake"),
    [
        ("contacts", {"price": 5}, ("FieldNotExpected", "price")),
        ("contacts", {"first_name": 5}, ("InvalidType", "first_name")),
        ("companies", {"first_name": "Иван"}, ("FieldNotExpected", "first_name")),
        ("companies", {"status_id": 142}, ("FieldNotExpected", "status_id")),
    ],
)
async def test_each_kind_has_keys_of_its_own(api: Api, kind: str, item: Any, mistake: tuple[str, str]) -> None:
    """A key of another kind is not expected."""
    assert await api.errors(kind, item) == {mistake}


async def test_an_id_of_a_change_must_be_a_number(api: Api) -> None:
    """A PATCH item with a text for an id is refused."""
    assert await api.errors("leads", {"id": "5"}, "PATCH") == {("InvalidType", "id")}


async def test_bad_items_are_named_by_request_id_or_index(api: Api) -> None:
    """The refusal lists every bad item, by its request_id or its index as a string, and no good one."""
    answer = await api.post("leads", [{"price": "a"}, {"name": "ok"}, {"request_id": "k", "price": "b"}, 5])
    assert [refused["request_id"] for refused in answer.json()["validation-errors"]] == ["0", "k", "3"]


@pytest.mark.parametrize("body", [b"", b"  ", b"[]", b"{}"])
@pytest.mark.parametrize("path", ["leads", "contacts", "companies", "leads/complex", "leads/notes", "leads/tags"])
async def test_an_empty_body_is_refused(api: Api, path: str, body: bytes) -> None:
    """Nothing to write answers 400 in words of its own."""
    answer = await api.http.post(f"/api/v4/{path}", content=body)
    assert (answer.status_code, answer.json()["detail"]) == (400, "Request data can not be empty")


async def test_broken_json_and_wrong_containers_are_refused(api: Api) -> None:
    """A body that does not parse, an object for a batch, an array for a single change."""
    (id,) = await api.make("leads", {})
    assert (await api.http.post("/api/v4/leads", content=b"{")).json()["detail"] == "Syntax error"
    for answer in (await api.post("leads", {"name": "x"}), await api.patch(f"leads/{id}", [{"name": "x"}])):
        assert answer.status_code == 400
        assert answer.json()["validation-errors"][0]["errors"][0]["code"] == "InvalidType"
    assert (await api.patch(f"leads/{id}", {})).json()["detail"] == "Request data can not be empty"


@pytest.mark.parametrize("kind", ["leads", "contacts", "companies"])
async def test_two_hundred_and_fifty_are_the_most(api: Api, kind: str) -> None:
    """250 items pass, 251 answer 422."""
    assert (await api.post(kind, [{}] * 250)).status_code == 200
    answer = await api.post(kind, [{}] * 251)
    assert (answer.status_code, answer.json()["detail"]) == (422, "Limit 250 per page")
    assert len(api.sandbox.account.shelves[kind]) == 250


async def test_unknown_addresses_answer_404(api: Api) -> None:
    """The detail repeats method and address; posting notes without an entity type is no route."""
    answer = await api.post("notes", [{}])
    assert answer.status_code == 404
    assert answer.json()["detail"].startswith("Cannot POST https://127.0.0.1")
    assert answer.headers["content-type"] == "application/problem+json"
