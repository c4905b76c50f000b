"""The mapper of YAML files: a mapping compiled once, then Record → Desired; and the choice of a mapper."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from typing import Any, Literal

from leadsync.config.document import Document
from leadsync.config.loader import LoadedMapping
from leadsync.config.models import ContactSection, LeadSection, LongValue, MappingFile, Value
from leadsync.errors import ConfigurationError, Problem, TemplateFailed
from leadsync.mapping.condition import FALSE
from leadsync.mapping.contact_keys import email_key, phone_key
from leadsync.mapping.desired import Desired, DesiredContact, DesiredLead, DesiredValue, Origin, WriteMode
from leadsync.mapping.environment import MapperContext, MappingEnvironment
from leadsync.mapping.mapper import Mapper
from leadsync.mapping.record_names import record_names, talk_text
from leadsync.mapping.talk import Talk, history_text
from leadsync.mapping.templates import Compiler, Template
from leadsync.plugins import load
from leadsync.records import Record

__all__ = ["MapperContext", "YamlMapper", "load_mapper"]

_NUL = "\0"
_SEVERAL = re.compile(r"[,;\n]")
_LOOKS_LIKE_PHONE, _LOOKS_LIKE_EMAIL = re.compile(r"\d"), re.compile("@")
_TALK = frozenset({"messages", "all_messages"})
_CONTACT_VALUES = ("name", "first_name", "last_name", "responsible")
_LEAD_VALUES = ("name", "price", "pipeline", "status", "responsible")


@dataclass(frozen=True, slots=True)
class _Target:
    """A value of the mapping: what it is for, its template, and when it may be written.

    `listens` is true when a message may give it; `fixed` is the value of a template that says the same for everybody.
    """

    name: str
    template: Template
    write: WriteMode
    listens: bool
    fixed: DesiredValue | None = None

    @classmethod
    def of(cls, name: str, template: Template, write: WriteMode) -> _Target:
        target = cls(name, template, write, not template.names.isdisjoint(_TALK))
        return target if template.constant is None else replace(target, fixed=target.value({}))

    def value(self, names: dict[str, Any]) -> DesiredValue | None:
        if self.fixed is not None:
            return self.fixed
        origin, message = self.template.origin, None
        if self.listens:
            text, message = self._heard(names)
        else:
            text = self.template.render(names).strip()
        if not text:
            return None
        if message is not None:
            origin = replace(origin, message=message)
        return DesiredValue(self.name, text, self.write, origin)

    def _heard(self, names: dict[str, Any]) -> tuple[str, int | None]:
        heard = self.template.environment.heard
        heard.listen()
        try:
            text = self.template.render(names).strip()
        finally:
            heard.listening = False
        return text, heard.number_in(names["all_messages"])


Compile = Callable[..., Template]


@dataclass(frozen=True, slots=True)
class _Section:
    """`contact:` or `lead:`, compiled."""

    values: tuple[_Target, ...]
    fields: tuple[_Target, ...]
    tags: tuple[Template, ...]

    @classmethod
    def of(cls, name: str, section: ContactSection | LeadSection, wanted: Sequence[str], compile: Compile) -> _Section:
        values = ((target, getattr(section, target)) for target in wanted)
        return cls(
            tuple(_target(value, compile, name, target) for target, value in values if value is not None),
            tuple(_target(value, compile, name, "fields", target) for target, value in section.fields.items()),
            tuple(compile(text, name, "tags", index) for index, text in enumerate(section.tags)),
        )

    def render_tags(self, names: dict[str, Any]) -> dict[str, Origin]:
        """The tags that are not empty, each once, with where they come from."""
        found: dict[str, Origin] = {}
        for tag in self.tags:
            if text := tag.render(names).strip():
                found.setdefault(text, tag.origin)
        return found


def _values(targets: Sequence[_Target], names: dict[str, Any]) -> tuple[DesiredValue, ...]:
    return tuple([value for target in targets if (value := target.value(names)) is not None])


def _target(value: Value, compile: Compile, *path: str | int) -> _Target:
    if isinstance(value, LongValue):
        return _Target.of(str(path[-1]), compile(value.value, *path, "value"), value.write)
    return _Target.of(str(path[-1]), compile(value, *path), "update")


@dataclass(frozen=True, slots=True)
class _Contact:
    """`contact:`, compiled; `country` reads the phones in it."""

    match: tuple[Literal["phone", "email"], ...]
    section: _Section
    phone: _Target | None
    email: _Target | None
    country: str

    @classmethod
    def of(cls, section: ContactSection, compile: Compile, country: str) -> _Contact:
        phone = None if section.phone is None else _target(section.phone, compile, "contact", "phone")
        email = None if section.email is None else _target(section.email, compile, "contact", "email")
        inner = _Section.of("contact", section, _CONTACT_VALUES, compile)
        return cls(tuple(section.match), inner, phone, email, country)

    def render(self, names: dict[str, Any]) -> DesiredContact | None:
        """The person, or None without any phone and e-mail."""
        phones = self._several(self.phone, names, lambda text: phone_key(text, self.country), _LOOKS_LIKE_PHONE)
        emails = self._several(self.email, names, email_key, _LOOKS_LIKE_EMAIL)
        if not phones and not emails:
            return None
        values, fields = _values(self.section.values, names), _values(self.section.fields, names)
        tags = self.section.render_tags(names)
        return DesiredContact(self.match, phones, emails, values, fields, tuple(tags), tags)

    def _several(
        self, target: _Target | None, names: dict[str, Any], key: Callable[[str], str | None], looks: re.Pattern[str]
    ) -> tuple[DesiredValue, ...]:
        """The values of one text: several when it is a list of them; none for a word like `нет` in their place."""
        value = None if target is None else target.value(names)
        if value is None or not looks.search(value.text):
            return ()
        if not _SEVERAL.search(value.text):
            return (value,)
        parts = [part.strip() for part in _SEVERAL.split(value.text)]
        keys = dict.fromkeys(map(key, parts))
        if None in keys:
            return (value,)
        first = dict(zip(map(key, reversed(parts)), reversed(parts), strict=True))
        # Which of several comes from the message nobody can tell.
        origin = replace(value.origin, message=None)
        return tuple(replace(value, text=first[found], origin=origin) for found in keys)


class YamlMapper(Mapper):
    """The mapper of a YAML file. Raises ConfigurationError with every template that cannot be read.

    In `note` the name `messages` means the new ones, and `conversation_history` and `continued` go with it; everywhere
    else it means the whole talk and `continued` is false, so that a lead's fields do not change because time passes.
    """

    def __init__(self, file: MappingFile, document: Document, context: MapperContext) -> None:
        self.key_field = file.key_field
        self.uses_note = file.note is not None
        self._environment = MappingEnvironment(context)
        compiler = Compiler(document, self._environment)
        compile = compiler.compile
        self._key = compile(file.key, "key")
        self._when = None if file.when is None else compile(file.when, "when")
        self._contact = None if file.contact is None else _Contact.of(file.contact, compile, context.country)
        self._lead = None if file.lead is None else _Section.of("lead", file.lead, _LEAD_VALUES, compile)
        self._lead_match: Literal["none", "open"] = "none" if file.lead is None else file.lead.match
        self._note = None if file.note is None else compile(file.note, "note")
        compiler.finish()
        self._uses_history = "conversation_history" in compiler.names
        self._globals = dict(self._environment.globals)
        self._looked_at: Record | None = None
        self._seen: dict[str, Any] = {}

    def key(self, record: Record) -> str:
        """The record's identity. Raises TemplateFailed when it is empty or holds a NUL character."""
        return self._render_key(self._names(record))

    def wanted(self, record: Record) -> bool:
        """False when `when` renders to nothing, `false`, `none` or `0`."""
        return self._when is None or self._when.render(self._names(record)).strip().lower() not in FALSE

    def map(self, record: Record, talk: Talk) -> Desired:
        """Every value that is not empty; a contact when it has a phone or an e-mail; a note when there is news."""
        self._environment.missing.clear()
        names = self._names(record)
        key = self._render_key(names)
        contact = None if self._contact is None else self._contact.render(names)
        lead = None if self._lead is None else self._render_lead(self._lead, names)
        note = self._render_note(names, record, talk)
        news = len(talk.new) or None if note is not None else None
        return Desired(key, contact, lead, note, tuple(self._environment.missing), news)

    def _names(self, record: Record) -> dict[str, Any]:
        """What templates may name: Jinja's functions, then what the record brings, then the fields of every record.

        The same for one record, whose key, `when` and values are asked for one after the other.
        """
        if self._looked_at is not record:
            self._looked_at = record
            self._seen = record_names(record, self._globals, history=self._uses_history)
        return self._seen

    def _render_key(self, names: dict[str, Any]) -> str:
        key = self._key.render(names).strip()
        if not key:
            what = "the key of this record is empty"
            do = "build the key of something that every record has: {{ source }}:{{ id }}"
            raise TemplateFailed(what, field="key", where=self._key.place, do=do)
        if _NUL in key:
            what = "the key of this record holds a NUL character, which stands for something else in our memory"
            do = "take the character out of what the key is built of: {{ id | replace('\\0', '') }}"
            raise TemplateFailed(what, field="key", where=self._key.place, do=do)
        return key

    def _render_lead(self, section: _Section, names: dict[str, Any]) -> DesiredLead:
        values, fields = _values(section.values, names), _values(section.fields, names)
        tags = section.render_tags(names)
        return DesiredLead(self._lead_match, values, fields, tuple(tags), tags, self._key.origin)

    def _render_note(self, names: dict[str, Any], record: Record, talk: Talk) -> DesiredValue | None:
        if self._note is None or not talk.says_something:
            return None
        news = {"messages": talk.new, "continued": talk.continued}
        if self._uses_history:
            news["conversation_history"] = _history_news(record, talk)
        text = self._note.render(names | news).strip()
        return DesiredValue("note", text, "create", self._note.origin) if text else None


