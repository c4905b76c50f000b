"""Names: whether the account knows what the mapping files call by name, checked before the first record is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal

from leadsync.amocrm.catalogue import Catalogue
from leadsync.config.loader import LoadedMapping
from leadsync.config.models import ContactSection, LeadSection, LongValue
from leadsync.errors import ConfigurationError, Problem

Path = tuple[str | int, ...]


def name_problems(mappings: Iterable[LoadedMapping], catalogue: Catalogue) -> list[Problem]:
    """Every name in the mapping files that the account does not have; names made by a template are not checked here."""
    return [problem for one in mappings for problem in _NameCheck(one, catalogue).problems()]


def _fixed(value: Any) -> str | None:
    """A value that holds no expression, as text."""
    text = value.value if isinstance(value, LongValue) else value
    return text if isinstance(text, str) and "{" not in text else None


class _NameCheck:
    def __init__(self, mapping: LoadedMapping, catalogue: Catalogue) -> None:
        self._mapping = mapping
        self._catalogue = catalogue
        self._problems: list[Problem] = []

    def problems(self) -> list[Problem]:
        file = self._mapping.file
        if file.contact is not None:
            self._fields("contacts", "contact", file.contact)
            self._user("contact", file.contact)
        if file.lead is not None:
            self._fields("leads", "lead", file.lead)
            self._user("lead", file.lead)
            self._stage(file.lead)
        if file.key_field is not None:
            self._try(("key_field",), lambda: self._catalogue.field("leads", file.key_field or ""))
        return self._problems

    def _fields(self, entity: Literal["contacts", "leads"], part: str, section: ContactSection | LeadSection) -> None:
        for name in section.fields:
            self._try((part, "fields", name), partial(self._catalogue.field, entity, name), key=True)

    def _user(self, part: str, section: ContactSection | LeadSection) -> None:
        name = _fixed(section.responsible)
        if name:
            self._try((part, "responsible"), lambda: self._catalogue.user(name))

    def _stage(self, lead: LeadSection) -> None:
        pipeline = self._catalogue.main_pipeline()
        name = _fixed(lead.pipeline)
        if lead.pipeline is not None and name is None:
            return  # the pipeline is known only with the record
        if name:
            found = self._try(("lead", "pipeline"), lambda: self._catalogue.pipeline(name))
            if found is None:
                return
            pipeline = found
        status = _fixed(lead.status)
        if status:
            self._try(("lead", "status"), lambda: self._catalogue.status(pipeline, status))

    def _try(self, path: Path, find: Callable[[], Any], *, key: bool = False) -> Any:
        try:
            return find()
        except ConfigurationError as error:
            document = self._mapping.document
            place = document.key_place(*path) if key else document.place(*path)
            self._problems.append(Problem(error.what, place, document.lines(place), error.do))
            return None
