"""Links: what we know about each record's key (several may share a lead), and what we wrote into contacts and leads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from leadsync.state.namespace import Namespace
from leadsync.state.redis import state_errors


@dataclass(frozen=True, slots=True)
class Link:
    """What one record's key is in the CRM.

    `linked` is the contact that the lead is linked to; `said_contact` and `said_lead` are digests of what the record
    wanted when it was last accepted; `noted` tells which messages stand in notes; `parts` holds, by number, the digest
    of the long note whose part of that number was accepted. `restored` is true for what came back from the account:
    which messages stand in its notes is not known then. `gone` is true once a person deleted the lead in the CRM.
    """

    lead_id: int | None = None
    contact_id: int | None = None
    linked: int | None = None
    said_contact: str = ""
    said_lead: str = ""
    noted: str = ""
    parts: Mapping[int, str] = field(default_factory=dict)
    restored: bool = False
    gone: bool = False


@dataclass(frozen=True, slots=True)
class RestoredLink:
    """What a lead in the account says about a record's key."""

    key: str
    lead_id: int
    contact_id: int | None


NO_LINK = Link()

# One step, for who dies between two would leave a lead whose notes are made again. The contact is linked only: whether
# it is the record's own person is for the matcher to verify.
RESTORE = """
if redis.call('HSETNX', KEYS[1], 'lead', ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'restored', '1')
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'linked', ARGV[2]) end
redis.call('HSET', KEYS[2], 'made', '1')
return 1
"""


AT_ONCE = 1000
"""Hashes that are asked for at a time, so that others get their word in."""

# KEYS: names of hashes. Answers what each holds, in one answer: a client reads it faster than one for each.
HASHES = """
local found = {}
for number, name in ipairs(KEYS) do found[number] = redis.call('HGETALL', name) end
return found
"""


def link_hash(key: str) -> str:
    """The name of a key's hash, for facts."""
    return f"link:{key}"


def key_of(name: str) -> str | None:
    """The key whose hash has this name; None for another hash."""
    return name.removeprefix("link:") if name.startswith("link:") else None


def wrote_hash(entity: str, entity_id: int | str) -> str:
    """The name of the hash that says what we wrote into an entity, by slot: digest of the value, owner's digest."""
    return f"wrote:{entity}:{entity_id}"


def leads_hash(contact: int | str) -> str:
    """The name of the hash that says which leads we made last for a contact: pipeline id, lead id."""
    return f"leads:{contact}"


def contact_of(name: str) -> str | None:
    """The contact whose leads a hash of this name says; None for another hash."""
    return name.removeprefix("leads:") if name.startswith("leads:") else None


def _number(raw: Mapping[bytes, bytes], name: bytes) -> int | None:
    value = raw.get(name)
    return int(value) if value else None


def _link(raw: Mapping[bytes, bytes]) -> Link:
    if not raw:
        return NO_LINK
    return Link(
        lead_id=_number(raw, b"lead"),
        contact_id=_number(raw, b"contact"),
        linked=_number(raw, b"linked"),
        said_contact=raw.get(b"said_contact", b"").decode(),
        said_lead=raw.get(b"said_lead", b"").decode(),
        noted=raw.get(b"noted", b"").decode(),
        gone=raw.get(b"gone") == b"1",
        restored=raw.get(b"restored") == b"1",
        parts={int(name[4:]): value.decode() for name, value in raw.items() if name.startswith(b"part")},
    )


async def load_links(redis: Redis, names: Namespace, keys: Sequence[str]) -> dict[str, Link]:
    """The links of many keys in few round trips; a key never seen has an empty one. Raises StateUnavailable."""
    found = await _hashes(redis, [names.name(link_hash(key)) for key in keys])
    return {key: _link(raw) for key, raw in zip(keys, found, strict=True)}


async def restore_links(redis: Redis, names: Namespace, links: Sequence[RestoredLink]) -> int:
    """Give keys that have no lead the one the account has for them; how many there were. Raises StateUnavailable."""
    if not links:
        return 0
    async with state_errors(), redis.pipeline(transaction=False) as pipe:
        for one in links:
            link, wrote = names.name(link_hash(one.key)), names.name(wrote_hash("lead", one.lead_id))
            pipe.eval(RESTORE, 2, link, wrote, one.lead_id, one.contact_id or "")
        return sum(await pipe.execute())


async def load_leads_of(redis: Redis, names: Namespace, contacts: Sequence[int]) -> dict[int, set[int]]:
    """The leads we made last for many contacts, one in a pipeline, by contact id. Raises StateUnavailable."""
    found = await _hashes(redis, [names.name(leads_hash(one)) for one in contacts])
    return {one: {int(id_) for id_ in raw.values()} for one, raw in zip(contacts, found, strict=True)}


async def load_wrote(redis: Redis, names: Namespace, entity: str, ids: Iterable[int]) -> dict[int, dict[str, str]]:
    """What we wrote into many contacts or leads, by id and slot. Raises StateUnavailable."""
    wanted = list(ids)
    found = await _hashes(redis, [names.name(wrote_hash(entity, one)) for one in wanted])
    return {
        one: {name.decode(): value.decode() for name, value in raw.items()}
        for one, raw in zip(wanted, found, strict=True)
    }


async def _hashes(redis: Redis, full_names: Sequence[str]) -> list[dict[bytes, bytes]]:
    hashes: list[dict[bytes, bytes]] = []
    for start in range(0, len(full_names), AT_ONCE):
        some = full_names[start : start + AT_ONCE]
        async with state_errors():
            found: Any = await redis.eval(HASHES, len(some), *some)
        hashes += [dict(zip(flat[::2], flat[1::2], strict=True)) for flat in found]
    return hashes
