"""Catalogue: what the account calls its fields, pipelines, statuses and users; names → ids, exactly or not at all.

A field found by a part of its name once put a manager's name into «Телефон менеджера» (peers.md): names must be equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Protocol, TypeVar

import orjson
from pydantic import TypeAdapter

from leadsync.amocrm.client import AmoCRMClient
from leadsync.amocrm.entities import EntityType
from leadsync.errors import ConfigurationError

WON, LOST = 142, 143
"""Status ids of a won and a lost lead, the same in every pipeline of every account (amocrm-api.md §3.7)."""

SEE_FIELDS = "`leadsync fields` lists what the account has"


class NameNotFound(ConfigurationError):
    """A name, code or id that the account does not have, or that several things of the account share."""


@dataclass(frozen=True, slots=True)
class FieldOption:
    """One option of a select or of a phone's kind."""

    id: int
    value: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class CustomField:
    """A custom field; `type` is amoCRM's own word (`text`, `multiselect`, `tracking_data`, …)."""

    id: int
    name: str
    code: str | None
    type: str
    entity: EntityType
    enums: tuple[FieldOption, ...] = ()
    is_api_only: bool = False
    is_computed: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """A stage of a pipeline; `type` 1 is the stage of unsorted leads."""

    id: int
    name: str
    pipeline_id: int
    type: int = 0


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline and its stages in the account's order."""

    id: int
    name: str
    is_main: bool
    is_archive: bool
    statuses: tuple[Status, ...]


@dataclass(frozen=True, slots=True)
class User:
    """A user of the account."""

    id: int
    name: str
    email: str
    is_active: bool


@dataclass(frozen=True, slots=True)
class Account:
    """The account itself. `timezone` is an IANA name, None when the answer holds none."""

    id: int
    name: str
    subdomain: str
    timezone: str | None
    is_api_filter_enabled: bool
    current_user_id: int | None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything of an account that a mapping can name. The finders raise NameNotFound with what to do."""

    account: Account
    fields: tuple[CustomField, ...]
    pipelines: tuple[Pipeline, ...]
    users: tuple[User, ...]

    def field(self, entity: EntityType, name: str | int) -> CustomField:
        """A custom field by id, then code, then exact name."""
        known = [one for one in self.fields if one.entity == entity]
        found = (
            [one for one in known if str(one.id) == _plain(name)]
            or [one for one in known if one.code and one.code == _plain(name)]
            or [one for one in known if one.name.strip() == _plain(name)]
        )
        return _only(
            found, f"field of {entity}", name, [text for one in known for text in (one.name, one.code) if text]
        )

    def pipeline(self, name: str | int) -> Pipeline:
        """A pipeline by id or exact name; an archived one only by id."""
        living = [one for one in self.pipelines if not one.is_archive]
        found = _named(self.pipelines, name, by_name=living)
        return _only(found, "pipeline", name, [one.name for one in living])

    def main_pipeline(self) -> Pipeline:
        """The pipeline that new leads go to when nothing is said."""
        for pipeline in self.pipelines:
            if pipeline.is_main:
                return pipeline
        raise NameNotFound("the account shows no main pipeline", do="name a pipeline in the mapping")

    def status(self, pipeline: Pipeline, name: str | int) -> Status:
        """A stage of a pipeline by id or exact name."""
        found = _named(pipeline.statuses, name)
        known = [one.name for one in pipeline.statuses]
        return _only(found, f"status of pipeline «{pipeline.name}»", name, known)

    def user(self, name: str | int) -> User:
        """A user by id, e-mail (in any case) or exact name. The error does not repeat the name: it is a person's."""
        found = _named(self.users, name) or [one for one in self.users if one.email.lower() == _plain(name).lower()]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(str(one.id) for one in found)
            raise NameNotFound("several users of the account have this name", do=f"give one of the ids {ids}")
        if not self.users:
            do = "give the user's id: only an administrator's token may list the users"
            raise NameNotFound("the account's users are not visible to this token", do=do)
        raise NameNotFound("no user of the account has this id, e-mail or name", do=SEE_FIELDS)

    def to_json(self) -> bytes:
        """The catalogue as JSON, for a cache."""
        return orjson.dumps(self)

    @classmethod
    def from_json(cls, stored: bytes | str) -> Catalogue:
        """The catalogue from `to_json`. Raises ValueError for anything else."""
        return _ADAPTER.validate_json(stored)


