"""Names: whether the account knows what the mapping files call by name, checked before the first record is read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, TypeVar

from leadsync.amocrm.catalogue import SEE_FIELDS, Catalogue, CustomField, NameNotFound, Pipeline, User
from leadsync.amocrm.near_users import near_user
from leadsync.config.loader import LoadedMapping, Project
from leadsync.config.models import ContactSection, LeadSection, Value
from leadsync.errors import ConfigurationError, Problem
from leadsync.mapping.possible_texts import PossibleText
from leadsync.sync.spots import Path, Spot, in_reading_order, mappings_of

KEY_TYPES = frozenset({"text", "textarea", "streetaddress", "tracking_data"})
"""Types of a field that holds any key as it is."""

SLOTS: dict[str, frozenset[str]] = {
    "contacts": frozenset({"name", "first_name", "last_name", "phone", "email", "responsible", "tags"}),
    "leads": frozenset({"name", "price", "pipeline", "status", "responsible", "tags"}),
}
"""What stands beside `fields`, not in it."""

Found = TypeVar("Found")


def name_problems(project: Project, catalogue: Catalogue) -> list[Problem]:
    """Every name in the mapping files that the account does not have, and that a record could not change."""
    problems = [problem for one in mappings_of(project) for problem in _NameCheck(project, one, catalogue).problems()]
    return in_reading_order(problems, project)


def name_warnings(project: Project, catalogue: Catalogue) -> list[Problem]:
    """Names that the account has, and that may still not be meant: a pipeline in the archive, named by its id."""
    archived = {str(one.id) for one in catalogue.pipelines if one.is_archive}
    told = ConfigurationError("this pipeline is archived: nobody looks at its leads", do="name a living one")
    leads = [(one, one.file.lead) for one in mappings_of(project)]
    spots = [Spot(project, one, ("lead", "pipeline"), lead.pipeline) for one, lead in leads if lead is not None]
    return [spot.problem(told, text) for spot in spots for text in spot.possible.texts if text.text in archived]


class _NameCheck:
    """The names of one mapping file."""

    def __init__(self, project: Project, mapping: LoadedMapping, catalogue: Catalogue) -> None:
        self._project = project
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
            self._key_field(file.key_field)
        return self._problems

    def _spot(self, path: Path, value: Value | str | int | None) -> Spot:
        return Spot(self._project, self._mapping, path, value)

    def _fields(self, entity: Literal["contacts", "leads"], part: str, section: ContactSection | LeadSection) -> None:
        for name, value in section.fields.items():
            self._try(self._spot((part, "fields", name), value), partial(self._field, entity, part, name), at_key=True)

    def _field(self, entity: Literal["contacts", "leads"], part: str, name: str | int) -> CustomField:
        try:
            return self._catalogue.field(entity, name)
        except NameNotFound as error:
            if name not in SLOTS[entity]:
                raise
            raise NameNotFound(error.what, do=f"write {part}.{name}, one level up: it is no custom field") from None

    def _key_field(self, name: str | int) -> None:
        spot = self._spot(("key_field",), name)
        field = self._try(spot, partial(self._catalogue.field, "leads", name))
        if field is not None and field.type not in KEY_TYPES:
            what = f"key_field: the field «{field.name}» ({field.type}) cannot hold a key"
            self._problems.append(
                spot.problem(NameNotFound(what, do="make a field of type text in amoCRM, and name it"))
            )

    def _user(self, part: str, section: ContactSection | LeadSection) -> None:
        spot = self._spot((part, "responsible"), section.responsible)
        for text in spot.possible.texts:
            self._try(spot, partial(self._user_named, text.text), text)

    def _user_named(self, name: str) -> User:
        try:
            return self._catalogue.user(name)
        except NameNotFound as error:
            near = near_user(name.strip(), self._catalogue.users)
            do = error.do if near is None else f"{near} {SEE_FIELDS}"
            raise NameNotFound(error.what, do=do) from None

    def _stage(self, lead: LeadSection) -> None:
        spot = self._spot(("lead", "status"), lead.status)
        pipelines = self._pipelines(lead)
        for text in spot.possible.texts:
            if pipelines is None or len(pipelines) > 1:
                self._try(spot, partial(self._status_somewhere, text.text), text)
            for pipeline in pipelines if pipelines is not None and len(pipelines) == 1 else ():
                self._try(spot, partial(self._catalogue.status, pipeline, text.text), text)

    def _pipelines(self, lead: LeadSection) -> list[Pipeline] | None:
        """The pipelines that the mapping can mean and the account has; None where only a record tells."""
        spot = self._spot(("lead", "pipeline"), lead.pipeline)
        if lead.pipeline is None:
            main = (
                None if lead.status is None else self._try(self._spot(("lead",), None), self._catalogue.main_pipeline)
            )
            return [main] if main is not None else []
        possible = spot.possible
        found = [self._try(spot, partial(self._catalogue.pipeline, text.text), text) for text in possible.texts]
        return [one for one in found if one is not None] if possible.whole else None

    def _status_somewhere(self, name: str) -> object:
        found = self._catalogue.pipelines_with(name)
        if not found:
            raise NameNotFound(f"no pipeline of the account has a status «{name}»", do="`leadsync fields` lists them")
        return found

    def _try(
        self, spot: Spot, find: Callable[[], Found], text: PossibleText | None = None, *, at_key: bool = False
    ) -> Found | None:
        try:
            return find()
        except ConfigurationError as error:
            self._problems.append(spot.problem(error, text, at_key=at_key))
            return None
