"""Offline: what would be sent if every talk were new. amoCRM is not asked, and nothing remembered is looked at.

The items are typed for the account when an earlier run has left its names in Redis, else an account is imagined that
has everything the mappings name, and items hold names in place of ids. Records of one person are not put together: who
they are is known to the account only, so each shows a contact of its own.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from redis.asyncio import Redis

from leadsync import plugins
from leadsync.amocrm.catalogue import Catalogue
from leadsync.amocrm.imagined import ImaginedCatalogue
from leadsync.config.loader import Project
from leadsync.config.models import SANDBOX
from leadsync.done import refusal
from leadsync.errors import ConfigurationError, RecordError
from leadsync.intake import Intake, Intakes, PreparedMapping, Skipped, account_problems, compile_mappings
from leadsync.mapping.missing_keys import MissingKeys
from leadsync.mapping.talk import Talk
from leadsync.records import Record
from leadsync.selection import Selection
from leadsync.sources.base import RawRecord, Source, SourceContext
from leadsync.state.kept_catalogue import load_catalogue
from leadsync.state.namespace import Namespace
from leadsync.state.redis import open_redis
from leadsync.sync.changes import Change, Outcome
from leadsync.sync.new_items import NewItems
from leadsync.sync.results import RefusedRow

AS_IF_NEW = "offline: as if every talk were new; amoCRM was not asked"
"""What whoever reads the result has to know."""

BY_NAME = "the account's names are not kept here yet: items show names in place of ids"
MOVED_ON = "the mappings name what the account did not have when it was last read: items show names in place of ids"


@dataclass(frozen=True, slots=True)
class OfflineRecord:
    """What would be sent for one record: its items, or why it is refused."""

    key: str
    outcome: Outcome
    changes: Sequence[Change] = ()
    refused: RefusedRow | None = None


class Offline:
    """One source, read and mapped as if nothing had ever been sent; `notes` say what the items are made with."""

    def __init__(self, project: Project, redis: Redis, intake: Intake, notes: Sequence[str]) -> None:
        self.source = intake.source.name
        self.notes = tuple(notes)
        self._project = project
        self._redis = redis
        self._intake = intake
        self._items: dict[int, NewItems] = {}

    @property
    def missing(self) -> MissingKeys:
        """Which data keys the records lacked, once all are read."""
        return self._intake.missing

    async def records(self, selection: Selection) -> AsyncGenerator[OfflineRecord, None]:
        """The records one by one, with bounded memory. Raises ConfigurationError, StateUnavailable."""
        count = 0
        async with aclosing(self._raw_records()) as found:
            async for raw in found:
                one = self._record(raw)
                if not selection.has(one.key, raw.place):
                    continue
                yield one
                count += 1
                if count == selection.limit:
                    return

    async def _raw_records(self) -> AsyncGenerator[RawRecord, None]:
        configured = self._intake.source
        context = SourceContext(self._redis, self._project.folder, ZoneInfo(self._project.file.defaults.timezone))
        source: Source = plugins.load("sources", configured.section.type)(configured.name, configured.options, context)
        try:
            async for raw in source.raw_records():
                yield raw
        finally:
            await source.aclose()

    def _record(self, raw: RawRecord) -> OfflineRecord:
        key = raw.place
        try:
            taken = self._intake.read(raw)
            key = taken.key
            desired = taken.mapping.mapper.map(taken.record, whole_talk(taken.record))
            self._intake.missing.add(taken.record, desired.missing, taken.mapping.name)
            return OfflineRecord(key, "create", self._items_of(taken.mapping).of(desired))
        except Skipped as skipped:
            return OfflineRecord(str(skipped), "skipped")
        except RecordError as error:
            return OfflineRecord(key, "failed", refused=refusal(key, raw.place, error).refused[0])

    def _items_of(self, mapping: PreparedMapping) -> NewItems:
        found = self._items.get(id(mapping))
        if found is None:
            found = self._items[id(mapping)] = NewItems(mapping.resolver)
        return found


def whole_talk(record: Record) -> Talk:
    """The talk of a record of which nothing is noted: all of it is new."""
    if record.messages:
        return Talk(record.messages, False)
    return Talk((), False, (record.conversation_history or "").strip())


@asynccontextmanager
async def open_offline(project: Project, source: str | None) -> AsyncIterator[Offline]:
    """A source of the project, with its Redis and no account. Raises ConfigurationError, StateUnavailable."""
    name = _source(project, source)
    mappers = compile_mappings(project)
    async with await open_redis(project.file.redis.url, project.folder) as connection:
        catalogue, notes = await _catalogue(project, connection.client)
        intake = Intakes(project, catalogue, mappers).of(name)
        yield Offline(project, connection.client, intake, [AS_IF_NEW, *notes])


async def _catalogue(project: Project, redis: Redis) -> tuple[Catalogue, list[str]]:
    """The account's names as an earlier run kept them, else an imagined account."""
    kept = await load_catalogue(redis, Namespace(_account_name(project)))
    if kept is None:
        return ImaginedCatalogue(), [BY_NAME]
    try:
        catalogue = Catalogue.from_json(kept)
    except ValueError:
        return ImaginedCatalogue(), [BY_NAME]
    if account_problems(project, catalogue):
        return ImaginedCatalogue(), [MOVED_ON]
    return catalogue, []


def _account_name(project: Project) -> str:
    """The name under which things of the account are kept; see project.connect."""
    section = project.file.amocrm
    if section.subdomain == SANDBOX and not project.settings.amocrm_base_url:
        return SANDBOX
    return f"{section.subdomain}.{section.domain}"


def _source(project: Project, name: str | None) -> str:
    if name is None and len(project.sources) == 1:
        return next(iter(project.sources))
    if name is None or name not in project.sources:
        what = "several sources are configured" if name is None else f"no source is named {name!r}"
        do = f"use --source with one of: {', '.join(project.sources)}"
        raise ConfigurationError(what, where=str(project.path), do=do)
    return name
