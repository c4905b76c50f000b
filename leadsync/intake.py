"""Intake: from what a source found to what a record wants; the first half of every run, plan and push."""

from __future__ import annotations

import time
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import orjson

from leadsync.amocrm.catalogue import Catalogue
from leadsync.config.loader import ConfiguredSource, LoadedMapping, Project
from leadsync.config.reading import shown_path
from leadsync.errors import ConfigurationError, Problem, RecordError
from leadsync.mapping.condition import Condition
from leadsync.mapping.mapper import Mapper
from leadsync.mapping.missing_keys import MissingKeys
from leadsync.mapping.talk import Noted, talk_since
from leadsync.mapping.wording import wording_of
from leadsync.mapping.yaml_mapper import MapperContext, load_mapper
from leadsync.records import Record
from leadsync.sources.base import RawRecord
from leadsync.state.links import Link
from leadsync.sync.fixed_values import value_problems
from leadsync.sync.mapped import Mapped
from leadsync.sync.names import name_problems
from leadsync.sync.resolve import Resolver
from leadsync.sync.spots import in_reading_order, mappings_of

if TYPE_CHECKING:
    from leadsync.sync.account_names import AccountNames


@dataclass(frozen=True, slots=True)
class PreparedMapping:
    """A mapping file made ready for this account: its name for people, what it says, and how its names and texts are
    typed."""

    name: str
    mapper: Mapper
    resolver: Resolver


@dataclass(frozen=True, slots=True)
class Taken:
    """A record that was read and is wanted, with its key and how it is mapped; `pushed` is what no source holds.

    `mark` is what is remembered of its bytes once it is accepted (state.seen). `came` is when it was pushed or read
    (unix seconds); `kept` is the name under which it is kept as refused, when it comes from there. `on_trial`: when it
    is refused, a part of it is tried next.
    """

    key: str
    place: str
    record: Record
    mapping: PreparedMapping
    pushed: Mapping[str, Any] | None = None
    mark: bytes = b""
    came: float = field(default_factory=time.time)
    kept: str | None = None
    on_trial: bool = False


class Skipped(Exception):
    """The mapping's `when` says that this record is none of ours; carries its key."""


class Intake:
    """Reads and maps the records of one configured source."""

    def __init__(
        self, source: ConfiguredSource, mappings: Mapping[str | None, PreparedMapping], wording: bytes = b""
    ) -> None:
        self.source = source
        self.wording = wording
        self._mappings = mappings
        self.missing = MissingKeys()

    def read(self, raw: RawRecord, mark: bytes = b"") -> Taken:
        """Read a raw record. Raises RecordError when it cannot be, Skipped when it is not wanted."""
        return self.take(raw.read(), raw.place, mark=mark)

    def take(self, record: Record, place: str, pushed: Mapping[str, Any] | None = None, mark: bytes = b"") -> Taken:
        """Give a record its key and its mapping. Raises RecordError, Skipped."""
        mapping = self._mappings.get(record.source) or self._mappings.get(None)
        if mapping is None:
            known = ", ".join(sorted(str(one) for one in self._mappings))
            raise RecordError(
                "no mapping for records of this `source`",
                field="source",
                where=place,
                do=f"name one under sources.{self.source.name}.mapping, which has: {known}",
            )
        key = mapping.mapper.key(record)
        if not mapping.mapper.wanted(record):
            raise Skipped(key)
        return Taken(key, place, record, mapping, pushed, mark)

    def map(self, taken: Taken, link: Link) -> Mapped:
        """Say what a record wants, given what we remember of it. Raises RecordError."""
        noted = Noted.from_bytes(b64decode(link.noted)) if link.noted else None
        talk, noted_then = talk_since(taken.record, noted)
        desired = taken.mapping.mapper.map(taken.record, talk)
        self.missing.add(taken.record, desired.missing, taken.mapping.name)
        noted_text = b64encode(noted_then.to_bytes()).decode()
        return Mapped(taken.key, taken.place, desired, noted_text, link, taken.mapping.resolver)


