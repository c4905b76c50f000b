"""leadsync.yaml and a mapping file as pydantic models: the shape only; places and `${VAR}` are document.py's."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from phonenumbers import SUPPORTED_REGIONS
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import PydanticCustomError

from leadsync.config.nearest import nearest
from leadsync.durations import Duration

SANDBOX = "sandbox"
"""The subdomain that stands for the built-in look-alike."""

WRITTEN_FOR_PEOPLE = "leadsync"
"""The type of an error whose message is already a sentence; its context may hold a `nearest` valid value."""


class Section(BaseModel):
    """A part of a file: an unknown key is a mistake, a quoted number is a text, and nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _scalar_to_text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _empty_keys(value: Any) -> Any:
    return {} if value is None else value


def _empty_list(value: Any) -> Any:
    return [] if value is None else value


def _known_version(version: Any) -> Any:
    if type(version) is not int or version != 1:
        raise PydanticCustomError(WRITTEN_FOR_PEOPLE, "this leadsync reads version 1, written as: version: 1")
    return version


def _known_subdomain(subdomain: str) -> str:
    if not subdomain.replace("-", "").isalnum() or not subdomain.isascii():
        message = "expected the first part of the account's address only: example for https://example.amocrm.ru"
        raise PydanticCustomError(WRITTEN_FOR_PEOPLE, message)
    return subdomain


def _known_redis(url: str) -> str:
    if url != "embedded" and not url.startswith(("redis://", "rediss://", "unix://")):
        message = "expected `embedded`, or an address that begins with redis://, rediss:// or unix://"
        raise PydanticCustomError(WRITTEN_FOR_PEOPLE, message)
    return url


def _known_country(country: str) -> str:
    if country not in SUPPORTED_REGIONS:
        message = "expected a country as two capital letters (ISO 3166), such as RU, KZ or GB"
        raise PydanticCustomError(
            WRITTEN_FOR_PEOPLE, message, {"nearest": nearest(country, {country.upper()} & SUPPORTED_REGIONS)}
        )
    return country


def _known_zone(zone: str) -> str:
    try:
        ZoneInfo(zone)
    except (OSError, ValueError, LookupError):
        near = nearest(zone, available_timezones())
        message = "there is no such time zone: expected an IANA name such as Europe/Moscow"
        raise PydanticCustomError(WRITTEN_FOR_PEOPLE, message, {"nearest": near}) from None
    return zone


_SCALAR = {"type": ["string", "number", "boolean"]}
_ANY_SCALAR = WithJsonSchema(_SCALAR)

TemplateText = Annotated[str, BeforeValidator(_scalar_to_text), _ANY_SCALAR]
"""A Jinja template; a bare number or true/false in YAML is taken as its text."""

Text = Annotated[str, BeforeValidator(_scalar_to_text), _ANY_SCALAR]
"""A text that is no template; a bare number is taken as its text, so a name may be made of digits."""

WriteMode = Literal["update", "create", "overwrite"]

MatchBy = Literal["phone", "email"]


class AmoCRMSection(Section):
    """The account and how hard it may be pressed."""

    subdomain: Annotated[Text, AfterValidator(_known_subdomain)] = Field(
        description="the account's subdomain; `sandbox` is the built-in look-alike"
    )
    domain: Literal["amocrm.ru", "amocrm.com", "kommo.com"] = Field(
        default="amocrm.ru", description="where the account lives"
    )
    requests_per_second: float = Field(default=6.5, gt=0, description="the account allows 7; paid packs more")
    batch_size: int = Field(default=50, ge=1, le=250, description="entities per write request; halved on 504")
    four_byte_characters: Literal["strip", "keep"] = Field(
        default="strip", description="emoji and the like: amoCRM may cut a value at its first one"
    )


class RedisSection(Section):
    """Where leadsync keeps its memory."""

    url: Annotated[Text, AfterValidator(_known_redis)] = Field(
        default="embedded",
        description="redis://, rediss:// or unix://; `embedded` is a Valkey server of the project's own",
    )
    keep_refused: Duration = Field(
        default="90d",
        gt=0,
        validate_default=True,
        description="how long after its last try a refused record is kept, such as 90d or 12h",
    )


class DefaultsSection(Section):
    """How phones without a country and times without a zone are read."""

    country: Annotated[str, AfterValidator(_known_country)] = Field(
        default="RU", description="ISO 3166 code: RU reads 8 (916) 123-45-67 as +79161234567"
    )
    timezone: Annotated[str, AfterValidator(_known_zone)] = Field(default="Europe/Moscow", description="IANA name")


class SafetySection(Section):
    """Limits that stop a run before its first write."""

    max_new_leads: int = Field(default=5000, ge=0, description="a run that would create more stops")
    max_changed_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="a run that would change values of more of the known leads stops (from 100 of them on); 1: never",
    )


def _one_or_many(value: Any) -> str:
    return "many" if isinstance(value, dict) else "one"


