"""Catalogue: what the account calls its fields, pipelines, statuses and users; names → ids, exactly or not at all.

A field found by a part of its name once put a manager's name into «Телефон менеджера» (peers.md): names must be equal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeVar

import orjson
from pydantic import TypeAdapter

from leadsync.amocrm.entities import EntityType
from leadsync.amocrm.entries import LOST, WON, Account, CustomField, FieldOption, Pipeline, Status, User
from leadsync.amocrm.near_names import folded, meant, nearest
from leadsync.errors import ConfigurationError

if TYPE_CHECKING:
    from leadsync.amocrm.client import AmoCRMClient

__all__ = [
    "FORMAT",
    "LOST",
    "WON",
    "Account",
    "Catalogue",
    "CustomField",
    "FieldOption",
    "NameNotFound",
    "Pipeline",
    "Status",
    "User",
    "load",
]

SEE_FIELDS = "`leadsync fields` lists what the account has"

FORMAT: Final = 1
"""Of the JSON of a catalogue; another one is not read. It rises with every change of what an entry holds."""

ENTITIES: tuple[EntityType, ...] = ("leads", "contacts", "companies")

WRITTEN_UNDER: Mapping[EntityType, str] = {
    "leads": "write it under lead.fields",
    "contacts": "write it under contact.fields",
    "companies": "a mapping fills no companies",
}
"""Where a mapping fills the fields of an entity."""

OWN_KEYS: Mapping[tuple[EntityType, str], str] = {
    ("contacts", "PHONE"): "write it as contact.phone",
    ("contacts", "EMAIL"): "write it as contact.email",
}
"""Fields, by their codes, that have keys of their own in a mapping."""


class NameNotFound(ConfigurationError):
    """A name, code or id that the account does not have, that cannot be used, or that several of its things share."""


class Catalogue:
    """Everything of an account that a mapping can name. The finders raise NameNotFound with what to do.

    What was found once is found at once: these are asked for every value of every record. A newer catalogue can take
    the place of an older one for everybody who holds it (`become`).
    """

    __slots__ = ("_fields", "_pipelines", "_statuses", "_users", "account", "fields", "pipelines", "users")

    def __init__(
        self,
        account: Account,
        fields: tuple[CustomField, ...],
        pipelines: tuple[Pipeline, ...],
        users: tuple[User, ...],
    ) -> None:
        self._take(account, fields, pipelines, users)

    def _take(
        self,
        account: Account,
        fields: tuple[CustomField, ...],
        pipelines: tuple[Pipeline, ...],
        users: tuple[User, ...],
    ) -> None:
        self.account = account
        self.fields = fields
        self.pipelines = pipelines
        self.users = users
        self._fields: dict[tuple[EntityType, str], CustomField] = {}
        self._pipelines: dict[str, Pipeline] = {}
        self._statuses: dict[tuple[int, str], Status] = {}
        self._users: dict[str, User] = {}

    def become(self, newer: Catalogue) -> None:
        """Hold from now on what `newer` holds, in place."""
        self._take(newer.account, newer.fields, newer.pipelines, newer.users)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Catalogue) and self._parts == other._parts

    __hash__ = None  # type: ignore[assignment]  # it changes in place

    @property
    def _parts(self) -> tuple[object, ...]:
        return self.account, self.fields, self.pipelines, self.users

    # Finders

    def field(self, entity: EntityType, name: str | int) -> CustomField:
        """A custom field by id, then code, then exact name."""
        plain = _plain(name)
        found = self._fields.get((entity, plain))
        if found is None:
            found = self._fields[entity, plain] = self._field(entity, plain)
        return found

    def _field(self, entity: EntityType, name: str) -> CustomField:
        found = _fields_named([one for one in self.fields if one.entity == entity], name)
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(f"{one.id} ({one.type})" for one in found)
            raise NameNotFound(f"more than one field of {entity} is named «{name}»", do=f"give one of the ids {ids}")
        raise self._no_field(entity, name)

    def _no_field(self, entity: EntityType, name: str) -> NameNotFound:
        """A field of that very name elsewhere, else the nearest one here, else the nearest one elsewhere."""
        others = [other for other in ENTITIES if other != entity]
        near = nearest(name, self._field_names(entity))
        if near is None or folded(near) != folded(name):
            for other in others:
                if found := _fields_named([one for one in self.fields if one.entity == other], name):
                    do = OWN_KEYS.get((other, found[0].code or ""), WRITTEN_UNDER[other])
                    return NameNotFound(f"«{name}» is a field of {other}, not of {entity}", do=do)
        what = f"the account has no field of {entity} named «{name}»"
        if near is not None:
            return NameNotFound(what, do=f"{meant(name, near, self._told(entity, near))} {SEE_FIELDS}")
        for other in others:
            there = nearest(name, self._field_names(other))
            if there is not None:
                return NameNotFound(what, do=f"{meant(name, there, self._told(other, there))} {WRITTEN_UNDER[other]}")
        return NameNotFound(what, do=SEE_FIELDS)

    def _field_names(self, entity: EntityType) -> list[str]:
        known = (one for one in self.fields if one.entity == entity)
        return [text for one in known for text in (one.name, one.code) if text]

    def _told(self, entity: EntityType, name: str) -> str:
        """Which field a name means, in brackets: its entity, type and id."""
        found = _fields_named([one for one in self.fields if one.entity == entity], name.strip())
        return f" ({entity}, {' or '.join(f'{one.type}, id {one.id}' for one in found)})"

    def pipeline(self, name: str | int) -> Pipeline:
        """A pipeline by id or exact name; an archived one only by id."""
        plain = _plain(name)
        found = self._pipelines.get(plain)
        if found is None:
            found = self._pipelines[plain] = self._pipeline(plain)
        return found

    def _pipeline(self, name: str) -> Pipeline:
        living = [one for one in self.pipelines if not one.is_archive]
        found = [one for one in self.pipelines if str(one.id) == name] or _named(living, name)
        if len(found) == 1:
            return found[0]
        if found:
            raise NameNotFound(f"more than one pipeline is named «{name}»", do=_give_an_id(found))
        if archived := _named(self.pipelines, name):
            do = f"take it out of the archive in amoCRM, or name one of {_listed(living)}"
            raise NameNotFound(f"the pipeline «{archived[0].name}» (id {archived[0].id}) is archived", do=do)
        raise NameNotFound(f"the account has no pipeline named «{name}»", do=_advice(name, living))

    def main_pipeline(self) -> Pipeline:
        """The pipeline that new leads go to when nothing is said."""
        for pipeline in self.pipelines:
            if pipeline.is_main:
                return pipeline
        raise NameNotFound("the account shows no main pipeline", do="name a pipeline in the mapping")

    def status(self, pipeline: Pipeline, name: str | int) -> Status:
        """A stage of a pipeline by id or exact name."""
        plain = _plain(name)
        found = self._statuses.get((pipeline.id, plain))
        if found is None:
            found = self._statuses[pipeline.id, plain] = self._status(pipeline, plain)
        return found

    def _status(self, pipeline: Pipeline, name: str) -> Status:
        found = [one for one in pipeline.statuses if str(one.id) == name] or _named(pipeline.statuses, name)
        if len(found) == 1:
            return found[0]
        kind = f"status of pipeline «{pipeline.name}»"
        if found:
            raise NameNotFound(f"more than one {kind} is named «{name}»", do=_give_an_id(found))
        having = self.pipelines_with(name)
        elsewhere = [one for one in having if not one.is_archive] or having
        if elsewhere:
            do = f"name that pipeline, or a status of «{pipeline.name}»: {_listed(pipeline.statuses)}"
            raise NameNotFound(f"«{name}» is a status of {_listed(elsewhere)}, not of «{pipeline.name}»", do=do)
        raise NameNotFound(f"the account has no {kind} named «{name}»", do=_advice(name, pipeline.statuses))

    def pipelines_with(self, status: str | int) -> list[Pipeline]:
        """The pipelines that have a status of this id or exact name."""
        plain = _plain(status)
        return [
            one
            for one in self.pipelines
            if any(str(step.id) == plain or step.name.strip() == plain for step in one.statuses)
        ]

    def user(self, name: str | int) -> User:
        """An active user by id, e-mail (in any case) or exact name. The error does not repeat the name: a person's.

        A token that is no administrator's sees no users: then any id is taken.
        """
        plain = _plain(name)
        found = self._users.get(plain)
        if found is None:
            found = self._users[plain] = self._user(plain)
        return found

    def _user(self, name: str) -> User:
        if not self.users:
            if name.isdecimal():
                return User(int(name), f"user {name}", "", True)
            do = "give the user's id: only an administrator's token may list the users"
            raise NameNotFound("the account's users are not visible to this token", do=do)
        found = (
            [one for one in self.users if str(one.id) == name]
            or _named(self.users, name)
            or [one for one in self.users if one.email.lower() == name.lower()]
        )
        active = [one for one in found if one.is_active]
        if len(active) == 1:
            return active[0]
        if active:
            raise NameNotFound("several users of the account have this name", do=_give_an_id(active))
        if found:
            do = "activate the user in amoCRM, or name another one; `leadsync fields` says who is active"
            raise NameNotFound("this user is not active any more and cannot be responsible", do=do)
        do = SEE_FIELDS
        near = nearest(name, [text for one in self.users for text in (one.name, one.email)])
        if near is not None and folded(near) == folded(name):
            do = f"upper and lower case and spaces of a name count; {SEE_FIELDS}"
        raise NameNotFound("no user of the account has this id, e-mail or name", do=do)

    # Keeping

    def to_json(self) -> bytes:
        """The catalogue as JSON, for a cache."""
        return orjson.dumps(_Kept(FORMAT, self.account, self.fields, self.pipelines, self.users))

    @classmethod
    def from_json(cls, kept: bytes | str) -> Catalogue:
        """The catalogue from `to_json`. Raises ValueError for anything else, another format too."""
        read = _ADAPTER.validate_json(kept)
        return cls(read.account, read.fields, read.pipelines, read.users)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A catalogue as it is written down."""

    format: Literal[1]
    account: Account
    fields: tuple[CustomField, ...]
    pipelines: tuple[Pipeline, ...]
    users: tuple[User, ...]


