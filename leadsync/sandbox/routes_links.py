"""Tags, and links between entities, for one entity and in masses."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from .answers import counted, embedded, listed, nothing
from .batches import check_all, items_of
from .calls import Call
from .drafts import LinkDraft
from .link_rules import LinkChecker
from .links import Link
from .refusals import Mistakes, problem, unknown_error
from .replica import Replica
from .selection import conditions, paged


def list_links(replica: Replica, call: Call) -> Response:
    """`GET /api/v4/{kind}/{id}/links`: the main contact reads as `metadata.main_contact`."""
    account, kind, id = replica.account, call.parts["kind"], call.parts["id"]
    if id not in account.shelves[kind]:
        raise problem(404, "Entity not found")
    return counted(call, "links", [_shown(end, link) for end, link in account.links.of((kind, id))])


def list_mass_links(replica: Replica, call: Call) -> Response:
    """`GET /api/v4/{kind}/links?filter[entity_id][]=…`: rows also name the entity they start at."""
    kind, asked = call.parts["kind"], conditions(call).get("entity_id", {})
    ids = [int(id) for id in (asked[""].values if "" in asked else ()) if id.isdecimal()]
    rows = [
        {"entity_id": id, "entity_type": kind, **_shown(end, link)}
        for id in ids
        for end, link in replica.account.links.of((kind, id))
    ]
    return counted(call, "links", rows)


def _shown(end: tuple[str, int], link: Link) -> dict[str, Any]:
    metadata = {"main_contact": link.is_main} if end[0] == "contacts" else None
    return {"to_entity_id": end[1], "to_entity_type": end[0], "metadata": metadata}


def link(replica: Replica, call: Call) -> Response:
    """`POST /api/v4/{kind}/{id}/link` and `POST /api/v4/{kind}/link`."""
    account, kind = replica.account, call.parts["kind"]
    drafts = check_all(items_of(call.body), LinkChecker(account, kind, call.parts.get("id")))
    ends = [((kind, draft.entity_id), (draft.to_kind, draft.to_id)) for draft in drafts]
    if replica.switches.relink_fails and any(account.links.between(*pair) for pair in ends):
        raise unknown_error()
    for draft, (one, other) in zip(drafts, ends, strict=True):
        account.link(one, other, bool((draft.metadata or {}).get("is_main")))
    return counted(call, "links", [_linked(kind, draft) for draft in drafts])


def _linked(kind: str, draft: LinkDraft) -> dict[str, Any]:
    return {
        "entity_id": draft.entity_id,
        "entity_type": kind,
        "to_entity_id": draft.to_id,
        "to_entity_type": draft.to_kind,
        "metadata": draft.metadata,
    }


def unlink(replica: Replica, call: Call) -> Response:
    """`POST /api/v4/{kind}/{id}/unlink` and `POST /api/v4/{kind}/unlink`: 204."""
    account, kind = replica.account, call.parts["kind"]
    for draft in check_all(items_of(call.body), LinkChecker(account, kind, call.parts.get("id"))):
        account.unlink((kind, draft.entity_id), (draft.to_kind, draft.to_id))
    return nothing()


def list_tags(replica: Replica, call: Call) -> Response:
    """`GET /api/v4/{kind}/tags`, by `query`, `filter[name]` and `filter[id]`."""
    asked, query = conditions(call), call.param("query").casefold()
    tags = [tag for tag in replica.account.tags.values() if tag.kind == call.parts["kind"]]
    tags = [tag for tag in tags if query in tag.name.casefold()]
    for name in ("id", "name"):
        if "" in (places := asked.get(name, {})):
            tags = [tag for tag in tags if places[""].holds(getattr(tag, name))]
    return listed(call, "tags", paged(tags, call), lambda tag: tag.shown())


def create_tags(replica: Replica, call: Call) -> Response:
    """`POST /api/v4/{kind}/tags`: a name that exists answers with its id."""

    def check(item: dict[str, Any], request_id: str, mistakes: Mistakes) -> tuple[dict[str, Any], str]:
        if not isinstance(item.get("name"), str):
            mistakes.missing("name") if "name" not in item else mistakes.type("name", "string")
        return item, request_id

    kind = call.parts["kind"]
    checked = check_all(items_of(call.body), check)
    tags = [(replica.account.tag(kind, item["name"], item.get("color")), name) for item, name in checked]
    return embedded(call, "tags", [{**tag.shown(), "request_id": name} for tag, name in tags])
