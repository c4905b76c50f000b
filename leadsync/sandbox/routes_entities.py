"""Leads, contacts, companies: lists, single ones, creation, change, and `leads/complex`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from starlette.responses import Response

from .answers import embedded, entity_shown, hal, listed, nothing, self_link
from .batches import COMPLEX_LIMIT, check_all, cut_at_emoji, items_of, object_of
from .calls import Call
from .drafts import Draft
from .entities import SINGULAR, Entity
from .refusals import Refused, problem
from .replica import Replica
from .rules import Checker, ComplexChecker
from .selection import candidates, paged
from .writing import change, create, create_complex


def list_entities(replica: Replica, call: Call) -> Response:
    """`GET /api/v4/{kind}`."""
    kind, wanted = call.parts["kind"], call.wanted()
    if not replica.switches.is_api_filter_enabled:
        call.ignore_filters = True
    page = paged(candidates(call, replica.account, kind), call)
    return listed(call, kind, page, lambda entity: entity_shown(replica.account, call, entity, wanted))


def read_entity(replica: Replica, call: Call) -> Response:
    """`GET /api/v4/{kind}/{id}`: 204 when there is none."""
    entity = replica.account.shelves[call.parts["kind"]].get(call.parts["id"])
    return nothing() if entity is None else hal(entity_shown(replica.account, call, entity, call.wanted()))


def create_entities(replica: Replica, call: Call) -> Response:
    """`POST /api/v4/{kind}`: all of them or, if one is bad, none."""
    kind = call.parts["kind"]
    drafts = check_all(_prepared(replica, items_of(call.body)), Checker(replica.account, kind, new=True))
    made = [(draft, create(replica.account, draft, call.user_id)) for draft in drafts]
    return embedded(call, kind, [_created(call, draft, entity) for draft, entity in made])


def _created(call: Call, draft: Draft, entity: Entity) -> dict[str, Any]:
    body: dict[str, Any] = {"id": entity.id}
    if entity.kind == "contacts":
        body.update(is_deleted=False, is_unsorted=False)
    return {**body, "request_id": draft.request_id, "_links": self_link(f"{call.url}/{entity.id}")}


def change_entities(replica: Replica, call: Call) -> Response:
    """`PATCH /api/v4/{kind}`: unknown ids answer 400, but the good items are applied; one without id is created."""
    kind, account = call.parts["kind"], replica.account
    drafts = check_all(_prepared(replica, items_of(call.body)), Checker(account, kind, new=False))
    changed: list[Entity] = []
    unknown: dict[str, str] = {}
    for draft in drafts:
        if draft.id is None:
            changed.append(create(account, draft, call.user_id))
        elif (entity := account.shelves[kind].get(draft.id)) is not None:
            changed.append(change(account, entity, draft, call.user_id))
        else:
            unknown[str(draft.id)] = f"{SINGULAR[kind]} not found"
    if unknown:
        raise Refused(400, {"errors": unknown})
    return embedded(call, kind, [_changed(f"{call.url}/{entity.id}", entity) for entity in changed])


def change_entity(replica: Replica, call: Call) -> Response:
    """`PATCH /api/v4/{kind}/{id}`: a flat answer, 404 when there is none."""
    kind, account = call.parts["kind"], replica.account
    entity = account.shelves[kind].get(call.parts["id"])
    item = {**object_of(call.body), "id": call.parts["id"]}
    drafts = check_all(_prepared(replica, [item]), Checker(account, kind, new=False))
    if entity is None:
        raise problem(404, f"{SINGULAR[kind]} not found")
    return hal(_changed(call.url, change(account, entity, drafts[0], call.user_id)))


def _changed(href: str, entity: Entity) -> dict[str, Any]:
    body: dict[str, Any] = {"id": entity.id}
    if entity.kind != "leads":
        body["name"] = entity.facts["name"]
    return {**body, "updated_at": entity.facts["updated_at"], "_links": self_link(href)}


def create_compounds(replica: Replica, call: Call) -> Response:
    """`POST /api/v4/leads/complex`: answers a bare array, in which request_id is a list."""
    items = _prepared(replica, items_of(call.body, COMPLEX_LIMIT))
    drafts = check_all(items, ComplexChecker(replica.account))
    rows = create_complex(replica.account, drafts, call.user_id, merge=replica.switches.duplicate_control)
    shown = []
    for row in map(asdict, rows):
        keys = ("contact_id", "company_id")
        shown.append({"id": row["lead_id"], **{key: row[key] for key in keys}, "request_id": row["request_ids"]})
        shown[-1]["merged"] = row["merged"]
    return hal(shown)


def _prepared(replica: Replica, items: list[Any]) -> list[Any]:
    return cut_at_emoji(items) if replica.switches.cut_at_emoji else items