_ADAPTER = TypeAdapter(_Kept)


async def load(client: AmoCRMClient) -> Catalogue:
    """Read the whole catalogue from the account: one request each for the account, fields, pipelines and users."""
    try:
        async with asyncio.TaskGroup() as group:
            account = group.create_task(client.account())
            fields = [group.create_task(_fields_of(client, entity)) for entity in ENTITIES]
            pipelines, users = group.create_task(client.pipelines()), group.create_task(client.users())
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return Catalogue(
        account=Account.of(account.result()),
        fields=tuple(field for found in fields for field in found.result()),
        pipelines=tuple(Pipeline.of(raw) for raw in pipelines.result()),
        users=tuple(User.of(raw) for raw in users.result()),
    )


async def _fields_of(client: AmoCRMClient, entity: EntityType) -> list[CustomField]:
    return [CustomField.of(entity, raw) for raw in await client.custom_fields(entity)]


Named = TypeVar("Named", Pipeline, Status, User)


def _plain(name: str | int) -> str:
    return str(name).strip()


def _named(things: Iterable[Named], name: str) -> list[Named]:
    return [one for one in things if one.name.strip() == name]


def _fields_named(known: Sequence[CustomField], name: str) -> list[CustomField]:
    return (
        [one for one in known if str(one.id) == name]
        or [one for one in known if one.code == name]
        or [one for one in known if one.name.strip() == name]
    )


def _give_an_id(found: Iterable[Pipeline | Status | User]) -> str:
    return f"give one of the ids {', '.join(str(one.id) for one in found)}"


def _listed(things: Iterable[Pipeline | Status]) -> str:
    return ", ".join(f"«{one.name}»" for one in things)


def _advice(name: str, known: Iterable[Pipeline | Status]) -> str:
    names = [one.name for one in known]
    near = nearest(name, names)
    begin = f"{meant(name, near)} " if near is not None else ""
    return f"{begin}there are {_listed(known)}" if names else SEE_FIELDS
