"""Bodies of successful answers: hal+json with links that repeat the query, pages, created and changed items."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from starlette.responses import Response

from .account import Account
from .calls import Call
from .entities import Entity, Note
from .selection import Page

HAL_JSON = "application/hal+json"
_PAGE = re.compile(r"(^|&)page=[^&]*")


def hal(body: Any, status: int = 200) -> Response:
    """A hal+json answer."""
    return Response(orjson.dumps(body), status, media_type=HAL_JSON)


def nothing() -> Response:
    """204: amoCRM's answer for an empty list, and for an id it does not have."""
    return Response(status_code=204)


def self_link(href: str) -> dict[str, Any]:
    """`{"self": {"href": …}}`."""
    return {"self": {"href": href}}


def tail(call: Call) -> str:
    """The query that links of read items repeat."""
    return f"?{call.raw_query}" if call.raw_query else "?page=1&limit=50"


def _with_page(call: Call, number: int) -> str:
    query, replaced = _PAGE.subn(rf"\g<1>page={number}", call.raw_query)
    if not replaced:
        query = f"{query}&page={number}" if query else f"page={number}"
    return f"{call.url}?{query}"


def page_links(call: Call, page: Page[Any]) -> dict[str, Any]:
    """Links of a list; `next` is missing on the last page, `first` and `prev` on the first."""
    query = f"?{call.raw_query}" if call.raw_query else ""
    links = self_link(call.url + query)
    if page.has_next:
        links["next"] = {"href": _with_page(call, page.number + 1)}
    if page.number > 1:
        links["first"] = {"href": _with_page(call, 1)}
        links["prev"] = {"href": _with_page(call, page.number - 1)}
    return links


def listed(call: Call, name: str, page: Page[Any], show: Callable[[Any], dict[str, Any]]) -> Response:
    """One page of a list, or 204 when there is nothing on it."""
    if not page.items:
        return nothing()
    body = {"_page": page.number, "_links": page_links(call, page)}
    return hal({**body, "_embedded": {name: [show(item) for item in page.items]}})


def counted(call: Call, name: str, items: Sequence[Any], links: dict[str, Any] | None = None) -> Response:
    """A list that counts its items and has no pages (pipelines, links)."""
    return hal({"_total_items": len(items), "_links": links or self_link(call.url), "_embedded": {name: list(items)}})


def entity_shown(account: Account, call: Call, entity: Entity, wanted: set[str]) -> dict[str, Any]:
    """An entity with its links, tags and linked ids; `wanted` are the parts asked for by `with`."""
    query = tail(call)
    end = (entity.kind, entity.id)

    def linked(kind: str) -> list[dict[str, Any]]:
        shown = []
        for (_, id), link in account.links.of(end, kind):
            item: dict[str, Any] = {"id": id}
            if {entity.kind, kind} == {"leads", "contacts"} and entity.kind == "leads":
                item["is_main"] = link.is_main
            item["_links"] = self_link(f"{call.base}/api/v4/{kind}/{id}{query}")
            shown.append(item)
        return shown

    embedded: dict[str, Any] = {"tags": [account.tags[id].shown() for id in entity.tags]}
    if entity.kind != "companies":
        embedded["companies"] = linked("companies")
    for kind in ("contacts", "leads"):
        if kind != entity.kind and kind in wanted:
            embedded[kind] = linked(kind)
    if entity.kind == "leads" and "loss_reason" in wanted:
        reason = entity.facts.get("loss_reason_id")
        embedded["loss_reason"] = [{"id": reason, "name": account.loss_reasons[reason]}] if reason else []
    body = entity.shown(account.fields[entity.kind], account.id)
    body["_links"] = self_link(f"{call.base}/api/v4/{entity.kind}/{entity.id}{query}")
    body["_embedded"] = embedded
    return body


def note_shown(account: Account, call: Call, note: Note) -> dict[str, Any]:
    """A note with its link."""
    href = f"{call.base}/api/v4/{note.kind}/{note.entity_id}/notes/{note.id}{tail(call)}"
    return {**note.shown(account.id), "_links": self_link(href)}


def embedded(call: Call, name: str, items: list[dict[str, Any]], status: int = 200) -> Response:
    """The answer to a write: the made or changed items and a link to where they were sent."""
    return hal({"_links": self_link(call.url), "_embedded": {name: items}}, status)
