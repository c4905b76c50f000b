"""The YAML mapper: what of a mapping becomes Desired, and what is not sent."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from leadsync.config.document import read_document
from leadsync.config.loader import LoadedMapping
from leadsync.config.models import MappingFile
from leadsync.errors import ConfigurationError, TemplateFailed
from leadsync.mapping.desired import Desired, DesiredContact, DesiredLead, DesiredValue
from leadsync.mapping.mapper import Mapper
from leadsync.mapping.talk import Noted, Talk, talk_since
from leadsync.mapping.yaml_mapper import MapperContext, YamlMapper, load_mapper
from leadsync.records import Record
from tests.mapping.made import CONTEXT, MOSCOW, desired, mapper, record

FULL = """key: "{{ source }}:{{ id }}"
when: "{{ phone or email }}"
key_field: "ID диалога"
contact:
  match: [phone]
  name: "{{ user_name }}"
  first_name: "{{ user_name | first_name }}"
  phone: "{{ phone }}"
  email: "{{ email }}"
  tags: [бот]
  fields:
    Telegram: "{{ metadata.username }}"
lead:
  match: open
  name: "Заявка от {{ user_name }}"
  price: {value: "{{ budget }}", write: overwrite}
  pipeline: Воронка
  tags: [telegram, "{{ product_interest }}", " telegram ", ""]
  fields:
    612345: "{{ metadata.city }}"
    Продукт: {value: "{{ product_interest }}", write: create}
note: |
  {{ 'Продолжение' if continued else 'История' }}:
  {% for m in messages %}
  {{ m.role }}: {{ m.text }}
  {% endfor %}
"""
IVAN: dict[str, Any] = {
    "user_name": "Иван Петров",
    "phone": "8 916 123-45-67",
    "budget": 150000,
    "metadata": {"username": "ivan", "city": "Москва"},
    "messages": ["да", {"role": "bot", "text": "нет"}],
}


def targets(values: tuple[DesiredValue, ...]) -> dict[str, tuple[str, str, int]]:
    return {value.target: (value.text, value.write, value.place.line) for value in values}


def contact(one: Desired) -> DesiredContact:
    assert one.contact is not None
    return one.contact


def lead(one: Desired) -> DesiredLead:
    assert one.lead is not None
    return one.lead


def test_a_whole_mapping(tmp_path: Path) -> None:
    """Every part of a mapping stands where it belongs, with its mode and its line; an empty value stands nowhere."""
    made = mapper(tmp_path, FULL)
    one = desired(made, record(**IVAN))
    assert (made.key_field, made.uses_note, one.key) == ("ID диалога", True, "telegram:1")
    assert contact(one).match == ("phone",)
    assert targets(contact(one).phones) == {"phone": ("8 916 123-45-67", "update", 8)}
    assert contact(one).emails == ()
    assert targets(contact(one).values) == {
        "name": ("Иван Петров", "update", 6),
        "first_name": ("Иван", "update", 7),
    }
    assert targets(contact(one).fields) == {"Telegram": ("ivan", "update", 12)}
    assert contact(one).tags == ("бот",)
    assert lead(one).match == "open"
    assert targets(lead(one).values) == {
        "name": ("Заявка от Иван Петров", "update", 15),
        "price": ("150000", "overwrite", 16),
        "pipeline": ("Воронка", "update", 17),
    }
    assert targets(lead(one).fields) == {"612345": ("Москва", "update", 20)}
    assert lead(one).tags == ("telegram",)
    assert one.note is not None
    assert (one.note.text, one.note.write, one.note.place.line) == ("История:\nuser: да\nbot: нет", "create", 23)


def test_the_parts_of_a_mapping_are_optional(tmp_path: Path) -> None:
    """A mapping of a key alone wants nothing."""
    made = mapper(tmp_path, "key: k")
    assert desired(made, record(**IVAN)) == Desired("k", None, None, None)
    assert made.wanted(record())
    assert not made.uses_note


@pytest.mark.parametrize(
    ("when", "wanted"),
    [
        ("{{ phone or email }}", False),
        ("{{ phone }}", False),
        ("{{ budget > 5 }}", True),
        ("{{ budget > 500 }}", False),
        ("{{ messages | length }}", False),
        ("{{ source }}", True),
        ("  {{ none }} ", False),
        ("{{ true }}", True),
        (" None ", False),
        ("false", False),
    ],
)
def test_when_says_which_records_are_wanted(tmp_path: Path, when: str, wanted: bool) -> None:
    """False, empty, none and zero skip a record."""
    assert mapper(tmp_path, f'key: k\nwhen: "{when}"').wanted(record(budget=50)) is wanted


def test_a_key_holds_no_nul_character(tmp_path: Path) -> None:
    """In our memory that character stands for an id to come, so a record whose key holds it is refused."""
    made = mapper(tmp_path, 'key: "{{ source }}:{{ id }}"')
    with pytest.raises(TemplateFailed, match="NUL") as caught:
        made.key(record(id="a\0b"))
    assert (caught.value.field, str(caught.value.where).split(":")[-2:]) == ("key", ["1", "7"])
    cleaned = mapper(tmp_path, """key: "{{ id | replace('\\0', '') }}\"""")
    assert cleaned.key(record(id="a\0b")) == "ab"


