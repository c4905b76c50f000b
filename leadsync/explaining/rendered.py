"""Rendered: what a mapping makes of one record, target by target, with what it leaves out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from leadsync.config.loader import LoadedMapping
from leadsync.config.models import ContactSection, LeadSection, LongValue
from leadsync.explaining.explanation import Rendered
from leadsync.mapping.desired import Desired, DesiredContact, DesiredLead, DesiredValue, Origin

Path = tuple[str | int, ...]
NOT_VALUES = frozenset({"match", "tags", "fields"})

EMPTY = "empty: nothing is sent"
NOBODY = "no phone and no e-mail: no contact is made"
NO_NEWS = "nothing new since the last note"


def rendered(desired: Desired, loaded: LoadedMapping | None) -> list[Rendered]:
    """What a record wants, in the order of the mapping; `loaded` is None where no mapping file is at hand."""
    made = [*_contact(desired.contact), *_lead(desired.lead), *_note(desired.note)]
    return made if loaded is None else _with_left_out(made, desired, loaded)


def when_of(loaded: LoadedMapping) -> Rendered | None:
    """The `when` of a mapping that says no."""
    if loaded.file.when is None:
        return None
    origin = Origin(loaded.file.when, loaded.document.text_place("when"))
    return Rendered("when", None, None, origin, "the mapping's `when` says no: the record is skipped")


def _contact(contact: DesiredContact | None) -> Iterator[Rendered]:
    if contact is None:
        return
    yield from _values("contact", contact.values)
    yield from _values("contact", [*contact.phones, *contact.emails])
    yield from _values("contact.fields", contact.fields)
    yield from _tags("contact", contact)


def _lead(lead: DesiredLead | None) -> Iterator[Rendered]:
    if lead is None:
        return
    yield from _values("lead", lead.values)
    yield from _values("lead.fields", lead.fields)
    yield from _tags("lead", lead)


def _note(note: DesiredValue | None) -> Iterator[Rendered]:
    if note is not None:
        yield Rendered("note", note.text, note.write, note.origin)


def _values(part: str, values: Sequence[DesiredValue]) -> Iterator[Rendered]:
    for one in values:
        yield Rendered(f"{part}.{one.target}", one.text, one.write, one.origin)


def _tags(part: str, section: DesiredContact | DesiredLead) -> Iterator[Rendered]:
    for tag in section.tags:
        if tag in section.tag_origins:
            yield Rendered(f"{part}.tags", tag, None, section.tag_origins[tag])


def _with_left_out(made: Sequence[Rendered], desired: Desired, loaded: LoadedMapping) -> list[Rendered]:
    """The same in the order of the file, with the targets that came out empty."""
    lines = {(one.target, one.origin.place.line) for one in made}
    named = {one.target for one in made}
    found = list(made)
    for target, template, path in _targets(loaded):
        place = loaded.document.text_place(*path)
        there = (target, place.line) in lines if target.endswith(".tags") else target in named
        if not there:
            nobody = target.startswith("contact.") and desired.contact is None
            why = NOBODY if nobody else NO_NEWS if target == "note" else EMPTY
            found.append(Rendered(target, None, None, Origin(template.strip(), place), why))
    return sorted(found, key=lambda one: one.origin.place.line)


def _targets(loaded: LoadedMapping) -> Iterator[tuple[str, str, Path]]:
    file = loaded.file
    for part, section in (("contact", file.contact), ("lead", file.lead)):
        if section is not None:
            yield from _section(part, section)
    if file.note is not None:
        yield "note", file.note, ("note",)


def _section(part: str, section: ContactSection | LeadSection) -> Iterator[tuple[str, str, Path]]:
    for name in type(section).model_fields:
        if name not in NOT_VALUES and (value := getattr(section, name)) is not None:
            yield f"{part}.{name}", *_template(value, (part, name))
    for field, value in section.fields.items():
        yield f"{part}.fields.{field}", *_template(value, (part, "fields", field))
    for index, tag in enumerate(section.tags):
        yield f"{part}.tags", str(tag), (part, "tags", index)


def _template(value: object, path: Path) -> tuple[str, Path]:
    return (value.value, (*path, "value")) if isinstance(value, LongValue) else (str(value), path)
