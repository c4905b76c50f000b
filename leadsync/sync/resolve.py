"""Resolve: from the mapping's names and texts to the account's ids and typed values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

from leadsync.amocrm.catalogue import Catalogue, CustomField, NameNotFound
from leadsync.amocrm.field_values import Values, canonical, encode, strip_four_byte
from leadsync.amocrm.plain_values import number_of
from leadsync.errors import ValueRefused
from leadsync.mapping.contact_keys import email_key, phone_key
from leadsync.mapping.desired import DesiredContact, DesiredLead, DesiredValue, Origin, WriteMode
from leadsync.sync.changes import digest
from leadsync.sync.recognise import plain
from leadsync.sync.shown import shown_values

PHONE_DIGITS = re.compile(r"\d")

_FOUR_BYTES = re.compile("[\U00010000-\U0010ffff]")

LARGEST_PRICE = 10**15
"""Beyond this a number is no price but something else: a phone, an account, a joke."""

EntityName = Literal["contacts", "leads"]


@dataclass(frozen=True, slots=True)
class Value:
    """One value to be set. `slot` names it for ever (`name`, `stage`, `cf:612345`), `label` as people call it.

    `canonical` is its meaning as one comparable text, empty for what amoCRM shows as nothing (no tick, a price of 0);
    `cut` is that of what is left when amoCRM cuts the value at its first emoji, None where there is none. `wire` is
    what is sent: the values of a custom field, or the keys of the entity (`{"price": 100}`).
    """

    slot: str
    label: str
    shown: str
    canonical: str
    wire: Any
    write: WriteMode
    origin: Origin | None = None
    cut: str | None = None


@dataclass(frozen=True, slots=True)
class WantedContact:
    """A person with everything typed; `phones` are E.164, `emails` lower case, `keys` those that recognise somebody.

    `origins` says where each phone, e-mail and tag comes from, by slot (`phone:+7…`, `email:…`, `tag:…`).
    """

    phones: tuple[str, ...]
    emails: tuple[str, ...]
    keys: tuple[str, ...]
    values: tuple[Value, ...]
    tags: tuple[str, ...]
    origins: Mapping[str, Origin] = field(default_factory=dict)

    @property
    def said(self) -> str:
        """A digest of everything wanted, to see at once whether a record wants something else than last time."""
        return _said(self.values, [*self.phones, *self.emails, *self.tags])


@dataclass(frozen=True, slots=True)
class WantedLead:
    """A lead with everything typed; `origins` says where each tag comes from, by slot (`tag:…`)."""

    values: tuple[Value, ...]
    tags: tuple[str, ...]
    origins: Mapping[str, Origin] = field(default_factory=dict)

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

    @property
    def key_field(self) -> CustomField | None:
        """The lead's field that holds the record's key, when the mapping names one."""
        return None if self._key_field is None else self.catalogue.field("leads", self._key_field)

    def key_value(self, text: str, origin: Origin | None = None) -> Value | None:
        """A text for the `key_field`, when the mapping names one. Raises ValueRefused when the field cannot hold it."""
        return None if self.key_field is None else self._typed(self.key_field, text, "create", origin)

    def clean(self, text: str) -> str:
        """The text as it may be sent: amoCRM may cut a value at its first four-byte character (amocrm-api-php #221)."""
        return strip_four_byte(text) if self.strip_emoji else text

    def contact(self, desired: DesiredContact) -> WantedContact:
        """A desired contact, typed."""
        origins = {f"phone:{self._phone(one)}": one.origin for one in reversed(desired.phones)}
        origins |= {f"email:{self._email(one)}": one.origin for one in reversed(desired.emails)}
        phones = _unique(self._phone(one) for one in desired.phones)
        emails = _unique(self._email(one) for one in desired.emails)
        keys = [f"phone:{one}" for one in phones] if "phone" in desired.match else []
        keys += [f"email:{one}" for one in emails] if "email" in desired.match else []
        if desired.match[:1] == ("email",):
            keys.sort()  # "email:" stands before "phone:"
        values = self._values("contact", desired.values)
        fields = self._fields("contacts", values, desired.fields)
        tags = self._tags(desired.tags, desired.tag_origins, origins)
        return WantedContact(tuple(phones), tuple(emails), tuple(keys), fields, tags, origins)

    def lead(self, desired: DesiredLead, key: str) -> WantedLead:
        """A desired lead, typed; with the record's key in its `key_field`, when the mapping names one."""
        texts = {one.target: one for one in desired.values}
        stage = self._stage(texts.pop("pipeline", None), texts.pop("status", None))
        values = self._values("lead", texts.values()) + ([stage] if stage else [])
        resolved = self._fields("leads", values, desired.fields)
        if self.key_field is not None:
            resolved += (self._typed(self.key_field, key, "create", desired.key_origin),)
        origins: dict[str, Origin] = {}
        return WantedLead(resolved, self._tags(desired.tags, desired.tag_origins, origins), origins)

    def _tags(self, texts: Iterable[str], from_: Mapping[str, Origin], origins: dict[str, Origin]) -> tuple[str, ...]:
        """The tags as they are sent; where each comes from goes into `origins`."""
        tags: dict[str, None] = {}
        for text in texts:
            if tag := self.clean(text).strip():
                tags[tag] = None
                if text in from_:
                    origins.setdefault(f"tag:{tag}", from_[text])
        return tuple(tags)

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

    def _values(self, part: str, desired: Iterable[DesiredValue]) -> list[Value]:
        """The entity's own values; one of nothing but emoji that are not sent is nothing to send."""
        cleaned = ((one, self.clean(one.text).strip()) for one in desired)
        return [self._plain(part, one, text) for one, text in cleaned if text]

    def _plain(self, part: str, desired: DesiredValue, text: str) -> Value:
        if desired.target == "price":
            amount = self._price(desired, text)
            meaning, wire = str(amount or ""), {"price": amount}
            return Value("price", "price", str(amount), meaning, wire, desired.write, desired.origin)
        if desired.target == "responsible":
            user = _named(f"{part}.responsible", desired, lambda: self.catalogue.user(text))
            wire = {"responsible_user_id": user.id}
            return Value("responsible", "responsible", user.name, str(user.id), wire, desired.write, desired.origin)
        named = {desired.target: text}
        cut = None if (left := cut_at_emoji(text)) is None else plain(left)
        return Value(desired.target, desired.target, text, plain(text), named, desired.write, desired.origin, cut)

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
            field: CustomField = _named(part, one, lambda one=one: self.catalogue.field(entity, one.target))
            try:
                value = self._typed(field, self.clean(one.text), one.write, one.origin)
            except ValueRefused as error:
                error.field, error.where = part, error.where or one.place
                raise
            if value.wire:  # of nothing but emoji nothing may be left, and an empty list would clear the field
                values.append(value)
        return tuple(values)

    def _typed(self, field: CustomField, text: str, write: WriteMode, origin: Origin | None = None) -> Value:
        wire = encode(field, text, zone=self.zone)
        meaning = canonical(field, wire, zone=self.zone) or ""
        shown = shown_values(field, wire, self.zone) or ""
        return Value(f"cf:{field.id}", field.name, shown, meaning, wire, write, origin, self._cut(field, wire))

    def _cut(self, field: CustomField, wire: Values) -> str | None:
        """The meaning of what is left of the values when amoCRM cuts them at an emoji; None when there is none."""
        left = wire if self.strip_emoji else [_left_of(one) for one in wire]
        return None if left == wire else canonical(field, left, zone=self.zone) or ""


def _named(part: str, desired: DesiredValue, find: Any) -> Any:
    try:
        return find()
    except NameNotFound as error:
        if not desired.is_fixed:  # the name comes out of the talk: the record shows it, a log must not
            error = NameNotFound(error.what.replace(f"«{desired.text.strip()}»", "«…»"), do=error.do)
        told = error
    raise ValueRefused(told.what, field=part, where=desired.place, do=told.do) from told


def cut_at_emoji(text: str) -> str | None:
    """What is left of a text at whose first four-byte character amoCRM cuts it; None when it has none."""
    found = None if text.isascii() else _FOUR_BYTES.search(text)
    return None if found is None else text[: found.start()]


def _left_of(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _left_of(one) for key, one in value.items()}
    cut = cut_at_emoji(value) if isinstance(value, str) else None
    return value if cut is None else cut


def _unique(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