def test_a_key_is_never_empty(tmp_path: Path) -> None:
    """A record without a key would be another lead at every run."""
    made = mapper(tmp_path, 'key: " {{ metadata.x }} "')
    assert made.key(record(metadata={"x": "а"})) == "а"
    with pytest.raises(TemplateFailed) as caught:
        made.key(record())
    assert caught.value.field == "key"
    with pytest.raises(TemplateFailed):
        desired(made, record())


@pytest.mark.parametrize(
    ("phone", "email", "phones", "emails"),
    [
        ("", "", None, None),
        ("нет", "-", None, None),
        ("нет", "i@example.com", [], ["i@example.com"]),
        ("8 916 123-45-67", "", ["8 916 123-45-67"], []),
        ("89161234567, 8 926 111-22-33; +7 916 123 45 67", "", ["89161234567", "8 926 111-22-33"], []),
        ("8 916 123-45-67, доб. 5", "", ["8 916 123-45-67, доб. 5"], []),
        ("12-34", "", ["12-34"], []),
        ("", "i@example.com, I@EXAMPLE.COM;j@example.com", [], ["i@example.com", "j@example.com"]),
    ],
)
def test_a_contact_needs_a_phone_or_an_e_mail(
    tmp_path: Path, phone: str, email: str, phones: list[str] | None, emails: list[str] | None
) -> None:
    """A word in their place is none of them; a list of phones is several phones, each once."""
    made = mapper(tmp_path, 'key: k\ncontact:\n  phone: "{{ phone }}"\n  email: "{{ email }}"\n  name: Иван')
    found = desired(made, record(phone=phone, email=email)).contact
    if phones is None:
        assert found is None
    else:
        assert found is not None
        assert [value.text for value in found.phones] == phones
        assert [value.text for value in found.emails] == emails


def test_a_contact_without_templates_for_phone_and_e_mail_is_none(tmp_path: Path) -> None:
    """A name alone makes no contact."""
    assert desired(mapper(tmp_path, "key: k\ncontact:\n  name: Иван"), record(**IVAN)).contact is None


def test_a_later_note_holds_the_new_messages_only(tmp_path: Path) -> None:
    """In the note `messages` are the new ones and `continued` is true; without news there is no note."""
    made = mapper(tmp_path, FULL)
    _, noted = talk_since(record(**IVAN), None)
    assert desired(made, record(**IVAN), noted).note is None
    grown = desired(made, record(**{**IVAN, "messages": [*IVAN["messages"], "ещё"]}), noted)
    assert grown.note is not None
    assert grown.note.text == "Продолжение:\nuser: ещё"


def test_outside_of_the_note_the_talk_is_whole(tmp_path: Path) -> None:
    """A phone found in an old message does not vanish from the lead when that message is no longer new."""
    made = mapper(
        tmp_path,
        'key: k\nlead:\n  name: "{{ messages | find_phone }} {{ all_messages | length }} {{ continued }}"\n'
        'note: "{{ messages | length }} of {{ all_messages | length }}"',
    )
    one = record(messages=["8 916 123-45-67"])
    _, noted = talk_since(one, None)
    later = desired(made, record(messages=["8 916 123-45-67", "да"]), noted)
    assert lead(later).values[0].text == "+79161234567 2 False"
    assert later.note is not None
    assert later.note.text == "1 of 2"


@pytest.mark.parametrize(
    ("first", "second", "notes"),
    [
        ({"messages": ["а"]}, {"messages": ["а", "б"]}, ["user: а", "user: б"]),
        ({"conversation_history": "а"}, {"conversation_history": "а\nб"}, ["а", "б"]),
        (
            {"messages": ["а"], "conversation_history": "весь"},
            {"messages": ["а", "б"], "conversation_history": "весь и б"},
            ["весь", "user: б"],
        ),
    ],
)
def test_the_history_of_a_note(tmp_path: Path, first: Any, second: Any, notes: list[str]) -> None:
    """`conversation_history` in a note is what is new of the talk, made from messages when the record has none."""
    made = mapper(
        tmp_path, 'key: k\nlead:\n  name: "{{ conversation_history | length }}"\nnote: "{{ conversation_history }}"'
    )
    noted: Noted | None = None
    said = []
    for fields in (first, second):
        one = record(**fields)
        talk, noted = talk_since(one, noted)
        note = made.map(one, talk).note
        assert note is not None
        said.append(note.text)
    assert said == notes


