"""Words: what the reports say of a change, the same in a terminal, in Markdown and in HTML."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo

from leadsync.mapping.desired import Origin
from leadsync.sync.changes import Change, FieldChange, Joined, Kept
from leadsync.sync.reasons import EMPTY, NEW
from leadsync.sync.results import Plan

LONGEST_EXPRESSION = 100
"""Characters of an expression that are shown; the place says where the rest stands."""

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SPACES = re.compile(r"\s+")


def visible(text: str) -> str:
    """A value as it may be shown: a talk can hold control characters that steer a terminal or turn its text around."""
    if text.isprintable() or text.replace("\n", "").isprintable():  # as most are: a tenth of the time
        return text
    return _UNSEEN.sub(_shown, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """A key or a name as it may be shown, in one line."""
    return visible(text).replace("\n", "␊")


def _shown(found: re.Match[str]) -> str:
    code = ord(found.group())
    return chr(0x2400 + code) if code < 0x20 else "␡" if code == 0x7F else "\ufffd"


def cut(text: str, most: int) -> str:
    """The text, cut for the eye, with how much more there is."""
    left = len(text) - most
    return text if left <= 0 else f"{text[:most]}… ({left} more characters)"


def title(change: Change) -> str:
    """What a change is about: `contact`, `lead 31205`, `lead 31205 gets contact 4411`."""
    if change.entity == "link":
        lead, contact = change.payload["entity_id"], change.payload["to_entity_id"]
        return f"{reference('lead', lead, change.key)} gets {reference('contact', contact, change.key)}"
    if change.entity == "note":
        target = change.payload.get("entity_id")
        return f"note in lead {target}" if isinstance(target, int) else "note"
    return f"{change.entity} {change.id}" if change.id else change.entity


def reference(entity: str, target: int | str, key: str) -> str:
    """An entity by its id, or by the record whose plan makes it."""
    if isinstance(target, int):
        return f"{entity} {target}"
    owner = target.partition(":")[2]
    return f"the new {entity}" if owner == key else f"the new {entity} of {owner}"


def company(change: Change) -> str | None:
    """The contact that a new lead belongs to, where it is not made for the same record: nothing else would tell."""
    contacts = (change.payload.get("_embedded") or {}).get("contacts") if change.entity == "lead" else None
    if not contacts or contacts[0]["id"] == f"@contact:{change.key}":
        return None
    return reference("contact", contacts[0]["id"], change.key)


def why(field: FieldChange, change: Change) -> str:
    """Why a value changes, where that says more than the change's own reason and than what stood there before."""
    if field.why and field.why not in (NEW, EMPTY, change.reason):
        return field.why
    message = f"message {field.origin.message}" if field.origin is not None and field.origin.message else ""
    return f"from {message}" if message and message not in change.reason else ""


def source_of(origin: Origin) -> str:
    """Where a value comes from: `message 7, mappings/telegram.yaml:8: {{ phone or messages | find_phone }}`."""
    expression = cut(_SPACES.sub(" ", origin.expression).strip(), LONGEST_EXPRESSION)
    place = f"{origin.place.file}:{origin.place.line}" if origin.place.line else origin.place.file
    said = place if origin.message is None else f"message {origin.message}, {place}"
    return f"{said}: {expression}" if "{" in expression else said  # a fixed text shows itself


def joins(joined: Joined) -> str:
    """Which lead a talk joins, and why."""
    return f"joins {reference('lead', joined.lead, joined.key)}"


def last_change(kept: Kept, zone: tzinfo) -> str:
    """Who changed the entity last and when, in the project's time; empty where amoCRM does not tell."""
    moment = "" if kept.at is None else f"{datetime.fromtimestamp(kept.at, zone):%d.%m.%Y %H:%M}"
    said = " ".join(filter(None, (f"by {kept.by}" if kept.by else "", f"on {moment}" if moment else "")))
    return f"the {kept.entity} was last changed {said}" if said else ""


def counts(plan: Plan) -> str:
    """The records of a plan, counted."""
    found = plan.outcomes
    return (
        f"{counted(plan.records, 'record')}: {found['create']} to create, {found['update']} to update, "
        f"{found['unchanged']} unchanged, {found['skipped']} skipped, {found['failed']} refused"
    )


def counted(number: int, noun: str) -> str:
    """`1 record`, `2 records`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def cost(plan: Plan, requests_per_second: float) -> str:
    """What a run would take: `212 requests (12 reads, 200 writes), about 33 s at 6.5 per second`."""
    seconds = plan.requests / requests_per_second
    lasting = f"about {seconds:.0f} s" if seconds >= 1 else "less than a second"
    parts = f" ({counted(plan.reads, 'read')}, {counted(plan.writes, 'write')})" if plan.reads and plan.writes else ""
    return f"{counted(plan.requests, 'request')}{parts}, {lasting} at {requests_per_second:g} per second"


def lookups(plan: Plan) -> str:
    """How people were found: `people are found by 9 pages of contacts and 2 searches`; empty where none was sought."""
    pages, searches = plan.lookups.pages, plan.lookups.searches
    parts = [counted(pages, "page") + " of contacts"] if pages else []
    parts += [f"{searches} search" if searches == 1 else f"{searches} searches"] if searches else []
    return f"people are found by {' and '.join(parts)}" if parts else ""
