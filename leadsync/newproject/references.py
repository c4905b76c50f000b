"""How a mapping names what the account has: by name or code where that is one thing only, else by id. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from leadsync.amocrm.catalogue import Catalogue, CustomField, FieldOption, NameNotFound, Pipeline, Status, User
from leadsync.amocrm.field_values import strip_four_byte
from leadsync.newproject.yaml_text import flat, quoted

LONGEST_NAME = 120
"""Characters of a name in a file; a longer one is written by id."""

_BARE_CODE = re.compile(r"(?!TRUE$|NULL$|FALSE$)[A-Z][A-Z0-9_]{3,}")

Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True)
class Reference:
    """How a file names a thing: `written` as YAML; `remark` tells its name where only the id could be written."""

    written: str
    remark: str = ""


def field_reference(catalogue: Catalogue, field: CustomField) -> Reference:
    """A custom field as a key of `fields`: what amoCRM makes itself (UTM marks) by code, the others by name."""
    names = (field.code, field.name) if field.type == "tracking_data" else (field.name, field.code)
    found = _first(names, lambda name: catalogue.field(field.entity, name), field)
    if found is None:
        return _by_id(field.id, field.name)
    return Reference(found if _BARE_CODE.fullmatch(found) else quoted(found))


def pipeline_reference(catalogue: Catalogue, pipeline: Pipeline) -> Reference:
    """A pipeline as a value of `pipeline`."""
    found = _first((pipeline.name,), catalogue.pipeline, pipeline, is_template=True)
    return _by_id(pipeline.id, pipeline.name) if found is None else Reference(quoted(found))


def status_reference(catalogue: Catalogue, pipeline: Pipeline, status: Status) -> Reference:
    """A stage as a value of `status`."""
    found = _first((status.name,), lambda name: catalogue.status(pipeline, name), status, is_template=True)
    return _by_id(status.id, status.name) if found is None else Reference(quoted(found))


def user_reference(catalogue: Catalogue, user: User) -> Reference:
    """A user as a value of `responsible`, by e-mail where there is one."""
    found = _first((user.email, user.name), catalogue.user, user, is_template=True)
    return _by_id(user.id, user.name) if found is None else Reference(quoted(found), flat(user.name, 40))


def option_text(field: CustomField, option: FieldOption) -> str:
    """What chooses an option: its label, or its id where the label would not come through unchanged."""
    label = option.value.strip()
    alone = [one.value.strip() for one in field.enums].count(label) == 1
    return label if alone and label == strip_four_byte(label) and _is_plain(label, is_template=True) else str(option.id)


def _first(
    names: Iterable[str | None], find: Callable[[str], Thing], wanted: Thing, *, is_template: bool = False
) -> str | None:
    """The first name that can be written and that the account understands as this very thing."""
    for name in (one.strip() for one in names if one):
        if _is_plain(name, is_template=is_template) and _finds(find, name, wanted):
            return name
    return None


def _finds(find: Callable[[str], Thing], name: str, wanted: Thing) -> bool:
    try:
        return find(name) == wanted
    except NameNotFound:
        return False


def _is_plain(name: str, *, is_template: bool) -> bool:
    """Whether a name may stand in a file as it is: no control characters, and nothing a template or `${…}` means."""
    if not name or len(name) > LONGEST_NAME or any(unicodedata.category(one) in ("Cc", "Cs") for one in name):
        return False
    return "{" not in name if is_template else "${" not in name


def _by_id(number: int, name: str) -> Reference:
    return Reference(str(number), f"«{flat(name, 60)}»")