def _history_news(record: Record, talk: Talk) -> str:
    """What of the talk's text a note does not hold yet."""
    if not record.messages:
        return talk.history
    return history_text(talk.new) if talk.continued else talk_text(record)


def load_mapper(loaded: LoadedMapping, context: MapperContext) -> Mapper:
    """The mapper of a mapping file: the YAML one, or the one it names in `mapper`.

    `mapper` is a name of the plugin group `leadsync.mappers` or an import path (`package:Class`); it is called with
    the file, its document and the context, as YamlMapper is. Raises ConfigurationError.
    """
    name = loaded.file.mapper
    if name is None:
        return YamlMapper(loaded.file, loaded.document, context)
    return _mapper_class(name, loaded)(loaded.file, loaded.document, context)


def _mapper_class(name: str, loaded: LoadedMapping) -> Callable[..., Mapper]:
    try:
        found = EntryPoint(name, name, "leadsync.mappers").load() if ":" in name else load("mappers", name)
    except (ImportError, AttributeError, ValueError) as error:
        raise _no_mapper(f"the mapper `{name}` cannot be imported: {type(error).__name__}", loaded) from error
    except ConfigurationError as error:
        raise _no_mapper(error.what, loaded, error.do) from error
    if isinstance(found, type) and issubclass(found, Mapper):
        return found
    raise _no_mapper(f"the mapper `{name}` is no subclass of leadsync.mapping.mapper.Mapper", loaded)


def _no_mapper(
    what: str, loaded: LoadedMapping, do: str | None = "name a class as `package.module:Class`"
) -> ConfigurationError:
    place = loaded.document.text_place("mapper")
    return ConfigurationError(what, problems=[Problem(what, place, loaded.document.lines(place), do)])
