"""The account itself, pipelines, users, reasons of a loss, and what is only there to be empty."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from starlette.responses import Response

from .answers import counted, hal, nothing, page_links, self_link, tail
from .calls import Call
from .refusals import problem
from .replica import Replica
from .selection import DEFAULT_PAGE, Page, paged
from .settings import Pipeline, User


def read_account(replica: Replica, call: Call) -> Response:
    """`GET /api/v4/account`, with the parts asked for."""
    account, wanted = replica.account, call.wanted()
    info = {key: value for key, value in account.info.items() if key != "timezone"}
    place = ("country", "currency", "currency_symbol")
    body: dict[str, Any] = {key: value for key, value in info.items() if key not in place}
    body["current_user_id"] = call.user_id
    body.update((key, info[key]) for key in place)
    body.update(
        customers_mode="disabled",
        is_unsorted_on=True,
        mobile_feature_version=0,
        is_loss_reason_enabled=True,
        is_helpbot_enabled=False,
        is_technical_account=False,
        contact_name_display_order=1,
    )
    body.update((key, value) for key, value in _top_parts(replica).items() if key in wanted)
    parts = {key: value for key, value in _embedded_parts(replica).items() if key in wanted}
    body["_links"] = self_link(call.url)
    return hal({**body, "_embedded": parts} if parts else body)


def _top_parts(replica: Replica) -> dict[str, Any]:
    subdomain = replica.account.info["subdomain"]
    return {
        "amojo_id": str(uuid.uuid5(uuid.NAMESPACE_DNS, f"amojo.{subdomain}")),
        "uuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, subdomain)),
        "version": 12,
        "drive_url": "https://drive-b.amocrm.ru",
        "is_api_filter_enabled": replica.switches.is_api_filter_enabled,
        "entity_names": {"leads": {"ru": {"gender": "f", "plural_form": {"nominative": "Сделки"}}}},
    }


def _embedded_parts(replica: Replica) -> dict[str, Any]:
    return {
        "amojo_rights": {"can_direct": True, "can_create_groups": True},
        "users_groups": [{"id": 0, "name": "Отдел продаж", "uuid": None}],
        "task_types": [{"id": 1, "name": "Связаться", "color": None, "icon_id": None, "code": "FOLLOW_UP"}],
        "datetime_settings": {
            "date_pattern": "d.m.Y H:i",
            "short_date_pattern": "d.m.Y",
            "time_format": "H:i:s",
            "timezone": replica.account.info["timezone"],
            "timezone_offset": "+03:00",
        },
    }


def list_pipelines(replica: Replica, call: Call) -> Response:
    """`GET /api/v4/leads/pipelines`: always all of them, whatever page was asked for."""
    pipelines = replica.account.pipelines.values()
    return counted(call, "pipelines", [pipeline.shown(replica.account.id, call.url) for pipeline in pipelines])


def _pipeline(replica: Replica, call: Call) -> Pipeline:
    pipeline: Pipeline | None = replica.account.pipelines.get(call.parts["id"])
    if pipeline is None:
        raise problem(404, "Pipeline not found")
    return pipeline


def read_pipeline(replica: Replica, call: Call) -> Response:
    """`GET /api/v4/leads/pipelines/{id}`."""
    base = call.url.rpartition("/")[0]
    return hal(_pipeline(replica, call).shown(replica.account.id, base))


def list_statuses(replica: Replica, call: Call) -> Response:
    """`GET /api/v4/leads/pipelines/{id}/statuses`."""
    pipeline, base = _pipeline(replica, call), call.url.removesuffix("/statuses")
    shown = [status.shown(replica.account.id, pipeline.id, base) for status in pipeline.statuses]
    return counted(call, "statuses", shown)


def read_status(replica: Replica, call: Call) -> Response:
    """`GET /api/v4/leads/pipelines/{id}/statuses/{status_id}`."""
    pipeline = _pipeline(replica, call)
    status = pipeline.status(call.parts["status_id"])
    if status is None:
        raise problem(404, "Status not found")
    return hal(status.shown(replica.account.id, pipeline.id, call.url.rpartition("/statuses/")[0]))


def _require_admin(replica: Replica, call: Call) -> None:
    user = replica.account.users.get(call.user_id)
    if user is None or not user.is_admin:
        raise problem(403, "Forbidden")


def _user_shown(call: Call, user: User) -> dict[str, Any]:
    return user.shown(f"{call.base}/api/v4/users/{user.id}/{tail(call)}")


def list_users(replica: Replica, call: Call) -> Response:
    """`GET /api/v4/users`, for administrators only."""
    _require_admin(replica, call)
    users = list(replica.account.users.values())
    return numbered(call, "users", users, [_user_shown(call, user) for user in users], slash="/")


def read_user(replica: Replica, call: Call) -> Response:
    """`GET /api/v4/users/{id}`, for administrators only."""
    _require_admin(replica, call)
    user = replica.account.users.get(call.parts["id"])
    if user is None:
        raise problem(404, "User not found")
    return hal(_user_shown(call, user))


def numbered(call: Call, name: str, items: list[Any], shown: Iterable[dict[str, Any]], slash: str = "") -> Response:
    """A list that counts its items and its pages (users, custom fields)."""
    page: Page[dict[str, Any]] = paged(shown, call, DEFAULT_PAGE)
    if not page.items:
        return nothing()
    links = page_links(call, page)
    if slash:
        links["self"] = {"href": f"{call.url}{slash}{tail(call)}"}
    body = {"_total_items": len(items), "_page": page.number, "_page_count": -(-len(items) // page.limit)}
    return hal({**body, "_links": links, "_embedded": {name: page.items}})


def list_loss_reasons(replica: Replica, call: Call) -> Response:
    """`GET /api/v4/leads/loss_reasons`."""
    reasons = replica.account.loss_reasons.items()
    return counted(call, "loss_reasons", [{"id": id, "name": name} for id, name in reasons])


def list_nothing(replica: Replica, call: Call) -> Response:
    """`GET /api/v4/catalogs`: this account has none."""
    return nothing()