_ADAPTER = TypeAdapter(Catalogue)


async def load(client: AmoCRMClient) -> Catalogue:
    """Read the whole catalogue from the account: one request each for the account, fields, pipelines and users."""
    account = await client.account()
    entities: tuple[EntityType, ...] = ("leads", "contacts", "companies")
    fields = [_field(entity, raw) for entity in entities for raw in await client.custom_fields(entity)]
    return Catalogue(
        account=_account(account),
        fields=tuple(fields),
        pipelines=tuple(_pipeline(raw) for raw in await client.pipelines()),
        users=tuple(_user(raw) for raw in await client.users()),
    )


class _Named(Protocol):
    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...


class _WithId(Protocol):
    @property
    def id(self) -> int: ...


Thing = TypeVar("Thing", bound=_Named)
Found = TypeVar("Found", bound=_WithId)


def _plain(name: str | int) -> str:
    return str(name).strip()


def _named(things: Iterable[Thing], name: str | int, *, by_name: Iterable[Thing] | None = None) -> list[Thing]:
    everything = list(things)
    found = [one for one in everything if str(one.id) == _plain(name)]
    return found or [one for one in (everything if by_name is None else by_name) if one.name.strip() == _plain(name)]


def _only(found: Sequence[Found], kind: str, name: str | int, known: Sequence[str]) -> Found:
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(str(one.id) for one in found)
        raise NameNotFound(f"more than one {kind} is named «{name}»", do=f"give one of the ids {ids}")
    raise NameNotFound(f"the account has no {kind} named «{name}»", do=_nearest(_plain(name), known))


def _nearest(name: str, known: Sequence[str]) -> str:
    by_fold = {one.casefold(): one for one in known}
    near = get_close_matches(name.casefold(), by_fold, n=1, cutoff=0.5)
    return f"did you mean «{by_fold[near[0]]}»? {SEE_FIELDS}" if near else SEE_FIELDS


def _account(raw: dict[str, Any]) -> Account:
    settings = (raw.get("_embedded") or {}).get("datetime_settings") or {}
    return Account(
        id=raw["id"],
        name=raw.get("name") or "",
        subdomain=raw.get("subdomain") or "",
        timezone=settings.get("timezone"),
        is_api_filter_enabled=bool(raw.get("is_api_filter_enabled")),
        current_user_id=raw.get("current_user_id"),
    )


def _field(entity: EntityType, raw: dict[str, Any]) -> CustomField:
    enums = (FieldOption(one["id"], one["value"], one.get("code")) for one in raw.get("enums") or ())
    return CustomField(
        id=raw["id"],
        name=raw["name"],
        code=raw.get("code"),
        type=raw["type"],
        entity=entity,
        enums=tuple(enums),
        is_api_only=bool(raw.get("is_api_only")),
        is_computed=bool(raw.get("is_computed")),
    )


def _pipeline(raw: dict[str, Any]) -> Pipeline:
    statuses = ((raw.get("_embedded") or {}).get("statuses")) or ()
    return Pipeline(
        id=raw["id"],
        name=raw["name"],
        is_main=bool(raw.get("is_main")),
        is_archive=bool(raw.get("is_archive")),
        statuses=tuple(Status(one["id"], one["name"], raw["id"], one.get("type") or 0) for one in statuses),
    )


def _user(raw: dict[str, Any]) -> User:
    active = bool((raw.get("rights") or {}).get("is_active", True))
    return User(raw["id"], raw.get("name") or "", raw.get("email") or "", active)
