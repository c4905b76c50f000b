"""Custom fields: list, make, change, delete (amoCRM docs: crm_platform/custom-fields)."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from .account import Account
from .answers import embedded, hal, nothing, tail
from .batches import check_all, items_of, object_of
from .calls import Call
from .fields import LEADS_ONLY, NOT_ON_LEADS, TYPES, WITH_OPTIONS, Field, Option
from .refusals import Mistakes, Refused, problem
from .replica import Replica
from .routes_settings import numbered


def list_fields(replica: Replica, call: Call) -> Response:
    """`GET /api/v4/{kind}/custom_fields`: 50 to a page unless asked otherwise."""
    fields = list(replica.account.fields[call.parts["kind"]])
    return numbered(call, "custom_fields", fields, (_shown(replica.account, call, field) for field in fields))


def read_field(replica: Replica, call: Call) -> Response:
    """`GET /api/v4/{kind}/custom_fields/{id}`."""
    return hal(_shown(replica.account, call, _field(replica, call)))


def _field(replica: Replica, call: Call) -> Field:
    field = replica.account.fields[call.parts["kind"]].get(call.parts["id"])
    if field is None:
        raise problem(404, "Custom field not found")
    return field


def _shown(account: Account, call: Call, field: Field) -> dict[str, Any]:
    href = f"{call.base}/api/v4/{field.entity}/custom_fields/{field.id}{tail(call)}"
    return field.shown(account.id, href)


def create_fields(replica: Replica, call: Call) -> Response:
    """`POST /api/v4/{kind}/custom_fields`: 201."""
    account, kind = replica.account, call.parts["kind"]

    def check(item: dict[str, Any], request_id: str, mistakes: Mistakes) -> dict[str, Any]:
        _check_new(account, kind, item, mistakes)
        return {**item, "request_id": request_id}

    items = check_all(items_of(call.body), check)
    made = [(item, _create(account, kind, item)) for item in items]
    shown = [{**_shown(account, call, field), "request_id": item["request_id"]} for item, field in made]
    return embedded(call, "custom_fields", shown, 201)


def _check_new(account: Account, kind: str, item: dict[str, Any], mistakes: Mistakes) -> None:
    for key in ("name", "type"):
        if key not in item:
            mistakes.missing(key)
    _check_plain(item, mistakes)
    wrong = NOT_ON_LEADS if kind == "leads" else LEADS_ONLY
    if isinstance(item.get("type"), str):
        if item["type"] not in TYPES - wrong:
            mistakes.choice("type")
        if item["type"] in WITH_OPTIONS and not item.get("enums"):
            mistakes.missing("enums")
    if account.fields[kind].coded(item.get("code")):
        mistakes.choice("code")
    _check_enums(None, item.get("enums"), mistakes)


def _check_plain(item: dict[str, Any], mistakes: Mistakes) -> None:
    for key, wanted, name in (
        ("name", str, "string"),
        ("type", str, "string"),
        ("code", str | None, "string"),
        ("sort", int, "int"),
    ):
        if key in item and not isinstance(item[key], wanted):
            mistakes.type(key, name)


def _check_enums(field: Field | None, enums: Any, mistakes: Mistakes) -> None:
    if enums is None:
        return
    if not isinstance(enums, list):
        mistakes.type("enums", "array")
        return
    for index, enum in enumerate(enums):
        if not isinstance(enum, dict) or not isinstance(enum.get("value"), str):
            mistakes.missing(f"enums.{index}.value")
        elif enum.get("id") is not None and (field is None or field.option(id=enum["id"]) is None):
            mistakes.choice(f"enums.{index}.id")


def _options(account: Account, enums: list[dict[str, Any]]) -> list[Option]:
    return [
        Option(enum.get("id") or account.next_id("options"), enum["value"], enum.get("sort", 500 + n), enum.get("code"))
        for n, enum in enumerate(enums)
    ]


def _create(account: Account, kind: str, item: dict[str, Any]) -> Field:
    options = _options(account, item.get("enums") or [])
    field = Field(account.next_id("fields"), kind, item["name"], item["type"], item.get("code"), options=options)
    field.sort = item.get("sort", field.sort)
    account.put_field(field)
    return field


def change_fields(replica: Replica, call: Call) -> Response:
    """`PATCH /api/v4/{kind}/custom_fields`: options whose ids are left out are dropped, a stale id is refused."""
    account, kind = replica.account, call.parts["kind"]
    items = check_all(items_of(call.body), _change_check(account, kind))
    unknown = {str(item["id"]): "Custom field not found" for item in items if not account.fields[kind].get(item["id"])}
    if unknown:
        raise Refused(400, {"errors": unknown})
    shown = [_shown(account, call, _change(account, kind, item)) for item in items]
    return embedded(call, "custom_fields", shown, 201)


def change_field(replica: Replica, call: Call) -> Response:
    """`PATCH /api/v4/{kind}/custom_fields/{id}`."""
    account, kind = replica.account, call.parts["kind"]
    _field(replica, call)
    item = {**object_of(call.body), "id": call.parts["id"]}
    check_all([item], _change_check(account, kind))
    return hal(_shown(account, call, _change(account, kind, item)), 201)


def _change_check(account: Account, kind: str) -> Any:
    def check(item: dict[str, Any], request_id: str, mistakes: Mistakes) -> dict[str, Any]:
        field = account.fields[kind].get(item.get("id"))
        if "id" not in item:
            mistakes.missing("id")
        _check_plain(item, mistakes)
        if field is not None:
            _check_enums(field, item.get("enums"), mistakes)
        return item

    return check


def _change(account: Account, kind: str, item: dict[str, Any]) -> Field:
    field = account.fields[kind].get(item["id"])
    assert field is not None
    for key in ("name", "sort", "is_api_only"):
        if key in item:
            setattr(field, key, item[key])
    if item.get("enums") is not None:
        field.options = _options(account, item["enums"])
    account.put_field(field)
    return field


def delete_field(replica: Replica, call: Call) -> Response:
    """`DELETE /api/v4/{kind}/custom_fields/{id}`: 204."""
    replica.account.remove_field(_field(replica, call))
    return nothing()
