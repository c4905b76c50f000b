"""Which fields are filled without anybody's saying so, and which are not."""

from __future__ import annotations

import pytest

from leadsync.amocrm.catalogue import Catalogue, CustomField, FieldOption
from leadsync.newproject.found_talks import FoundTalks
from leadsync.newproject.guesses import Guesses, guess
from leadsync.newproject.side_files import env_example, gitignore
from leadsync.newproject.wording import ENGLISH, RUSSIAN, wording_of
from leadsync.settings import Settings
from tests.newproject.accounts import account


def field(name: str, kind: str = "text", *labels: str, code: str | None = None, entity: str = "leads") -> CustomField:
    options = tuple(FieldOption(100 + number, label) for number, label in enumerate(labels))
    return CustomField(sum(map(ord, name + kind + entity)), name, code, kind, entity, options)


def guessed(*fields: CustomField, talks: FoundTalks | None = None) -> Guesses:
    return guess(Catalogue(account(), fields, (), ()), talks or FoundTalks(), RUSSIAN)


@pytest.mark.parametrize(
    ("one", "template"),
    [
        (field("Источник"), "{{ source | lookup('source_names') }}"),
        (field("utm_source", "tracking_data", code="UTM_SOURCE"), "{{ source | lookup('source_names') }}"),
        (field(" ПРОДУКТ: "), "{{ product_interest }}"),
        (field("Город", entity="contacts"), "{{ metadata.city }}"),
        (field("Телеграм", entity="contacts"), "{{ metadata.username }}"),
        (field("Бюджет", "numeric"), "{{ budget | money }}"),
        (field("Budget", "monetary"), "{{ budget | money }}"),
    ],
)
def test_an_obvious_field_is_filled(one: CustomField, template: str) -> None:
    """A field whose whole name or code says what it is gets the record's field, if its type can take it."""
    assert guessed(one).templates == {one.id: template}


@pytest.mark.parametrize(
    "one",
    [
        field("Бюджет", "date"),
        field("Бюджет рекламы", "numeric"),
        field("Город доставки"),
        field("Источник", entity="contacts"),
        field("Город", entity="companies"),
        field("Источник", "select", "Звонок", "Telegram"),
        field("Источник", "select", "Telegram 1", "Telegram 2", "Avito", "Сайт"),
        field("Продукт", "select", "A", "A"),
    ],
)
def test_a_doubtful_field_is_not(one: CustomField) -> None:
    """A part of a name, a type that does not fit, or options that not every value finds: a person decides."""
    assert guessed(one).templates == {}


def test_options_are_found_by_a_table() -> None:
    """A source finds the option that has its word; a product finds the option of its own name, and no other."""
    source = field("Источник", "select", "Телеграм-бот", "Авито", "Сайт компании", "Звонок")
    product = field("Продукт", "multiselect", "Старт", "Рост 😀")
    found = guessed(source, product)
    assert found.templates[product.id] == "{{ product_interest | lookup('products') }}"
    assert found.tables == {
        "source_names": {"telegram": "Телеграм-бот", "avito": "Авито", "web": "Сайт компании"},
        "products": {"Старт": "Старт", "Рост 😀": "101"},
    }


def test_sources_that_were_seen_are_the_ones_that_count() -> None:
    """With talks at hand the table has their sources, and a field must have an option for each of them."""
    seen = FoundTalks(5, "x:*", ("phone",), ("vk", "pigeon"))
    lacking, whole = field("Источник", "select", "ВК"), field("Источник", "select", "ВК", "Pigeon post")
    assert guessed(lacking, talks=seen).tables["source_names"] == {"vk": "Vk", "pigeon": "Pigeon"}
    assert guessed(lacking, talks=seen).templates == {}
    assert guessed(whole, talks=seen).tables["source_names"] == {"vk": "ВК", "pigeon": "Pigeon post"}


def test_what_the_talks_never_have_is_not_filled() -> None:
    """When talks were seen and none has a city, the field of cities is left to the person."""
    city = field("Город")
    assert guessed(city, talks=FoundTalks(5, "x:*", ("phone",), ())).templates == {}
    assert guessed(city, talks=FoundTalks(5, "x:*", ("metadata.city",), ())).templates != {}


def test_two_fields_that_need_other_rows() -> None:
    """The second of two fields that would need one table with other rows is left to the person."""
    first = field("Продукт", "select", "A", "B")
    second = field("Услуга", "select", "C")
    assert list(guessed(first, second).templates) == [first.id]


@pytest.mark.parametrize("name", ["ID диалога", "диалог_id", "Chat ID", "Conversation key", "leadsync"])
def test_a_field_for_the_key_is_found(name: str) -> None:
    """A text field of leads that is called for a talk's id holds the key."""
    found = guessed(field(name), field("Город"))
    assert found.key_field is not None
    assert found.key_field.name == name


@pytest.mark.parametrize(
    "fields",
    [
        [field("ID диалога", "numeric")],
        [field("ID диалога", entity="contacts")],
        [field("Диалог")],
        [field("ID диалога"), field("Chat ID")],
    ],
)
def test_no_field_is_taken_for_the_key_in_doubt(fields: list[CustomField]) -> None:
    """Another type, another entity, another name, or two of them: nobody is surprised by what stands in a field."""
    assert guessed(*fields).key_field is None


def test_every_variable_is_in_the_example() -> None:
    """`.env.example` names each setting once, with a comment above it."""
    lines = env_example().splitlines()
    for name in Settings.model_fields:
        at = lines.index(f"{name.upper()}=")
        assert lines[at - 1].startswith("# ")


def test_gitignore_with_everything_needs_nothing() -> None:
    """Nothing is written where both lines stand."""
    assert gitignore(".env\n/.leadsync/\n") is None


def test_words_follow_the_domain() -> None:
    """A Russian account gets Russian words, an international one English."""
    assert (wording_of("amocrm.ru"), wording_of("kommo.com")) == (RUSSIAN, ENGLISH)