MappingPaths = Annotated[
    Annotated[Text, Tag("one")] | Annotated[dict[Text, Text], Field(min_length=1), Tag("many")],
    Discriminator(_one_or_many),
]
"""The path of one mapping file, or one path per value of the record's `source`."""


class SourceSection(BaseModel):
    """A source: its `type` (a plugin), its mapping or mappings, and the plugin's own keys (in `model_extra`)."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    type: str = Field(description="a plugin of the entry point group leadsync.sources")
    mapping: MappingPaths = Field(description="one path, or one per value of the record's `source`")
    settle: Duration = Field(
        default=0.0, description="`run --follow` waits until nothing was said in a talk for so long, such as 2m or 30s"
    )
    send_when: TemplateText | None = Field(
        default=None, description="a talk for which this is true is sent at once the first time, without `settle`"
    )
    poll: Duration = Field(
        default="5s",
        gt=0,
        validate_default=True,
        description="how often `run --follow` looks where nobody tells it that something is new",
    )

    @field_validator("send_when")
    @classmethod
    def _waits_for_something(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is not None and not info.data.get("settle", True):
            message = "this does nothing without `settle`: every talk is sent at once"
            raise PydanticCustomError(WRITTEN_FOR_PEOPLE, message)
        return text


class ProjectFile(Section):
    """leadsync.yaml."""

    version: Annotated[Literal[1], BeforeValidator(_known_version)] = Field(description="of this file's format")
    amocrm: Annotated[AmoCRMSection, BeforeValidator(_empty_keys)] = Field(description="the account")
    redis: Annotated[RedisSection, BeforeValidator(_empty_keys)] = Field(
        default=RedisSection(), description="where leadsync keeps its memory"
    )
    defaults: Annotated[DefaultsSection, BeforeValidator(_empty_keys)] = Field(
        default=DefaultsSection(), description="how phones without a country and times without a zone are read"
    )
    tables: Annotated[dict[Text, dict[Text, Text]], BeforeValidator(_empty_keys)] = Field(
        default_factory=dict, description="small dictionaries for templates: {{ source | lookup('source_names') }}"
    )
    safety: Annotated[SafetySection, BeforeValidator(_empty_keys)] = Field(
        default=SafetySection(), description="limits that stop a run before its first write"
    )
    sources: dict[Text, SourceSection] = Field(min_length=1, description="where records come from, by name")


class LongValue(Section):
    """The long form of a value: the template and when it may be written."""

    value: TemplateText = Field(description="a Jinja template")
    write: WriteMode = Field(
        default="update",
        description="update: follow the record, never over a person's edit; create: only when made; overwrite: always",
    )


def _short_or_long(value: Any) -> str:
    return "long" if isinstance(value, dict | LongValue) else "short"


Value = Annotated[
    Annotated[TemplateText, Tag("short")] | Annotated[LongValue, Tag("long")], Discriminator(_short_or_long)
]
"""A template, or its long form {value: TEMPLATE, write: update | create | overwrite}."""

Tags = Annotated[list[TemplateText], BeforeValidator(_empty_list)]
Fields = Annotated[dict[str | int, Value], BeforeValidator(_empty_keys)]


def _phone_then_email() -> list[MatchBy]:
    return ["phone", "email"]


class ContactSection(Section):
    """The person: how an existing contact is recognised, and what should stand in it."""

    match: list[MatchBy] = Field(
        default_factory=_phone_then_email,
        description="how an existing contact is recognised; [] always creates one",
    )
    name: Value | None = Field(default=None, description="the full name")
    first_name: Value | None = Field(default=None, description="the first name, where it is kept apart")
    last_name: Value | None = Field(default=None, description="the last name, where it is kept apart")
    phone: Value | None = Field(default=None, description="a phone in any spelling")
    email: Value | None = Field(default=None, description="an e-mail address")
    responsible: Value | None = Field(default=None, description="e-mail, name or id of a user")
    tags: Tags = Field(default_factory=list, description="templates; an empty one adds no tag")
    fields: Fields = Field(default_factory=dict, description="custom fields by code, exact name or id")


class LeadSection(Section):
    """The lead: where it stands in which pipeline, who answers for it, and its fields."""

    match: Literal["none", "open"] = Field(
        default="none",
        description="none: a talk makes a lead of its own; open: it joins the newest open lead of its contact, if any",
    )
    name: Value | None = Field(default=None, description="the lead's name")
    price: Value | None = Field(default=None, description="a whole number of the account's currency")
    pipeline: Value | None = Field(default=None, description="name or id")
    status: Value | None = Field(default=None, description="name or id, in that pipeline")
    responsible: Value | None = Field(default=None, description="e-mail, name or id of a user")
    tags: Tags = Field(default_factory=list, description="templates; an empty one adds no tag")
    fields: Fields = Field(default_factory=dict, description="custom fields by code, exact name or id")


def _parts_or_none(value: Any) -> str:
    return "parts" if isinstance(value, dict | Section) else "nothing"


def _each_or_one(value: Any) -> Any:
    return value if isinstance(value, list) or value is None else [value]


ExpectedText = Text | None
"""What a value must come to; null: it must not be sent."""

_ONE_OR_MANY = WithJsonSchema({"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR}, {"type": "null"}]})

ExpectedTexts = Annotated[list[Text] | None, BeforeValidator(_each_or_one), _ONE_OR_MANY]
"""One text or several, which all must be there; null: there must be none."""

ExpectedFields = Annotated[dict[str | int, ExpectedText], BeforeValidator(_empty_keys)]


class ExpectedContact(Section):
    """What of a contact a case looks at; what is not named is not compared, null means not sent."""

    name: ExpectedText = Field(default=None, description="the full name")
    first_name: ExpectedText = Field(default=None, description="the first name")
    last_name: ExpectedText = Field(default=None, description="the last name")
    phone: ExpectedTexts = Field(default=None, description="in any spelling; one or a list")
    email: ExpectedTexts = Field(default=None, description="in any case; one or a list")
    responsible: ExpectedText = Field(default=None, description="as the mapping names the user")
    tags: ExpectedTexts = Field(default=None, description="tags that must be there, in any order")
    fields: ExpectedFields = Field(default_factory=dict, description="custom fields as the mapping names them")


class ExpectedLead(Section):
    """What of a lead a case looks at; what is not named is not compared, null means not sent."""

    name: ExpectedText = Field(default=None, description="the lead's name")
    price: ExpectedText = Field(default=None, description="a number in any spelling")
    pipeline: ExpectedText = Field(default=None, description="as the mapping names it")
    status: ExpectedText = Field(default=None, description="as the mapping names it")
    responsible: ExpectedText = Field(default=None, description="as the mapping names the user")
    tags: ExpectedTexts = Field(default=None, description="tags that must be there, in any order")
    fields: ExpectedFields = Field(default_factory=dict, description="custom fields as the mapping names them")


Nothing = Literal["none"] | None

ExpectedPerson = Annotated[
    Annotated[ExpectedContact, Tag("parts")] | Annotated[Nothing, Tag("nothing")], Discriminator(_parts_or_none)
]
ExpectedDeal = Annotated[
    Annotated[ExpectedLead, Tag("parts")] | Annotated[Nothing, Tag("nothing")], Discriminator(_parts_or_none)
]


class Expectation(Section):
    """A part of what a record comes to, in the mapping's own words; only what is named is compared."""

    key: Text | None = Field(default=None, description="the record's key")
    skipped: bool | None = Field(default=None, description="true: `when` says no")
    refused: Text | None = Field(default=None, description="a part of the reason, with the field: lead.price")
    contact: ExpectedPerson = Field(default=None, description="parts of the contact; none: no contact is made")
    lead: ExpectedDeal = Field(default=None, description="parts of the lead; none: no lead is made")
    note: ExpectedTexts = Field(default=None, description="texts that stand in the note; none: there is no note")
    absent: Annotated[list[Text], BeforeValidator(_empty_list)] = Field(
        default_factory=list, description="what must not be sent: lead.price, contact.fields.Telegram, note"
    )


