"""What the sandbox refuses of a lead, a contact or a company, item by item (amoCRM docs: leads-api, contacts-api)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .account import Account
from .drafts import Draft, TagRef
from .entities import SHOWN
from .refusals import Mistakes
from .settings import LOST
from .values import read_values

COMPLEX_FIELD_LIMIT = 40

_COMMON = {
    "name": "string",
    "responsible_user_id": "user",
    "created_by": "author",
    "updated_by": "author",
    "created_at": "int",
    "updated_at": "int",
}
_FACTS: dict[str, dict[str, str]] = {
    "leads": {
        **_COMMON,
        "price": "int",
        "status_id": "int",
        "pipeline_id": "int",
        "closed_at": "int?",
        "loss_reason_id": "int?",
    },
    "contacts": {**_COMMON, "first_name": "string", "last_name": "string"},
    "companies": _COMMON,
}
_MACHINERY = {"id", "request_id", "custom_fields_values", "tags_to_add", "tags_to_delete", "_embedded", "_links"}
# Keys of a read body that may be sent back and are paid no attention.
_IGNORED_OF_FIELD = {"field_id", "field_code", "values", "field_name", "field_type", "is_computed"}
_ALLOWED = {
    kind: frozenset({*facts, *_MACHINERY, *SHOWN[kind], "is_price_computed", "price_with_minor_units"})
    for kind, facts in _FACTS.items()
}


class Checker:
    """Checks items of one kind against one account; `new` says whether an item without an id is a creation."""

    def __init__(self, account: Account, kind: str, *, new: bool) -> None:
        self.account = account
        self.kind = kind
        self.new = new

    def __call__(self, item: dict[str, Any], request_id: str, mistakes: Mistakes) -> Draft:
        """The draft of one item; worthless if `mistakes` is not empty afterwards."""
        draft = Draft(self.kind, request_id)
        for key in item.keys() - _ALLOWED[self.kind]:
            mistakes.unexpected(key)
        self._identify(item, draft, mistakes)
        for key, expected in _FACTS[self.kind].items():
            if key in item and self._fits(item[key], expected, key, mistakes):
                draft.facts[key] = item[key]
        self._custom_fields(item.get("custom_fields_values"), draft, mistakes)
        draft.tags_to_add = self._tags(item.get("tags_to_add"), "tags_to_add", mistakes) or []
        draft.tags_to_delete = self._tags(item.get("tags_to_delete"), "tags_to_delete", mistakes) or []
        embedded = item.get("_embedded")
        if isinstance(embedded, dict):
            self._embedded(embedded, draft, mistakes)
        if self.kind == "leads":
            self._place(item, draft, mistakes)
        return draft

    def _identify(self, item: dict[str, Any], draft: Draft, mistakes: Mistakes) -> None:
        if self.new or "id" not in item:
            return
        if isinstance(item["id"], int) and not isinstance(item["id"], bool):
            draft.id = item["id"]
        else:
            mistakes.type("id", "int")

    def _fits(self, value: Any, expected: str, key: str, mistakes: Mistakes) -> bool:
        if value is None and expected.endswith("?"):
            return True
        wanted = str if expected == "string" else int
        if not isinstance(value, wanted) or isinstance(value, bool):
            mistakes.type(key, "string" if wanted is str else "int")
            return False
        if expected in ("user", "author") and not (expected == "author" and value == 0):
            user = self.account.users.get(int(value))
            if user is None or not user.is_active:
                mistakes.choice(key)
                return False
        return True

    def _custom_fields(self, sent: Any, draft: Draft, mistakes: Mistakes) -> None:
        if sent is None:
            return
        if not isinstance(sent, list):
            mistakes.type("custom_fields_values", "array")
            return
        for index, item in enumerate(sent):
            self._custom_field(item, f"custom_fields_values.{index}", draft, mistakes)

    def _custom_field(self, item: Any, path: str, draft: Draft, mistakes: Mistakes) -> None:
        if not isinstance(item, dict):
            mistakes.type(path, "array")
            return
        for key in item.keys() - _IGNORED_OF_FIELD:
            mistakes.unexpected(f"{path}.{key}")
        book, by_id = self.account.fields[self.kind], item.get("field_id") is not None
        field = book.get(item["field_id"]) if by_id else book.coded(item.get("field_code"))
        values = item.get("values")
        if field is None:
            mistakes.choice(f"{path}.{'field_id' if by_id or 'field_code' not in item else 'field_code'}")
        elif values is not None and not isinstance(values, list):
            mistakes.type(f"{path}.values", "array")
        else:
            zone = self.account.zone
            draft.values[field.id] = read_values(field, values or [], f"{path}.values", mistakes, zone)

    def _tags(self, sent: Any, path: str, mistakes: Mistakes) -> list[TagRef] | None:
        if sent is None:
            return None
        if not isinstance(sent, list):
            mistakes.type(path, "array")
            return None
        return [ref for n, item in enumerate(sent) if (ref := self._tag(item, f"{path}.{n}", mistakes))]

    def _tag(self, item: Any, path: str, mistakes: Mistakes) -> TagRef | None:
        if not isinstance(item, dict):
            mistakes.type(path, "array")
        elif item.get("id") is not None:
            tag = self.account.tags.get(item["id"]) if isinstance(item["id"], int) else None
            if tag is not None and tag.kind == self.kind:
                return TagRef(id=tag.id)
            mistakes.choice(f"{path}.id")
        elif isinstance(item.get("name"), str) and item["name"]:
            return TagRef(name=item["name"])
        elif "name" in item:
            mistakes.type(f"{path}.name", "string")
        else:
            mistakes.missing(f"{path}.name")
        return None

    def _embedded(self, embedded: dict[str, Any], draft: Draft, mistakes: Mistakes) -> None:
        draft.tags = self._tags(embedded.get("tags"), "_embedded.tags", mistakes)
        if draft.id is not None or self.kind != "leads":
            return  # contacts and companies are ignored on PATCH: `/link` is the way
        for id, item in self._linked(embedded, "contacts", mistakes):
            draft.contacts.append((id, bool(item.get("is_main"))))
        draft.companies = [id for id, _ in self._linked(embedded, "companies", mistakes)]

    def _linked(self, embedded: dict[str, Any], kind: str, mistakes: Mistakes) -> list[tuple[int, dict[str, Any]]]:
        found: list[tuple[int, dict[str, Any]]] = []
        sent = embedded.get(kind) or []
        if not isinstance(sent, list):
            mistakes.type(f"_embedded.{kind}", "array")
            return found
        for index, item in enumerate(sent):
            path = f"_embedded.{kind}.{index}.id"
            id = item.get("id") if isinstance(item, dict) else None
            if id is None:
                mistakes.missing(path)
            elif id not in self.account.shelves[kind]:
                mistakes.choice(path)
            else:
                found.append((id, item))
        return found

    def _place(self, item: dict[str, Any], draft: Draft, mistakes: Mistakes) -> None:
        """Settles pipeline and status; 142 and 143 are everywhere, so they need the pipeline to tell where."""
        facts, pipelines = draft.facts, self.account.pipelines
        pipeline_id, status_id = facts.pop("pipeline_id", None), facts.pop("status_id", None)
        if pipeline_id is not None and pipeline_id not in pipelines:
            mistakes.choice("pipeline_id")
        elif status_id is not None:
            self._settle_status(draft, pipeline_id, status_id, mistakes)
        elif draft.id is None:
            pipeline = pipelines[pipeline_id] if pipeline_id else self.account.main_pipeline
            facts.update(pipeline_id=pipeline.id, status_id=pipeline.entry.id)
        if facts.get("loss_reason_id") is not None:
            self._check_loss(facts, status_id, mistakes)

    def _settle_status(self, draft: Draft, pipeline_id: int | None, status_id: int, mistakes: Mistakes) -> None:
        lead = self.account.leads.get(draft.id)
        here = lead.facts["pipeline_id"] if lead and pipeline_id is None else pipeline_id
        pipeline = self.account.pipelines.get(here) if here is not None else None
        if pipeline_id is None and (pipeline is None or pipeline.status(status_id) is None):
            pipeline = self.account.pipeline_of(status_id)
        if pipeline is None or pipeline.status(status_id) is None:
            mistakes.choice("status_id")
        else:
            draft.facts.update(pipeline_id=pipeline.id, status_id=status_id)

    def _check_loss(self, facts: dict[str, Any], status_id: int | None, mistakes: Mistakes) -> None:
        if status_id != LOST:
            mistakes.other("NotSupportedChoice", "loss_reason_id", "Loss reason is available only for lost lead.")
        elif facts["loss_reason_id"] not in self.account.loss_reasons:
            mistakes.choice("loss_reason_id")


Check = Callable[[dict[str, Any], str, Mistakes], Draft]


class ComplexChecker:
    """Checks items of `leads/complex`: a lead with at most one contact and one company, given by id or whole."""

    def __init__(self, account: Account) -> None:
        self._lead = Checker(account, "leads", new=True)
        self._nested = {kind: Checker(account, kind, new=True) for kind in ("contacts", "companies")}
        self._account = account

    def __call__(self, item: dict[str, Any], request_id: str, mistakes: Mistakes) -> Draft:
        """The draft of one lead with the drafts of its contact and company inside."""
        sent = item.get("_embedded")
        embedded: dict[str, Any] = sent if isinstance(sent, dict) else {}
        nested = {kind: embedded.get(kind) or [] for kind in self._nested}
        plain = {**item, "_embedded": {key: value for key, value in embedded.items() if key not in nested}}
        draft = self._lead(plain, request_id, mistakes)
        self._count_fields(item, mistakes)
        draft.contact = self._part("contacts", nested["contacts"], draft, mistakes)
        draft.company = self._part("companies", nested["companies"], draft, mistakes)
        draft.is_unsorted = isinstance(embedded.get("metadata"), dict)
        return draft

    def _part(self, kind: str, items: Any, draft: Draft, mistakes: Mistakes) -> Draft | None:
        path = f"_embedded.{kind}"
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            mistakes.type(path, "array")
            return None
        if len(items) > 1:
            mistakes.other("TooMany", path, "This collection should contain 1 element or less.")
        if not items or len(items) > 1:
            return None
        item = items[0]
        if item.get("id") is not None:
            self._existing(kind, item["id"], draft, mistakes)
            return None
        own = Mistakes()
        part = self._nested[kind]({key: value for key, value in item.items() if key != "is_main"}, "", own)
        self._count_fields(item, own)
        for mistake in own:
            mistakes.other(mistake.code, f"{path}.0.{mistake.path}", mistake.detail)
        return part

    def _existing(self, kind: str, id: Any, draft: Draft, mistakes: Mistakes) -> None:
        if id not in self._account.shelves[kind]:
            mistakes.choice(f"_embedded.{kind}.0.id")
        elif kind == "contacts":
            draft.contacts = [(id, True)]
        else:
            draft.companies = [id]

    def _count_fields(self, item: dict[str, Any], mistakes: Mistakes) -> None:
        sent = item.get("custom_fields_values")
        if isinstance(sent, list) and len(sent) > COMPLEX_FIELD_LIMIT:
            detail = f"This collection should contain {COMPLEX_FIELD_LIMIT} elements or less."
            mistakes.other("TooMany", "custom_fields_values", detail)
