"""Talks: what sources still hold of a person, since the next run would make it again."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import asdict, dataclass, field

from leadsync.chunks import raw_records
from leadsync.errors import LeadsyncError, RecordError, StateUnavailable
from leadsync.forgetting.asked import Mentions
from leadsync.forgetting.held import Talk
from leadsync.intake import Intake, Intakes, Skipped
from leadsync.mapping.contact_keys import email_key, phone_key
from leadsync.project import Connections
from leadsync.records import Record
from leadsync.sources.base import RawRecord


@dataclass(slots=True)
class Talks:
    """Looks through the project's sources. `unread` are those that could not be read, with the reason."""

    connections: Connections
    intakes: Intakes
    unread: list[str] = field(default_factory=list)

    async def of(self, keys: set[str], contact_keys: set[str]) -> list[Talk]:
        """The talks with one of the keys, or of, or about somebody with one of the phones or e-mails."""
        found: list[Talk] = []
        mentions = Mentions(contact_keys)
        for name in self.connections.project.sources:
            intake = self.intakes.of(name)
            try:
                async with aclosing(raw_records(self.connections, intake)) as records:
                    async for raw in records:
                        talk = self._talk(intake, raw, keys, contact_keys, mentions)
                        if talk is not None:
                            found.append(talk)
            except StateUnavailable:
                raise
            except LeadsyncError as error:
                self.unread.append(f"{name}: {error.what}")
        return found

    def _talk(
        self, intake: Intake, raw: RawRecord, keys: set[str], contact_keys: set[str], mentions: Mentions
    ) -> Talk | None:
        try:
            record = raw.read()
        except RecordError:
            named = mentions.in_text(raw.as_found() or "")
            return Talk(intake.source.name, raw.place, raw.place, is_theirs=named) if named else None
        key = _key_of(intake, record, raw.place)
        is_theirs = key in keys or not contact_keys.isdisjoint(self._own(record))
        if is_theirs or mentions.in_data(asdict(record)):
            return Talk(intake.source.name, raw.place, key, is_theirs)
        return None

    def _own(self, record: Record) -> set[str]:
        """The contact keys that the record itself names as its person's."""
        country = self.connections.project.file.defaults.country
        phone, email = phone_key(record.phone, country), email_key(record.email)
        return {f"{kind}:{one}" for kind, one in (("phone", phone), ("email", email)) if one}


def _key_of(intake: Intake, record: Record, place: str) -> str:
    """The record's key; where no mapping makes one, its place."""
    try:
        return intake.take(record, place).key
    except Skipped as skipped:
        return str(skipped)
    except RecordError:
        return place