class Case(Section):
    """A test of a mapping, run by `leadsync test`: a record, and a part of what it must come to."""

    name: Text | None = Field(default=None, description="what the case is about")
    record: dict[str, Any] = Field(description="as a source hands it over: id, source, user_name, messages, …")
    after: int = Field(default=0, ge=0, description="how many of its messages earlier notes hold already")
    expect: Expectation = Field(description="a part of the outcome; only what is named is compared")


class CasesFile(Section):
    """A file of cases beside a mapping: mappings/telegram.tests.yaml for mappings/telegram.yaml."""

    tests: Annotated[list[Case], BeforeValidator(_empty_list)] = Field(description="the cases")


class MappingFile(Section):
    """A mapping file: what one record should be in the CRM."""

    key: TemplateText = Field(min_length=1, description="the record's identity: one key, one lead, for ever")
    when: TemplateText | None = Field(default=None, description="false, empty or none: the record is skipped")
    key_field: str | int | None = Field(
        default=None, description="a text field of the lead that holds the key, so that the CRM can rebuild our memory"
    )
    contact: ContactSection | None = Field(default=None, description="the person")
    lead: LeadSection | None = Field(default=None, description="the lead")
    note: TemplateText | None = Field(default=None, description="the talk, written as a note of the lead")
    tests: Annotated[list[Case], BeforeValidator(_empty_list)] = Field(
        default_factory=list, description="cases that `leadsync test` runs; they may stand beside, in NAME.tests.yaml"
    )
    mapper: str | None = Field(default=None, description="a plugin (package:Class) that replaces the YAML mapper")
