"""Entries: the fields, pipelines, statuses and users of an account, and how each is read from what amoCRM shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from leadsync.amocrm.entities import EntityType

WON, LOST = 142, 143
"""Status ids of a won and a lost lead, the same in every pipeline of every account (amocrm-api.md §3.7)."""


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

    @classmethod
    def of(cls, entity: EntityType, raw: Mapping[str, Any]) -> Self:
        """The field that amoCRM shows (amoCRM docs: crm_platform/custom-fields)."""
        return cls(
            id=raw["id"],
            name=raw["name"],
            code=raw.get("code"),
            type=raw["type"],
            entity=entity,
            enums=tuple(FieldOption(one["id"], one["value"], one.get("code")) for one in raw.get("enums") or ()),
            is_api_only=bool(raw.get("is_api_only")),
            is_computed=bool(raw.get("is_computed")),
        )


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

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """The pipeline that amoCRM shows, its stages embedded (amoCRM docs: crm_platform/leads_pipelines)."""
        statuses = ((raw.get("_embedded") or {}).get("statuses")) or ()
        return cls(
            id=raw["id"],
            name=raw["name"],
            is_main=bool(raw.get("is_main")),
            is_archive=bool(raw.get("is_archive")),
            statuses=tuple(Status(one["id"], one["name"], raw["id"], one.get("type") or 0) for one in statuses),
        )


@dataclass(frozen=True, slots=True)
class User:
    """A user of the account; one that is not active cannot be made responsible."""

    id: int
    name: str
    email: str
    is_active: bool

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """The user that amoCRM shows to administrators (amoCRM docs: crm_platform/users-api)."""
        active = bool((raw.get("rights") or {}).get("is_active", True))
        return cls(raw["id"], raw.get("name") or "", raw.get("email") or "", active)


@dataclass(frozen=True, slots=True)
class Account:
    """The account itself. `timezone` is an IANA name, None when the answer holds none."""

    id: int
    name: str
    subdomain: str
    timezone: str | None
    is_api_filter_enabled: bool
    current_user_id: int | None

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """The account that amoCRM shows (amoCRM docs: crm_platform/account-info)."""
        settings = (raw.get("_embedded") or {}).get("datetime_settings") or {}
        return cls(
            id=raw["id"],
            name=raw.get("name") or "",
            subdomain=raw.get("subdomain") or "",
            timezone=settings.get("timezone"),
            is_api_filter_enabled=bool(raw.get("is_api_filter_enabled")),
            current_user_id=raw.get("current_user_id"),
        )