def test_a_blank_note_is_none(tmp_path: Path) -> None:
    """A template that renders to white space says nothing."""
    assert desired(mapper(tmp_path, 'key: k\nnote: " {{ user_name }} "'), record(messages=["а"])).note is None
    assert desired(mapper(tmp_path, "key: k\nnote: привет"), record()).note is None


def test_the_fields_of_a_record_win_over_what_it_brings(tmp_path: Path) -> None:
    """A record may bring any names; the names of the contract mean the same in every mapping."""
    one = record(continued="x", all_messages="y", range="диапазон", utm={"source": "ads"})
    made = mapper(
        tmp_path, 'key: k\nlead:\n  name: "{{ continued }} {{ all_messages | length }} {{ range }} {{ utm.source }}"'
    )
    assert lead(desired(made, one)).values[0].text == "False 0 диапазон ads"


def test_every_field_of_the_contract_is_there(tmp_path: Path) -> None:
    """On a record that has nothing else, no name of the contract is a mistake."""
    names = ["id", "source", "user_name", "phone", "email", "product_interest", "budget", "messages", "all_messages"]
    names += ["conversation_history", "continued", "metadata", "updated_at"]
    template = "".join(f"{{{{ {name} }}}}|" for name in names)
    one = desired(mapper(tmp_path, f'key: "{template}"'), record())
    assert one.key == "1|telegram||||||()|()||False|{}||"
    assert one.missing == ()


@pytest.mark.parametrize("mapping", ["telegram", "avito", "web"])
def test_the_sample_mappings(mapping: str) -> None:
    """The mappings that the project ships read a record and a talk without a miss."""
    path = Path(__file__).parents[2] / "mappings" / f"{mapping}.yaml"
    document = read_document(path, {})
    made = YamlMapper(MappingFile.model_validate(document.data), document, CONTEXT)
    talk = [{"role": "user", "text": "мой номер 8 916 123-45-67", "at": "2026-11-01T09:00:00Z"}]
    one = desired(made, record(**{**IVAN, "phone": None, "messages": talk}))
    assert [phone.text for phone in contact(one).phones] == ["+79161234567"]
    assert one.note is not None
    assert one.note.text == "История диалога:\n01.11.2026 12:00 user: мой номер 8 916 123-45-67"
    assert one.missing == ()


class Constant(Mapper):
    """A mapper of somebody's own."""

    def __init__(self, file: MappingFile, document: object, context: MapperContext) -> None:
        self.country = context.country

    def key(self, record: Record) -> str:
        return f"{self.country}:{record.id}"

    def wanted(self, record: Record) -> bool:
        return True

    def map(self, record: Record, talk: Talk) -> Desired:
        return Desired(self.key(record), None, None, None)


def loaded(folder: Path, text: str) -> LoadedMapping:
    path = folder / "mapping.yaml"
    path.write_text(text, encoding="utf-8")
    document = read_document(path, {})
    return LoadedMapping(path=path, file=MappingFile.model_validate(document.data), document=document)


def test_a_mapping_without_a_mapper_is_yaml(tmp_path: Path) -> None:
    """The usual case."""
    assert isinstance(load_mapper(loaded(tmp_path, "key: k"), CONTEXT), YamlMapper)


def test_a_mapping_may_name_a_mapper_by_import_path(tmp_path: Path) -> None:
    """`package.module:Class` is called with the file, its document and the context."""
    made = load_mapper(loaded(tmp_path, f"key: k\nmapper: {__name__}:Constant"), CONTEXT)
    assert made.key(Record(id="7", source="web", updated_at=datetime.now(UTC).astimezone(MOSCOW))) == "RU:7"
    assert made.uses_note


@pytest.mark.parametrize(
    "name",
    [
        "no_such_package:Mapper",
        f"{__name__}:NoSuchClass",
        f"{__name__}:FULL",
        "builtins:dict.fromkeys",
        "no-such-plugin",
        ":",
        f"{__name__}:contact",
    ],
)
def test_a_mapper_that_cannot_be_used_is_a_mistake_of_the_file(tmp_path: Path, name: str) -> None:
    """Told at its place in the mapping, with what to do."""
    with pytest.raises(ConfigurationError) as caught:
        load_mapper(loaded(tmp_path, f'key: k\nmapper: "{name}"'), CONTEXT)
    assert caught.value.problems[0].place.line == 2
    assert caught.value.problems[0].do