class Intakes:
    """The intakes of a project's sources; every mapping file is compiled once."""

    def __init__(self, project: Project, catalogue: Catalogue, mappers: Mapping[Path, Mapper]) -> None:
        """`mappers` are those of `compile_mappings`."""
        self._project = project
        self._catalogue = catalogue
        self._mappings = {one.path: self._prepared(one, mappers[one.path]) for one in mappings_of(project)}
        self._wording = wording_of(project, mappers.values(), catalogue, account_zone(catalogue, ZoneInfo("UTC")))

    def of(self, name: str) -> Intake:
        """The intake of one source."""
        source = self._project.sources[name]
        mappings = {value: self._mappings[one.path] for value, one in source.mappings.items()}
        return Intake(source, mappings, self._wording)

    def for_record(self, record: Record, source: str | None = None) -> Intake:
        """The intake of the `source` it came from, where that is still there, or else of the first source that has a
        mapping for this record. Raises RecordError."""
        if source is not None and source in self._project.sources:
            return self.of(source)
        for name, one in self._project.sources.items():
            if record.source in one.mappings or None in one.mappings:
                return self.of(name)
        raise RecordError(
            "no source of leadsync.yaml has a mapping for records of this `source`",
            field="source",
            do="add one under `mapping:`",
        )

    @property
    def key_fields(self) -> set[int]:
        """The ids of the lead fields that hold records' keys."""
        resolvers = (one.resolver for one in self._mappings.values())
        return {field.id for one in resolvers if (field := one.key_field) is not None}

    def _prepared(self, loaded: LoadedMapping, mapper: Mapper) -> PreparedMapping:
        file = self._project.file
        resolver = Resolver(
            self._catalogue,
            country=file.defaults.country,
            zone=account_zone(self._catalogue, ZoneInfo(file.defaults.timezone)),
            strip_emoji=file.amocrm.four_byte_characters == "strip",
            key_field=loaded.file.key_field if mapper.key_field is None else mapper.key_field,
        )
        return PreparedMapping(shown_path(loaded.path), mapper, resolver)


async def open_intakes(project: Project, mappers: Mapping[Path, Mapper], account: AccountNames) -> Intakes:
    """The intakes, once the account has all that the mappings name.

    The account is read anew before anything is said to be missing. Raises ConfigurationError with every problem,
    AmoCRMAPIError, StateUnavailable.
    """
    problems = account_problems(project, account.catalogue)
    if problems and account.is_kept and await account.renew(account.readings):
        problems = account_problems(project, account.catalogue)
    if problems:
        what = "the mappings do not fit the account"
        raise ConfigurationError(what, do="correct what stands below", problems=problems)
    return Intakes(project, account.catalogue, mappers)


def account_problems(project: Project, catalogue: Catalogue) -> list[Problem]:
    """Names of the mappings that the account does not have, and fixed values that its fields do not take."""
    zone = account_zone(catalogue, ZoneInfo(project.file.defaults.timezone))
    found = name_problems(project, catalogue) + value_problems(project, catalogue, zone)
    return in_reading_order(found, project)


def compile_mappings(project: Project) -> dict[Path, Mapper]:
    """The mapper of each mapping file. Raises ConfigurationError with every mistake; nothing is read or asked."""
    context = _context(project)
    mappers: dict[Path, Mapper] = {}
    problems: list[Problem] = []
    for loaded in mappings_of(project):
        try:
            mappers[loaded.path] = load_mapper(loaded, context)
        except ConfigurationError as error:
            problems += error.problems or [Problem(error.what, loaded.document.place(), do=error.do)]
    for name in project.sources:
        try:
            send_condition(project, name)
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        what = "the mappings have mistakes"
        raise ConfigurationError(what, do="correct what stands below", problems=in_reading_order(problems, project))
    return mappers


def keeps_keys(project: Project) -> bool:
    """Whether a mapping names a `key_field`, by which the account can give back what was forgotten."""
    return any(one.file.key_field is not None for one in mappings_of(project))


def send_condition(project: Project, name: str) -> Condition | None:
    """`send_when` of a source, compiled. Raises ConfigurationError."""
    text = project.sources[name].section.send_when
    path = ("sources", name, "send_when")
    return None if text is None else Condition(text, project.document, path, _context(project))


def _context(project: Project) -> MapperContext:
    file = project.file
    return MapperContext(file.defaults.country, ZoneInfo(file.defaults.timezone), file.tables)


def keepable(record: Any) -> dict[str, Any] | None:
    """A record as plain JSON data, so that it can be shown and tried again; None for what no JSON can hold."""
    try:
        raw = _spread(record) if isinstance(record, Record) else record
        plain = orjson.loads(orjson.dumps(raw, default=str, option=orjson.OPT_NON_STR_KEYS))
    except (TypeError, ValueError, RecursionError):
        return None
    return plain if isinstance(plain, dict) else None


def _spread(record: Record) -> dict[str, Any]:
    """A record as the mapping that it would be read from."""
    known = asdict(record)
    return {**known.pop("extra"), **known}


def account_zone(catalogue: Catalogue, default: ZoneInfo) -> ZoneInfo:
    """The zone in which the account's dates begin."""
    return ZoneInfo(catalogue.account.timezone) if catalogue.account.timezone else default
