"""What holds whatever happens: one contact per person, one lead per key, each message in one note."""

from __future__ import annotations

import re
from collections.abc import Iterable

from leadsync.state.links import load_links
from tests.promises.crowd import Crowd, Talk
from tests.world import NAMES, World

_PART = re.compile(r"\(\d+/\d+\)")


async def assert_kept(world: World, crowd: Crowd) -> None:
    """The account holds everything of the crowd once, in its place, and nothing else; nothing waits in the journal."""
    assert not await world.redis.exists(NAMES.name("journal"))
    contacts = _contact_ids(world, crowd)
    await assert_leads(world, crowd.talks, contacts)


def _contact_ids(world: World, crowd: Crowd) -> dict[tuple[str, str], int]:
    """The contact of each person, by what the person is known by; it holds phone and e-mail."""
    shown = {one["id"]: one["fields"] for one in world.contacts()}
    found: dict[tuple[str, str], int] = {}
    for customer in crowd.seen:
        told = customer.told
        (contact_id,) = (id_ for id_, fields in shown.items() if told.items() <= fields.items())
        found[customer.known_by] = contact_id
    assert len(set(found.values())) == len(shown)
    return found


async def assert_leads(world: World, talks: Iterable[Talk], contacts: dict[tuple[str, str], int]) -> None:
    """Each talk has a lead of its own with its own values, its person and its messages."""
    talks = list(talks)
    links = await load_links(world.redis, NAMES, [one.key for one in talks])
    leads = {one["id"]: one for one in world.leads()}
    assert sorted(leads) == sorted(one.lead_id or 0 for one in links.values())
    notes = notes_of(world)
    for talk in talks:
        lead = leads[links[talk.key].lead_id or 0]
        person = [contacts[talk.customer.known_by]] if talk.customer else []
        assert (talk.key, lead["contacts"]) == (talk.key, person)
        assert (talk.key, lead["price"]) == (talk.key, talk.stored.get("budget") or 0)
        assert (talk.key, lead["fields"].get("Продукт")) == (talk.key, talk.stored.get("product_interest"))
        assert (talk.key, notes.get(lead["id"])) == (talk.key, talk.lines)


def notes_of(world: World) -> dict[int, list[str]]:
    """The lines of each lead's notes, in order, without the numbers of parts."""
    lines: dict[int, list[str]] = {}
    for lead_id, text in world.notes():
        said = (one.strip() for one in text.split("\n"))
        lines.setdefault(lead_id, []).extend(one for one in said if one and not _PART.fullmatch(one))
    return lines
