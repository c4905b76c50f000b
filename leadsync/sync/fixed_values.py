"""Fixed values: whether what a mapping always writes, or writes out of a short list, fits the account's fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal
from zoneinfo import ZoneInfo

from leadsync.amocrm.catalogue import Catalogue, CustomField, NameNotFound
from leadsync.amocrm.field_values import encode, strip_four_byte
from leadsync.amocrm.plain_values import number_of
from leadsync.config.loader import LoadedMapping, Project
from leadsync.config.models import ContactSection, LeadSection
from leadsync.errors import Problem, ValueRefused
from leadsync.sync.spots import Path, Spot, in_reading_order, mappings_of

MULTITEXT = {"PHONE": "phone", "EMAIL": "email"}
"""Codes of the contact's fields that have keys of their own in a mapping."""


def value_problems(project: Project, catalogue: Catalogue, zone: ZoneInfo) -> list[Problem]:
    """Every value that no record could make fit: the wrong type, no option, too long, a field that is filled twice.

    `zone` is the account's. What is found only with a record is that record's mistake.
    """
    checks = (_ValueCheck(project, one, catalogue, zone) for one in mappings_of(project))
    return in_reading_order([problem for check in checks for problem in check.problems()], project)


class _ValueCheck:
    """The fixed values of one mapping file."""

    def __init__(self, project: Project, mapping: LoadedMapping, catalogue: Catalogue, zone: ZoneInfo) -> None:
        self._project = project
        self._mapping = mapping
        self._catalogue = catalogue
        self._zone = zone

    def problems(self) -> Iterator[Problem]:
        contact, lead = self._mapping.file.contact, self._mapping.file.lead
        if contact is not None:
            yield from self._fields("contacts", "contact", contact, self._phones(contact))
        if lead is not None:
            yield from self._price(Spot(self._project, self._mapping, ("lead", "price"), lead.price))
            yield from self._fields("leads", "lead", lead, self._key_field())

    def _phones(self, contact: ContactSection) -> dict[int, Path]:
        """The fields behind contact.phone and contact.email, where the mapping has those."""
        given = {code: key for code, key in MULTITEXT.items() if getattr(contact, key) is not None}
        known = (one for one in self._catalogue.fields if one.entity == "contacts" and one.code in given)
        return {one.id: ("contact", given[one.code or ""]) for one in known}

    def _key_field(self) -> dict[int, Path]:
        name = self._mapping.file.key_field
        field = None if name is None else self._known("leads", name)
        return {} if field is None else {field.id: ("key_field",)}

    def _known(self, entity: Literal["contacts", "leads"], name: str | int) -> CustomField | None:
        try:
            return self._catalogue.field(entity, name)
        except NameNotFound:
            return None  # told among the names

    def _fields(
        self,
        entity: Literal["contacts", "leads"],
        part: str,
        section: ContactSection | LeadSection,
        filled: dict[int, Path],
    ) -> Iterator[Problem]:
        for name, value in section.fields.items():
            field = self._known(entity, name)
            if field is None:
                continue
            spot = Spot(self._project, self._mapping, (part, "fields", name), value)
            if field.id in filled:
                yield self._twice(spot, field, filled[field.id])
            filled[field.id] = spot.path
            yield from self._misfits(spot, field)

    def _twice(self, spot: Spot, field: CustomField, before: Path) -> Problem:
        place = self._mapping.document.key_place(*before)
        called = ".".join(map(str, before))
        what = f"the field «{field.name}» is filled twice: by {called} in line {place.line}, too"
        return spot.problem(ValueRefused(what, do="remove one of them"), at_key=True)

    def _misfits(self, spot: Spot, field: CustomField) -> Iterator[Problem]:
        """A field that takes no text at all is told at its name, a text that does not fit at the text."""
        refused = self._refusal(field, "")
        if refused is not None:
            yield spot.problem(refused, at_key=True)
            return
        for text in spot.possible.texts:
            refused = self._refusal(field, text.text)
            if refused is not None:
                yield spot.problem(refused, text)

    def _refusal(self, field: CustomField, text: str) -> ValueRefused | None:
        strip = self._project.file.amocrm.four_byte_characters == "strip"
        try:
            encode(field, strip_four_byte(text) if strip else text, zone=self._zone)
        except ValueRefused as error:
            return error
        return None

    def _price(self, spot: Spot) -> Iterator[Problem]:
        for text in spot.possible.texts:
            if number_of(text.text) is None:
                yield spot.problem(ValueRefused("lead.price takes a number", do="write digits, such as 150000"), text)
