"""leadsync.yaml and a mapping file as pydantic models: the shape only; places and `${VAR}` are document.py's."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Section(BaseModel):
    """A part of a file: an unknown key is a mistake, and nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _scalar_to_text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


TemplateText = Annotated[str, BeforeValidator(_scalar_to_text)]
"""A Jinja template; a bare number or true/false in YAML is taken as its text."""

WriteMode = Literal["update", "create", "overwrite"]


class AmoCRMSection(Section):
    """The account and how hard it may be pressed."""

    subdomain: str = Field(description="the account's subdomain; `sandbox` is the built-in look-alike", min_length=1)
    domain: Literal["amocrm.ru", "amocrm.com", "kommo.com"] = "amocrm.ru"
    requests_per_second: float = Field(6.5, gt=0, description="the account allows 7; paid packs more")
    batch_size: int = Field(50, ge=1, le=250, description="entities per write request; halved on 504")
    four_byte_characters: Literal["strip", "keep"] = "strip"


class RedisSection(Section):
    """Where leadsync keeps its memory; `embedded` is a real Valkey server of the project's own."""

    url: str = "embedded"


class DefaultsSection(Section):
    """How phones without a country and times without a zone are read."""

    country: str = Field("RU", pattern="^[A-Z]{2}$", description="ISO 3166 code")
    timezone: str = Field("Europe/Moscow", description="IANA name")


class SafetySection(Section):
    """Limits that stop a run before its first write."""

    max_new_leads: int = Field(5000, ge=0)


class SourceSection(BaseModel):
    """A source: its `type` (a plugin), its mapping or mappings, and the plugin's own keys (in `model_extra`)."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str
    mapping: str | dict[str, str]


class ProjectFile(Section):
    """leadsync.yaml."""

    version: Literal[1]
    amocrm: AmoCRMSection
    redis: RedisSection = RedisSection()
    defaults: DefaultsSection = DefaultsSection()
    tables: dict[str, dict[str, TemplateText]] = Field(default_factory=dict)
    safety: SafetySection = SafetySection()
    sources: dict[str, SourceSection] = Field(min_length=1)


class LongValue(Section):
    """The long form of a value: the template and when it may be written."""

    value: TemplateText
    write: WriteMode = "update"


Value = TemplateText | LongValue


class ContactSection(Section):
    """The person: how an existing contact is recognised, and what should stand in it."""

    match: list[Literal["phone", "email"]] = Field(default_factory=lambda: ["phone", "email"])  # type: ignore[arg-type]
    name: Value | None = None
    first_name: Value | None = None
    last_name: Value | None = None
    phone: Value | None = None
    email: Value | None = None
    responsible: Value | None = None
    tags: list[TemplateText] = Field(default_factory=list)
    fields: dict[str | int, Value] = Field(default_factory=dict)


class LeadSection(Section):
    """The lead: where it stands in which pipeline, who answers for it, and its fields."""

    match: Literal["none", "open"] = "none"
    name: Value | None = None
    price: Value | None = None
    pipeline: Value | None = None
    status: Value | None = None
    responsible: Value | None = None
    tags: list[TemplateText] = Field(default_factory=list)
    fields: dict[str | int, Value] = Field(default_factory=dict)


class MappingFile(Section):
    """A mapping file. `mapper` names a plugin (`package:Class`) that replaces the YAML mapper."""

    key: TemplateText
    when: TemplateText | None = None
    key_field: str | int | None = None
    contact: ContactSection | None = None
    lead: LeadSection | None = None
    note: TemplateText | None = None
    tests: list[dict[str, Any]] = Field(default_factory=list)
    mapper: str | None = None
