"""Comparing: each value three times, as we wrote it last, as it stands in amoCRM, and as the talk says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from zoneinfo import ZoneInfo

from leadsync.amocrm.catalogue import Catalogue, NameNotFound
from leadsync.explaining.explanation import Compared, Entity, Wrote
from leadsync.mapping.contact_keys import email_key, phone_key
from leadsync.sync.changes import digest
from leadsync.sync.compare import Current, is_as_written, written_by
from leadsync.sync.resolve import Value, WantedContact, WantedLead

PLAIN = ("name", "first_name", "last_name", "price", "stage", "responsible")
LISTS = {"phone": "phone", "email": "e-mail", "tag": "tag"}


class Comparing:
    """Compares one entity of a record; `wrote` is what we remember of it by slot."""

    def __init__(
        self, entity: Entity, key: str, current: Current, wrote: Mapping[str, str], catalogue: Catalogue, country: str
    ) -> None:
        self._entity, self._key, self._current, self._wrote = entity, key, current, wrote
        self._catalogue = catalogue
        self._country = country

    def compared(self, wanted: WantedContact | WantedLead | None) -> list[Compared]:
        """Every value that the record wants, then those that we wrote and it does not want now."""
        values: Sequence[Value] = wanted.values if wanted is not None else ()
        found = [self._value(one.slot, one.label, one.shown) for one in values]
        known = {one.slot for one in values}
        for slot in self._wrote:
            if slot not in known and (label := self._label(slot)) is not None:
                found.append(self._value(slot, label, None))
        return [*found, *self._lists(wanted)]

    def _value(self, slot: str, label: str, wanted: str | None) -> Compared:
        wrote, now = self._wrote.get(slot), self._current.canonical(slot)
        return Compared(
            self._entity, label, self._verdict(wrote, now or ""), self._current.shown(slot) if now else None, wanted
        )

    def _verdict(self, wrote: str | None, now: str) -> Wrote:
        if wrote is None:
            return "never written"
        if not is_as_written(now, wrote):
            return "changed since" if now else "removed since"
        return "as we wrote it" if written_by(wrote) == digest(self._key) else "another record's"

    def _label(self, slot: str) -> str | None:
        """What a slot is called; None for what is no value, or a field that the account has no more."""
        if not slot.startswith("cf:"):
            return slot if slot in PLAIN else None
        try:
            return self._catalogue.field("contacts" if self._entity == "contact" else "leads", slot[3:]).name
        except NameNotFound:
            return None

    def _lists(self, wanted: WantedContact | WantedLead | None) -> Iterator[Compared]:
        """Phones, e-mails and tags: each is there or not, and comes from us or not."""
        tags = wanted.tags if wanted is not None else ()
        phones, emails = (wanted.phones, wanted.emails) if isinstance(wanted, WantedContact) else ((), ())
        there = {"phone": self._there("PHONE"), "email": self._there("EMAIL"), "tag": self._current.tags}
        for kind, texts in (("phone", phones), ("email", emails), ("tag", tags)):
            ours = [slot.partition(":")[2] for slot in self._wrote if slot.startswith(f"{kind}:")]
            for text in dict.fromkeys((*texts, *ours)):
                is_there, is_ours = text in there[kind], text in ours
                wrote: Wrote = "never written" if not is_ours else "as we wrote it" if is_there else "removed since"
                now, said = (text if yes else None for yes in (is_there, text in texts))
                yield Compared(self._entity, LISTS[kind], wrote, now, said)

    def _there(self, code: str) -> set[str]:
        texts = [str(one["value"]) for one in self._current.values(code)]
        keys = [phone_key(one, self._country) if code == "PHONE" else email_key(one) for one in texts]
        return {one for one in keys if one is not None}


def current_of(body: dict[str, object], entity: Entity, catalogue: Catalogue, zone: ZoneInfo) -> Current:
    """An entity as amoCRM shows it."""
    return Current(body, "contacts" if entity == "contact" else "leads", catalogue, zone)
