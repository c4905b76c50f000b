"""Custom fields of the account: their definitions, options, and how the API shows them.

amoCRM docs: crm_platform/custom-fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

TYPES = frozenset(
    [
        "text",
        "numeric",
        "checkbox",
        "select",
        "multiselect",
        "date",
        "url",
        "textarea",
        "radiobutton",
        "streetaddress",
        "smart_address",
        "birthday",
        "legal_entity",
        "date_time",
        "file",
        "monetary",
        "multitext",
        "tracking_data",
        "chained_list",
    ]
)
WITH_OPTIONS = frozenset({"select", "multiselect", "radiobutton", "multitext"})
LEADS_ONLY = frozenset({"tracking_data", "chained_list"})
NOT_ON_LEADS = frozenset({"multitext"})

ADDRESS_PARTS = ("address_line_1", "address_line_2", "city", "state", "zip", "country")


@dataclass(slots=True)
class Option:
    """One choice of a field; `value` is the label people see, `code` is mostly absent."""

    id: int
    value: str
    sort: int
    code: str | None = None


@dataclass(slots=True)
class Field:
    """One custom field of one entity type (`leads`, `contacts`, `companies`)."""

    id: int
    entity: str
    name: str
    type: str
    code: str | None = None
    sort: int = 500
    options: list[Option] = field(default_factory=list)
    is_predefined: bool = False
    is_api_only: bool = False
    currency: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    def option(self, *, id: Any = None, label: Any = None, code: Any = None) -> Option | None:
        """The option with that id, exact label or code; None when there is none."""
        for option in self.options:
            if option.id == id or option.value == label or (code is not None and option.code == code):
                return option
        return None

    def stored(self) -> dict[str, Any]:
        """What is kept in the content file; `Field.restored` reads it back."""
        return asdict(self)

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> Field:
        """The field that `stored` wrote down."""
        return cls(**{**stored, "options": [Option(**option) for option in stored["options"]]})

    def shown(self, account_id: int, href: str) -> dict[str, Any]:
        """The field as `GET …/custom_fields` shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "type": self.type,
            "account_id": account_id,
            "code": self.code,
            "sort": self.sort,
            "is_api_only": self.is_api_only,
            "enums": [asdict(option) for option in self.options] or None,
            "group_id": None,
            "required_statuses": [],
            "is_deletable": not self.is_predefined,
            "is_predefined": self.is_predefined,
            "is_computed": False,
            "entity_type": self.entity,
            "tracking_callback": "" if self.type == "tracking_data" else None,
            "remind": "never" if self.type == "birthday" else None,
            "triggers": [],
            "currency": self.currency,
            "hidden_statuses": [],
            "chained_lists": [] if self.type == "chained_list" else None,
            "search_in": None,
            "nested": None,
            "settings": self.settings or None,
            "_links": {"self": {"href": href}},
        }


class FieldBook:
    """The fields of one entity type, by id and by code, in the order of their creation."""

    def __init__(self) -> None:
        self._by_id: dict[int, Field] = {}
        self._by_code: dict[str, Field] = {}

    def put(self, field: Field) -> None:
        """Adds a field, or takes note of its new code."""
        self._by_id[field.id] = field
        if field.code:
            self._by_code[field.code] = field

    def remove(self, id: int) -> None:
        """Forgets a field; its values stay in the entities unseen."""
        gone = self._by_id.pop(id)
        if gone.code:
            self._by_code.pop(gone.code, None)

    def get(self, id: Any) -> Field | None:
        """The field with that id."""
        return self._by_id.get(id) if isinstance(id, int) else None

    def coded(self, code: Any) -> Field | None:
        """The field with that code (`PHONE`, `UTM_SOURCE`); codes are compared exactly."""
        return self._by_code.get(code) if isinstance(code, str) else None

    def named(self, name: str) -> Field:
        """The first field of that name; KeyError when there is none."""
        for found in self:
            if found.name == name:
                return found
        raise KeyError(name)

    def __iter__(self) -> Iterator[Field]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)
