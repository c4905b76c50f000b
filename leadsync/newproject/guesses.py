"""Which of the account's fields obviously mean something that a talk brings, and which field may hold its key. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from leadsync.amocrm.catalogue import Catalogue, CustomField
from leadsync.newproject.found_talks import FoundTalks
from leadsync.newproject.references import option_text
from leadsync.newproject.wording import Wording

SOURCE_NAMES, PRODUCTS, CITIES = "source_names", "products", "cities"

_TEXTS = frozenset({"text", "textarea", "tracking_data"})
_NUMBERS = frozenset({"numeric", "monetary", "price"})
_CHOICES = frozenset({"select", "radiobutton", "multiselect"})

_MOST_OPTIONS = 60
"""Options of a field for which a table is written; a longer list is left to the person."""

USUAL_SOURCES = ("telegram", "avito", "web")
_WORDS_OF_SOURCES: Mapping[str, tuple[str, ...]] = {
    "telegram": ("telegram", "телеграм", "tg"),
    "avito": ("avito", "авито"),
    "web": ("web", "веб", "сайт", "site"),
    "whatsapp": ("whatsapp", "ватсап", "вотсап"),
    "vk": ("vk", "вк", "вконтакте"),
    "instagram": ("instagram", "инстаграм"),
}
_KEY_FIELD = re.compile(r"(id|ид|key|ключ) (диалога|чата|dialog|dialogue|conversation|chat|talk)")
_KEY_FIELD_TURNED = re.compile(
    r"(диалог|чат|dialog|dialogue|conversation|chat|talk) (id|ид|key|ключ)|leadsync( key| id)?"
)


@dataclass(frozen=True, slots=True)
class _Rule:
    """A field of one of these names or codes means `expression`; a choice is found by the rows of `table`."""

    names: frozenset[str]
    codes: frozenset[str]
    types: frozenset[str]
    expression: str
    entities: tuple[str, ...] = ("leads",)
    table: str | None = None
    reads: str | None = None


def _names(*names: str) -> frozenset[str]:
    return frozenset(names)


_RULES = (
    _Rule(
        _names("источник", "источник заявки", "источник лида", "источник обращения", "source", "lead source"),
        _names("UTM_SOURCE", "SOURCE"),
        _TEXTS,
        "{{ source | lookup('source_names') }}",
        table=SOURCE_NAMES,
    ),
    _Rule(
        _names("продукт", "товар", "услуга", "интересующий продукт", "product", "product interest", "service"),
        _names("PRODUCT", "PRODUCT_INTEREST"),
        _TEXTS,
        "{{ product_interest }}",
        table=PRODUCTS,
    ),
    _Rule(
        _names("город", "city"),
        _names("CITY"),
        _TEXTS,
        "{{ metadata.city }}",
        entities=("leads", "contacts"),
        table=CITIES,
        reads="metadata.city",
    ),
    _Rule(
        _names("telegram", "телеграм", "telegram username", "ник в telegram", "ник в телеграм", "username"),
        _names("TELEGRAM", "TELEGRAM_USERNAME"),
        _TEXTS,
        "{{ metadata.username }}",
        entities=("leads", "contacts"),
        reads="metadata.username",
    ),
    _Rule(_names("бюджет", "budget"), _names("BUDGET"), _NUMBERS, "{{ budget | money }}"),
)


@dataclass(slots=True)
class Guesses:
    """What is filled by itself: a template for each field that is surely meant, and the tables they read."""

    templates: dict[int, str] = field(default_factory=dict)
    tables: dict[str, dict[str, str]] = field(default_factory=dict)
    key_field: CustomField | None = None


def guess(catalogue: Catalogue, talks: FoundTalks, wording: Wording) -> Guesses:
    """Go through the fields that a text can fill; what is not sure is left to the person."""
    made = Guesses(key_field=_key_field(catalogue))
    sources = talks.sources or USUAL_SOURCES
    for one in catalogue.fields:
        rule = _rule_for(one)
        if rule is None or one == made.key_field or not _is_seen(rule, talks):
            continue
        if one.type in rule.types:
            made.templates[one.id] = rule.expression
        elif one.type in _CHOICES and rule.table is not None:
            _choose(made, one, rule.table, rule.expression, _rows(one, rule.table, sources))
    made.tables.setdefault(SOURCE_NAMES, {one: _title(one, wording) for one in sources})
    return made


def _choose(made: Guesses, field: CustomField, table: str, expression: str, rows: dict[str, str]) -> None:
    """Fill a field with options by a table, unless another field needs other rows under that name."""
    if rows and made.tables.setdefault(table, rows) == rows:
        made.templates[field.id] = expression if "lookup" in expression else _looked_up(expression, table)


def _looked_up(expression: str, table: str) -> str:
    return expression.replace(" }}", f" | lookup('{table}') }}}}")


def _rule_for(field: CustomField) -> _Rule | None:
    name = folded(field.name)
    for rule in _RULES:
        if field.entity in rule.entities and (field.code in rule.codes or name in rule.names) and not field.is_computed:
            return rule
    return None


def _is_seen(rule: _Rule, talks: FoundTalks) -> bool:
    """What stands in `metadata` differs from bot to bot: when talks were found, they must have it."""
    return rule.reads is None or not talks.fields or rule.reads in talks.fields


def _rows(field: CustomField, table: str, sources: Iterable[str]) -> dict[str, str]:
    """The table that leads to a field's options; empty when not every row is sure."""
    if len(field.enums) > _MOST_OPTIONS:
        return {}
    if table != SOURCE_NAMES:
        labels = [one.value.strip() for one in field.enums]
        rows = {label: option_text(field, one) for label, one in zip(labels, field.enums, strict=True)}
        return rows if len(rows) == len(labels) and all(map(_is_key, rows)) else {}
    found = {one: _option_of(field, one) for one in sources}
    return {one: text for one, text in found.items() if text} if all(found.values()) else {}


def _is_key(label: str) -> bool:
    return bool(label) and "${" not in label and len(label) < 120 and label.isprintable()


def _option_of(field: CustomField, source: str) -> str | None:
    """The only option whose label has a word that stands for the source."""
    for word in _WORDS_OF_SOURCES.get(source.casefold(), (source.casefold(),)):
        found = [one for one in field.enums if any(part.startswith(word) for part in folded(one.value).split())]
        if len(found) == 1:
            return option_text(field, found[0])
    return None


def _title(source: str, wording: Wording) -> str:
    return wording.website if source == "web" else source[:1].upper() + source[1:]


def _key_field(catalogue: Catalogue) -> CustomField | None:
    """The one text field of leads that looks made for the record's key."""
    texts = [one for one in catalogue.fields if one.entity == "leads" and one.type == "text" and not one.is_computed]
    found = [one for one in texts if _holds_keys(folded(one.name)) or _holds_keys(folded(one.code or ""))]
    return found[0] if len(found) == 1 else None


def _holds_keys(name: str) -> bool:
    return bool(_KEY_FIELD.fullmatch(name) or _KEY_FIELD_TURNED.fullmatch(name))


def folded(name: str) -> str:
    """A name for comparing: words in lower case, one space between them."""
    return " ".join(re.findall(r"[^\W_]+", name.casefold().replace("ё", "е")))
