"""The text of a new leadsync.yaml. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal
from zoneinfo import available_timezones

from phonenumbers import SUPPORTED_REGIONS

from leadsync.newproject.yaml_text import literal, quoted, remarked

SCHEMA_LINE = "# yaml-language-server: $schema=.leadsync/leadsync.schema.json"
MAPPING_PATH = "mappings/talks.yaml"
INBOX = "inbox"
USUAL_MATCH = "dialog:*"

SourceType = Literal["redis-dialogs", "jsonl"]


@dataclass(frozen=True, slots=True)
class ProjectFacts:
    """What a new leadsync.yaml says. `subdomain` and `redis_url` are YAML (`${REDIS_URL:-embedded}`), without a
    password; `match` is for redis-dialogs only."""

    subdomain: str
    domain: str
    redis_url: str
    source_type: SourceType = "redis-dialogs"
    match: str = USUAL_MATCH
    country: str = "RU"
    timezone: str = "Europe/Moscow"
    tables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    names_its_source: bool = True


def fitted(facts: ProjectFacts, timezone: str | None, country: str | None) -> ProjectFacts:
    """The facts with the account's own time zone and country, where those can be used."""
    zone = timezone if timezone in available_timezones() else facts.timezone
    return replace(facts, timezone=zone, country=country if country in SUPPORTED_REGIONS else facts.country)


def project_text(facts: ProjectFacts) -> str:
    """A leadsync.yaml that can be used as it is."""
    parts = (_head(), _account(facts), _memory(facts), _tables(facts.tables), _safety(), _source(facts))
    return "".join(f"{line}\n" for part in parts for line in part)


def _head() -> Iterator[str]:
    yield SCHEMA_LINE
    yield ""
    yield "# A project of leadsync: where talks come from and where they go. What a talk becomes stands in the mapping."
    yield "# ${NAME:-value} reads the environment and .env, and takes the value when NAME is not set there."
    yield "version: 1"


def _account(facts: ProjectFacts) -> Iterator[str]:
    yield ""
    yield "amocrm:"
    remark = "`sandbox`: the built-in amoCRM look-alike" if "sandbox" in facts.subdomain else ""
    yield remarked(f"  subdomain: {facts.subdomain}", remark)
    yield remarked(f"  domain: {facts.domain}", "amocrm.ru | amocrm.com | kommo.com")
    yield remarked("  requests_per_second: 6.5", "the account allows 7; paid packs more")


def _memory(facts: ProjectFacts) -> Iterator[str]:
    yield ""
    yield remarked("redis:", "where leadsync remembers what it did, and where it looks for talks")
    remark = "`embedded`: a server of the project's own, its data in .leadsync/"
    yield remarked(f"  url: {facts.redis_url}", remark if "embedded" in facts.redis_url else "")
    yield ""
    yield "defaults:"
    yield remarked(f"  country: {quoted(facts.country)}", "how phones without a country are read")
    yield remarked(f"  timezone: {facts.timezone}", "how times without a zone are read")


def _tables(tables: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    yield ""
    yield remarked("tables:", "small dictionaries: {{ source | lookup('source_names') }}")
    for name, rows in tables.items():
        yield f"  {name}:"
        yield from (f"    {quoted(key)}: {literal(value)}" for key, value in rows.items())


def _safety() -> Iterator[str]:
    yield ""
    yield "safety:"
    yield remarked("  max_new_leads: 5000", "a run that would make more stops before its first write")


def _source(facts: ProjectFacts) -> Iterator[str]:
    yield ""
    yield "sources:"
    if facts.source_type == "jsonl":
        yield f"  {INBOX}:"
        yield "    type: jsonl"
        yield remarked(f"    path: {INBOX}/*.jsonl", "files with one talk a line, as JSON")
    else:
        yield "  redis-dialogs:"
        yield "    type: redis-dialogs"
        yield remarked(f"    match: {literal(facts.match)}", "which keys are talks; what * stands for is the talk's id")
    if not facts.names_its_source:
        yield remarked("    # source: telegram", "where talks come from that do not say it themselves")
    yield f"    mapping: {MAPPING_PATH}"
