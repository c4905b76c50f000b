"""Saved plans as tests handle them: made, read, applied, and compared with what reached the CRM."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from leadsync.errors import StartRefused
from leadsync.state.links import load_links
from leadsync.sync.results import Plan, RunReport
from tests.world import NAMES, World

ROUTES = {
    ("contact", "create"): ("POST", "/api/v4/contacts"),
    ("contact", "update"): ("PATCH", "/api/v4/contacts"),
    ("lead", "create"): ("POST", "/api/v4/leads"),
    ("lead", "update"): ("PATCH", "/api/v4/leads"),
    ("link", "create"): ("POST", "/api/v4/leads/link"),
    ("note", "create"): ("POST", "/api/v4/leads/notes"),
}
"""Where the items of a plan go; the notes of these tests belong to leads."""

Call = tuple[str, str]


def plan_file(world: World) -> Path:
    """Where these tests save their plan."""
    return world.folder / "plan.json"


async def save(world: World, **selection: Any) -> dict[str, Any]:
    """Make a plan and save it; the document."""
    await planned(world, out=plan_file(world), **selection)
    document: dict[str, Any] = orjson.loads(plan_file(world).read_bytes())
    return document


async def planned(world: World, **more: Any) -> Plan:
    """What a run would do."""
    async with world.pipeline() as pipeline:
        return await pipeline.plan(**more)


async def apply(world: World, **more: Any) -> RunReport:
    """Send the saved plan."""
    async with world.pipeline() as pipeline:
        return await pipeline.run(plan=plan_file(world), **more)


async def refusal(world: World, **more: Any) -> str:
    """What is said when the saved plan is not sent; nothing reached the CRM that changes it."""
    before = len(world.writes())
    with pytest.raises(StartRefused) as refused:
        await apply(world, **more)
    assert len(world.writes()) == before
    return str(refused.value)


def saved_items(document: Mapping[str, Any]) -> dict[Call, list[dict[str, Any]]]:
    """The payloads of a saved plan, or of `dry-run --format json`, by the call that carries them."""
    records = document.get("records") or [{"changes": document["changes"]}]
    items: dict[Call, list[dict[str, Any]]] = {}
    for change in (change for one in records for change in one["changes"]):
        items.setdefault(ROUTES[change["entity"], change["action"]], []).append(change["payload"])
    return items


def sent_items(world: World, since: int = 0) -> dict[Call, list[dict[str, Any]]]:
    """The items that reached the CRM in writes, after so many of them, by call."""
    items: dict[Call, list[dict[str, Any]]] = {}
    for one in world.writes()[since:]:
        items.setdefault((one.method, one.path), []).extend(one.body)
    return items


async def made_ids(world: World, document: Mapping[str, Any]) -> dict[str, int]:
    """The ids that stand now for the references of a plan."""
    keys = list({one["key"] for one in document.get("records") or document["changes"]})
    links = await load_links(world.redis, NAMES, keys)
    ids = {f"@contact:{key}": link.contact_id for key, link in links.items()}
    ids |= {f"@lead:{key}": link.lead_id for key, link in links.items()}
    return {reference: id_ for reference, id_ in ids.items() if id_ is not None}


async def assert_sent(world: World, document: Mapping[str, Any], since: int = 0) -> None:
    """What reached the CRM after so many writes is what the plan holds: item by item, byte for byte, in its order."""
    ids, planned_items, items = await made_ids(world, document), saved_items(document), sent_items(world, since)
    assert items.keys() == planned_items.keys()
    for call, payloads in planned_items.items():
        expected = [orjson.dumps(with_ids(one, ids)) for one in payloads]
        assert [orjson.dumps(one) for one in items[call]] == expected, call


def with_ids(payload: Mapping[str, Any], ids: Mapping[str, int]) -> dict[str, Any]:
    """A payload with the ids of what was made in place of `@contact:KEY` and `@lead:KEY`, told by reading the text."""
    text = orjson.dumps(payload).decode()
    for reference, id_ in ids.items():
        text = text.replace(f'"{reference}"', str(id_))
    item: dict[str, Any] = orjson.loads(text)
    return item
