"""Intake: from what a source found to what a record wants; the first half of every run, plan and push."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from leadsync.amocrm.catalogue import Catalogue
from leadsync.config.loader import ConfiguredSource, LoadedMapping, Project
from leadsync.errors import ConfigurationError, RecordError
from leadsync.mapping.mapper import Mapper
from leadsync.mapping.missing_keys import MissingKeys
from leadsync.mapping.talk import Noted, talk_since
from leadsync.mapping.yaml_mapper import MapperContext, load_mapper
from leadsync.records import Record
from leadsync.sources.base import RawRecord
from leadsync.state.links import Link
from leadsync.sync.names import name_problems
from leadsync.sync.planner import Mapped
from leadsync.sync.resolve import Resolver


@dataclass(frozen=True, slots=True)
class PreparedMapping:
    """A mapping file made ready for this account: what it says, and how its names and texts are typed."""

    mapper: Mapper
    resolver: Resolver


@dataclass(frozen=True, slots=True)
class Taken:
    """A record that was read and is wanted, with its key and how it is mapped; `pushed` is what no source holds."""

    key: str
    place: str
    record: Record
    mapping: PreparedMapping
    pushed: Mapping[str, Any] | None = None


class Skipped(Exception):
    """The mapping's `when` says that this record is none of ours; carries its key."""


class Intake:
    """Reads and maps the records of one configured source."""

    def __init__(self, source: ConfiguredSource, mappings: Mapping[str | None, PreparedMapping]) -> None:
        self.source = source
        self._mappings = mappings
        self.missing = MissingKeys()

    def read(self, raw: RawRecord) -> Taken:
        """Read a raw record. Raises RecordError when it cannot be, Skipped when it is not wanted."""
        return self.take(raw.read(), raw.place)

    def take(self, record: Record, place: str, pushed: Mapping[str, Any] | None = None) -> Taken:
        """Give a record its key and its mapping. Raises RecordError, Skipped."""
        mapping = self._mappings.get(record.source) or self._mappings.get(None)
        if mapping is None:
            known = ", ".join(sorted(str(one) for one in self._mappings))
            raise RecordError(
                f"no mapping for records whose source is {record.source!r}",
                field="source",
                where=place,
                do=f"name one under sources.{self.source.name}.mapping, which has: {known}",
            )
        key = mapping.mapper.key(record)
        if not mapping.mapper.wanted(record):
            raise Skipped(key)
        return Taken(key, place, record, mapping, pushed)

    def map(self, taken: Taken, link: Link) -> Mapped:
        """Say what a record wants, given what we remember of it. Raises RecordError."""
        noted = Noted.from_bytes(b64decode(link.noted)) if link.noted else None
        talk, noted_then = talk_since(taken.record, noted)
        desired = taken.mapping.mapper.map(taken.record, talk)
        self.missing.add(taken.record, desired.missing)
        noted_text = b64encode(noted_then.to_bytes()).decode()
        return Mapped(taken.key, taken.place, desired, noted_text, link, taken.mapping.resolver)


class Intakes:
    """The intakes of a project's sources; every mapping file is compiled once."""

    def __init__(self, project: Project, catalogue: Catalogue) -> None:
        """Compile the mappings. Raises ConfigurationError with every mistake and every name the account lacks."""
        self._project = project
        self._catalogue = catalogue
        self._mappings: dict[Path, PreparedMapping] = {}
        self._compile()

    def of(self, name: str) -> Intake:
        """The intake of one source."""
        source = self._project.sources[name]
        return Intake(source, {value: self._mappings[one.path] for value, one in source.mappings.items()})

    def for_record(self, record: Record) -> Intake:
        """The intake of the first source that has a mapping for this record. Raises RecordError."""
        for name, source in self._project.sources.items():
            if record.source in source.mappings or None in source.mappings:
                return self.of(name)
        raise RecordError(
            f"no source of leadsync.yaml has a mapping for records whose source is {record.source!r}",
            field="source",
            do="add one under `mapping:`",
        )

    @property
    def key_fields(self) -> set[int]:
        """The ids of the lead fields that hold records' keys."""
        resolvers = (one.resolver for one in self._mappings.values())
        return {field.id for one in resolvers if (field := one.key_field) is not None}

    def _compile(self) -> None:
        found = {one.path: one for source in self._project.sources.values() for one in source.mappings.values()}
        mappers: dict[Path, Mapper] = {}
        problems = name_problems(found.values(), self._catalogue)
        what = "the account does not have everything the mappings name" if problems else "the mappings have mistakes"
        for path, loaded in found.items():
            try:
                mappers[path] = self._mapper(loaded)
            except ConfigurationError as error:
                if not error.problems:
                    raise
                what = "the mappings have mistakes"
                problems += error.problems
        if problems:
            files = [*(one.document.place().file for one in found.values()), *(one.place.file for one in problems)]
            order = list(dict.fromkeys(files))
            problems.sort(key=lambda one: (order.index(one.place.file), one.place.line, one.place.column))
            raise ConfigurationError(what, do="correct what stands below", problems=problems)
        self._mappings = {path: self._prepared(found[path], mapper) for path, mapper in mappers.items()}

    def _mapper(self, loaded: LoadedMapping) -> Mapper:
        file = self._project.file
        zone = ZoneInfo(file.defaults.timezone)
        return load_mapper(loaded, MapperContext(country=file.defaults.country, zone=zone, tables=file.tables))

    def _prepared(self, loaded: LoadedMapping, mapper: Mapper) -> PreparedMapping:
        file = self._project.file
        resolver = Resolver(
            self._catalogue,
            country=file.defaults.country,
            zone=account_zone(self._catalogue, ZoneInfo(file.defaults.timezone)),
            strip_emoji=file.amocrm.four_byte_characters == "strip",
            key_field=loaded.file.key_field if mapper.key_field is None else mapper.key_field,
        )
        return PreparedMapping(mapper, resolver)


def keepable(record: Any) -> dict[str, Any] | None:
    """A record as plain JSON data, so that it can be shown and tried again; None for what no JSON can hold."""
    try:
        raw = {**record.extra, **asdict(record)} if isinstance(record, Record) else record
        plain = orjson.loads(orjson.dumps(raw, default=str, option=orjson.OPT_NON_STR_KEYS))
    except (TypeError, ValueError, RecursionError):
        return None
    return plain if isinstance(plain, dict) else None


def account_zone(catalogue: Catalogue, default: ZoneInfo) -> ZoneInfo:
    """The zone in which the account's dates begin."""
    return ZoneInfo(catalogue.account.timezone) if catalogue.account.timezone else default
