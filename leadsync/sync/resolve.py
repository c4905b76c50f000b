"""Resolve: from the mapping's names and texts to the account's ids and typed values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

from leadsync.amocrm.catalogue import Catalogue, CustomField
from leadsync.amocrm.field_values import canonical, encode, strip_four_byte
from leadsync.amocrm.plain_values import number_of
from leadsync.errors import ConfigurationError, ValueRefused
from leadsync.mapping.contact_keys import email_key, phone_key
from leadsync.mapping.desired import DesiredContact, DesiredLead, DesiredValue, Origin, WriteMode
from leadsync.sync.changes import digest

PHONE_DIGITS = re.compile(r"\d")

LARGEST_PRICE = 10**15
"""Beyond this a number is no price but something else: a phone, an account, a joke."""

EntityName = Literal["contacts", "leads"]


@dataclass(frozen=True, slots=True)
class Value:
    """One value to be set. `slot` names it for ever (`name`, `stage`, `cf:612345`), `label` as people call it.

    `canonical` is its meaning as one comparable text, `wire` what is sent: the values of a custom field, or the keys of
    the entity (`{"price": 100}`).
    """

    slot: str
    label: str
    shown: str
    canonical: str
    wire: Any
    write: WriteMode
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class WantedContact:
    """A person with everything typed; `phones` are E.164, `emails` lower case, `keys` those that recognise somebody."""

    phones: tuple[str, ...]
    emails: tuple[str, ...]
    keys: tuple[str, ...]
    values: tuple[Value, ...]
    tags: tuple[str, ...]

    @property
    def said(self) -> str:
        """A digest of everything wanted, to see at once whether a record wants something else than last time."""
        return _said(self.values, [*self.phones, *self.emails, *self.tags])


@dataclass(frozen=True, slots=True)
class WantedLead:
    """A lead with everything typed."""

    values: tuple[Value, ...]
    tags: tuple[str, ...]

    @property
    def said(self) -> str:
        """A digest of everything wanted."""
        return _said(self.values, self.tags)


def _said(values: Iterable[Value], others: Iterable[str]) -> str:
    return digest("\n".join([*(f"{one.slot}={one.write}={one.canonical}" for one in values), *others]))


def contact_keys_of(body: dict[str, Any], country: str) -> set[str]:
    """The contact keys (`phone:+7…`, `email:…`) of a contact as amoCRM shows it."""
    found = set()
    for one in body.get("custom_fields_values") or []:
        if one.get("field_code") == "PHONE":
            found |= {f"phone:{key}" for value in one["values"] if (key := phone_key(str(value["value"]), country))}
        elif one.get("field_code") == "EMAIL":
            found |= {f"email:{key}" for value in one["values"] if (key := email_key(str(value["value"])))}
    return found


class Resolver:
    """Turns what a mapping desires into what this account understands. Raises ValueRefused for what does not fit."""

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        country: str,
        zone: ZoneInfo,
        strip_emoji: bool,
        key_field: str | int | None = None,
    ) -> None:
        self.catalogue = catalogue
        self.country = country
        self.zone = zone
        self.strip_emoji = strip_emoji
        self._key_field = key_field
        self._known: dict[tuple[EntityName, str], CustomField] = {}

    @property
    def key_field(self) -> CustomField | None:
        """The lead's field that holds the record's key, when the mapping names one."""
        return None if self._key_field is None else self._field("leads", str(self._key_field))

    def clean(self, text: str) -> str:
        """The text as it may be sent: amoCRM may cut a value at its first four-byte character (amocrm-api-php #221)."""
        return strip_four_byte(text) if self.strip_emoji else text

    def contact(self, desired: DesiredContact) -> WantedContact:
        """A desired contact, typed."""
        phones = _unique(self._phone(one) for one in desired.phones)
        emails = _unique(self._email(one) for one in desired.emails)
        keys = [f"phone:{one}" for one in phones] if "phone" in desired.match else []
        keys += [f"email:{one}" for one in emails] if "email" in desired.match else []
        if desired.match[:1] == ("email",):
            keys.sort()  # "email:" stands before "phone:"
        values = [self._plain("contact", one) for one in desired.values]
        return WantedContact(
            tuple(phones), tuple(emails), tuple(keys), self._fields("contacts", values, desired.fields), desired.tags
        )

    def lead(self, desired: DesiredLead, key: str) -> WantedLead:
        """A desired lead, typed; with the record's key in its `key_field`, when the mapping names one."""
        texts = {one.target: one for one in desired.values}
        stage = self._stage(texts.pop("pipeline", None), texts.pop("status", None))
        values = [self._plain("lead", one) for one in texts.values()] + ([stage] if stage else [])
        resolved = self._fields("leads", values, desired.fields)
        if self.key_field is not None:
            resolved += (self._typed(self.key_field, key, "create"),)
        return WantedLead(resolved, desired.tags)

    def _phone(self, desired: DesiredValue) -> str:
        key = phone_key(desired.text, self.country)
        if key is None:
            digits = len(PHONE_DIGITS.findall(desired.text))
            raise ValueRefused(
                f"not a phone number ({digits} digits)",
                field="contact.phone",
                where=desired.place,
                do="correct the phone in the talk, or find it with `messages | find_phone`, which skips what is none",
            )
        return key

    def _email(self, desired: DesiredValue) -> str:
        key = email_key(desired.text)
        if key is None:
            raise ValueRefused(
                "not an e-mail address",
                field="contact.email",
                where=desired.place,
                do="correct the e-mail in the talk, or find it with `messages | find_email`, which skips what is none",
            )
        return key

    def _plain(self, part: str, desired: DesiredValue) -> Value:
        text = self.clean(desired.text).strip()
        if desired.target == "price":
            amount = self._price(desired, text)
            return Value("price", "price", str(amount), str(amount), {"price": amount}, desired.write, desired.origin)
        if desired.target == "responsible":
            user = _named(f"{part}.responsible", desired, lambda: self.catalogue.user(text))
            wire = {"responsible_user_id": user.id}
            return Value("responsible", "responsible", user.name, str(user.id), wire, desired.write, desired.origin)
        return Value(desired.target, desired.target, text, text, {desired.target: text}, desired.write, desired.origin)

    def _price(self, desired: DesiredValue, text: str) -> int:
        number = number_of(text)
        if number is None or abs(number) > LARGEST_PRICE:
            raise ValueRefused(
                "not a number" if number is None else "a number larger than a price can be",
                field="lead.price",
                where=desired.place,
                do="correct the price in the talk, or read it with the filter `money`",
            )
        return int(number.quantize(Decimal(1), rounding=ROUND_HALF_UP))

    def _stage(self, pipeline: DesiredValue | None, status: DesiredValue | None) -> Value | None:
        desired = status or pipeline
        if desired is None:
            return None
        if pipeline is not None:
            where = _named("lead.pipeline", pipeline, lambda: self.catalogue.pipeline(pipeline.text))
        else:
            where = self.catalogue.main_pipeline()
        # Without a status Kommo ignores the pipeline of an update, so the first working status is named.
        step = next(one for one in where.statuses if one.type == 0)
        if status is not None:
            step = _named("lead.status", status, lambda: self.catalogue.status(where, status.text))
        wire = {"pipeline_id": where.id, "status_id": step.id}
        return Value(
            "stage",
            "stage",
            f"{where.name} / {step.name}",
            f"{where.id}:{step.id}",
            wire,
            desired.write,
            desired.origin,
        )

    def _fields(self, entity: EntityName, values: list[Value], fields: Sequence[DesiredValue]) -> tuple[Value, ...]:
        for one in fields:
            part = f"{entity[:-1]}.fields.{one.target}"
            field: CustomField = _named(part, one, lambda one=one: self._field(entity, one.target))
            try:
                values.append(self._typed(field, self.clean(one.text), one.write, one.origin))
            except ValueRefused as error:
                error.field, error.where = part, error.where or one.place
                raise
        return tuple(values)

    def _field(self, entity: EntityName, name: str) -> CustomField:
        found = self._known.get((entity, name))
        if found is None:
            found = self._known[entity, name] = self.catalogue.field(entity, name)
        return found

    def _typed(self, field: CustomField, text: str, write: WriteMode, origin: Origin | None = None) -> Value:
        wire = encode(field, text, zone=self.zone)
        meaning = canonical(field, wire, zone=self.zone) or ""
        return Value(f"cf:{field.id}", field.name, text, meaning, wire, write, origin)


def _named(part: str, desired: DesiredValue, find: Any) -> Any:
    try:
        return find()
    except ConfigurationError as error:
        raise ValueRefused(error.what, field=part, where=desired.place, do=error.do) from error


def _unique(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
