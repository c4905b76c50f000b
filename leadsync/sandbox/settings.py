"""What an administrator sets up in the account: pipelines with their statuses, users, tags, reasons of a loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .fields import Field

WON, LOST = 142, 143
UNSORTED_TYPE = 1


@dataclass(frozen=True, slots=True)
class Status:
    """A stage of a pipeline; `type` is 1 for the unsorted one. 142 and 143 exist in every pipeline."""

    id: int
    name: str
    sort: int
    color: str
    type: int = 0
    is_editable: bool = True

    def shown(self, account_id: int, pipeline_id: int, base: str) -> dict[str, Any]:
        """The status as the API shows it; `base` is the address of its pipeline."""
        return {
            "id": self.id,
            "name": self.name,
            "sort": self.sort,
            "is_editable": self.is_editable,
            "pipeline_id": pipeline_id,
            "color": self.color,
            "type": self.type,
            "account_id": account_id,
            "_links": {"self": {"href": f"{base}/statuses/{self.id}"}},
        }


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline of leads; new leads land in `entry` unless told otherwise."""

    id: int
    name: str
    sort: int
    is_main: bool
    statuses: tuple[Status, ...]

    def stored(self) -> dict[str, Any]:
        """What is kept in the content file."""
        return asdict(self)

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> Pipeline:
        """The pipeline that `stored` wrote down."""
        return cls(**{**stored, "statuses": tuple(Status(**status) for status in stored["statuses"])})

    def status(self, id: Any) -> Status | None:
        """The status with that id, if it belongs here."""
        return next((status for status in self.statuses if status.id == id), None)

    @property
    def entry(self) -> Status:
        """The first stage that is not the unsorted one."""
        return next(status for status in self.statuses if status.type != UNSORTED_TYPE)

    @property
    def unsorted(self) -> Status:
        """The stage of leads nobody has accepted yet."""
        return next(status for status in self.statuses if status.type == UNSORTED_TYPE)

    def shown(self, account_id: int, base: str) -> dict[str, Any]:
        """The pipeline as the API shows it; `base` is the address of the list."""
        href = f"{base}/{self.id}"
        return {
            "id": self.id,
            "name": self.name,
            "sort": self.sort,
            "is_main": self.is_main,
            "is_unsorted_on": True,
            "is_archive": False,
            "account_id": account_id,
            "_links": {"self": {"href": href}},
            "_embedded": {"statuses": [status.shown(account_id, self.id, href) for status in self.statuses]},
        }


_RIGHTS_OF_ENTITY = {"view": "A", "edit": "A", "add": "A", "delete": "A", "export": "A"}


@dataclass(frozen=True, slots=True)
class User:
    """A person who works in the account; an inactive one can neither act nor be made responsible."""

    id: int
    name: str
    email: str
    is_admin: bool = False
    is_active: bool = True

    def stored(self) -> dict[str, Any]:
        """What is kept in the content file."""
        return asdict(self)

    def shown(self, href: str) -> dict[str, Any]:
        """The user as the API shows it."""
        rights: dict[str, Any] = {
            **{kind: dict(_RIGHTS_OF_ENTITY) for kind in ("leads", "contacts", "companies")},
            "tasks": {"edit": "A", "delete": "A"},
            "mail_access": False,
            "catalog_access": False,
            "files_access": False,
            "status_rights": [],
            "catalog_rights": None,
            "custom_fields_rights": None,
            "oper_day_reports_view_access": False,
            "oper_day_user_tracking": False,
            "is_admin": self.is_admin,
            "is_free": False,
            "is_active": self.is_active,
            "group_id": None,
            "role_id": None,
        }
        body = {"id": self.id, "name": self.name, "email": self.email, "lang": "ru", "rights": rights}
        return {**body, "_links": {"self": {"href": href}}}


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag of one entity type; ids differ per type, colours exist for leads only."""

    id: int
    kind: str
    name: str
    color: str | None = None

    def stored(self) -> dict[str, Any]:
        """What is kept in the content file."""
        return asdict(self)

    def shown(self) -> dict[str, Any]:
        """The tag as the API shows it."""
        return {"id": self.id, "name": self.name, "color": self.color}


@dataclass(frozen=True, slots=True)
class Content:
    """What a new account starts with."""

    info: dict[str, Any]
    pipelines: tuple[Pipeline, ...]
    users: tuple[User, ...]
    fields: tuple[Field, ...]
    loss_reasons: dict[int, str]
    counters: dict[str, int] = field(default_factory=dict)
